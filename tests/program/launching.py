"""`python -m tests.program.launching KIOSK SETTINGS PATIENCE`: another kiosk, other pauses; patience in JSON."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from kiosk.crashes import Patience
from kiosk.launcher import launch
from kiosk.settings import load_settings


def main() -> int:
    kiosk, settings, patience = sys.argv[1:]
    borne = msgspec.json.decode(patience, type=Patience)
    return launch(Path(settings), load_settings(Path(settings)), [kiosk], borne)


if __name__ == "__main__":
    sys.exit(main())
