"""What was freed leaves the process."""

from __future__ import annotations

import resource
from pathlib import Path

from kiosk.memory import give_back

_PIECE, _PIECES = 60_000, 1000
"""Bytes that the C library takes from its heap, and does not map one by one."""


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_freed_memory_goes_back_to_the_system() -> None:
    pieces = [bytearray(_PIECE) for _ in range(_PIECES)]
    kept = bytearray(_PIECE)  # above them, so that the heap cannot simply end sooner
    del pieces
    before = _resident()
    give_back()
    assert _resident() < before - _PIECE * _PIECES // 2
    assert len(kept) == _PIECE
