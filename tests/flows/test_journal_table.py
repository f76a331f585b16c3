"""A disc that is full or read-only from any line of the journal on: the visit says so, and the next one finishes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kiosk.journal import Event
from tests.flows.journal_table import Kind, tried
from tests.tokens.full_disc import is_possible

IN_SHORT = {
    Kind.RENEWAL: (Event.RETIRING,),
    Kind.ENROLMENT: (Event.MAKING_KEY, Event.WRITING, Event.CONFIRMING, Event.RETIRING),
    Kind.RESUMED: (Event.RESUMED,),
    Kind.NOTHING: (Event.REMOVING_KEY,),
}
"""In `make test`: lines before acts that cannot be taken back. `make soak` tries every line."""


@pytest.mark.skipif(not is_possible(), reason="nothing can be mounted here, not even in a namespace of one's own")
@pytest.mark.parametrize("kind", Kind)
def test_whatever_line_cannot_be_written_nothing_is_lost(tmp_path: Path, kind: Kind) -> None:
    told = tried(tmp_path, kind, None if "KIOSK_SOAK" in os.environ else IN_SHORT[kind])
    print(told.summary())
    assert told.run
    assert not told.lost, "\n".join([told.summary(), *told.lost])
