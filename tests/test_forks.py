"""What is forked off finds everything imported, whatever else has been collected."""

from __future__ import annotations

import gc
import sys
from multiprocessing.connection import Connection

from tests.forks import FORKS, IMPORTED


def test_nothing_is_imported_anew() -> None:
    hears, tells = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=tell, args=(tells,))
    process.start()
    tells.close()
    missing, frozen = hears.recv()
    process.join()
    assert missing == []
    assert frozen > 0


def tell(tells: Connection) -> None:
    tells.send(([each for each in IMPORTED if each not in sys.modules], gc.get_freeze_count()))
