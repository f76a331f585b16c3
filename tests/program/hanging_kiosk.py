"""The real kiosk, but it hangs once the journal has the event that the file `hangs-at` names.

What hangs is its event loop or, where that is the file's second word, only the queue that keys and touches go through.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from pathlib import Path

from textual._context import active_app

from kiosk import terminal
from kiosk.journal import Event, VisitRecord

_ROOM_FOR_A_LOCK = 64
"""Bytes, more than a pthread_mutex_t takes; all zero it is unlocked."""


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
        lock = ctypes.create_string_buffer(_ROOM_FOR_A_LOCK)
        for _ in range(2):  # in C, where no handler of Python's is heard
            ctypes.CDLL(None).pthread_mutex_lock(lock)

    VisitRecord.note = noted  # type: ignore[method-assign, assignment]
    terminal.main()


if __name__ == "__main__":
    main()
