"""`python -m tests.program.launching KIOSK SETTINGS FIRST LONGEST`: another kiosk, other pauses."""

from __future__ import annotations

import sys
from pathlib import Path

from kiosk.crashes import Patience
from kiosk.launcher import launch
from kiosk.settings import load_settings

_GRACE = 1.0


def main() -> int:
    kiosk, settings, first, longest = sys.argv[1:]
    patience = Patience(first_pause=float(first), longest_pause=float(longest), grace=_GRACE)
    return launch(Path(settings), load_settings(Path(settings)), [kiosk], patience)


if __name__ == "__main__":
    sys.exit(main())
