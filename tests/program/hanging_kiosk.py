"""The real kiosk, but it hangs once the journal has the event that the file `hangs-at` names.

What hangs is its event loop or, where that is the file's second word, only the queue that keys and touches go through.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from textual._context import active_app

from kiosk import terminal
from kiosk.journal import Event, VisitRecord


def main() -> None:
    where = Path(sys.argv[1]).with_name("hangs-at")
    note = VisitRecord.note

    async def noted(record: VisitRecord, event: Event, *, serial: str = "", code: str = "", detail: str = "") -> None:
        await note(record, event, serial=serial, code=code, detail=detail)
        wanted, *queue = where.read_text().split() if where.exists() else [""]
        if wanted != event:
            return
        where.unlink()
        if queue:
            active_app.get().call_later(asyncio.Event().wait)
            return
        while True:
            time.sleep(0.1)  # noqa: ASYNC251 - it hangs; not for ever at once: a signal just before that would be seen by nobody

    VisitRecord.note = noted  # type: ignore[method-assign, assignment]
    terminal.main()


if __name__ == "__main__":
    main()
