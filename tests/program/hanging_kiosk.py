"""The real kiosk, but its event loop stops for good once the journal has the event that the file `hangs-at` names."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from kiosk import terminal
from kiosk.journal import Event, VisitRecord


def main() -> None:
    where = Path(sys.argv[1]).with_name("hangs-at")
    note = VisitRecord.note

    async def noted(record: VisitRecord, event: Event, *, serial: str = "", code: str = "", detail: str = "") -> None:
        await note(record, event, serial=serial, code=code, detail=detail)
        if where.exists() and where.read_text() == event:
            where.unlink()
            while True:
                signal.pause()

    VisitRecord.note = noted  # type: ignore[method-assign, assignment]
    terminal.main()


if __name__ == "__main__":
    main()
