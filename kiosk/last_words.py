"""What a kiosk process says of its own end: to the launcher by a pipe, and nothing of what was being handled."""

from __future__ import annotations

import faulthandler
import os
import re
import traceback
from contextlib import suppress
from pathlib import Path

import msgspec

_LONGEST = 4096
"""Bytes that a pipe takes at once (POSIX PIPE_BUF), so that nobody waits for a reader."""
_FRAME = re.compile(rb'^  File "(.*)", line (\d+) in ', re.MULTILINE)


class LastWords(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a kiosk process has ended; empty where it could not say so any more."""

    code: str = ""
    """A code of the catalogue, where it knows what stands in its way."""
    detail: str = ""
    """In an engineer's words; neither a secret nor a name."""
    place: str = ""
    """Where a signal has ended it that is no order, such as SIGSEGV: ` at module.py:7`."""


def fault_and_place(error: BaseException) -> str:
    """Kind and place of a fault, and no value: messages of exceptions may quote what was being handled."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def leave(words: LastWords, pipe: int) -> None:
    """Write them for the launcher; where it is gone there is nobody to tell."""
    said = msgspec.json.encode(msgspec.structs.replace(words, detail=words.detail[: _LONGEST // 8]))
    with suppress(OSError):
        os.write(pipe, said)


def leave_place_at_fault(pipe: int) -> None:
    """Have a signal that ends this process for a fault (SIGSEGV, SIGABRT) write into `pipe` where that was.

    What faulthandler(3) writes are files, lines and names of functions, and no value of anything.
    """
    faulthandler.enable(pipe, all_threads=False)


def heard(pipe: int) -> LastWords:
    """What was written into `pipe`, all of whose writers have ended."""
    try:
        said = os.read(pipe, _LONGEST)
        return _place(said) or msgspec.json.decode(said, type=LastWords)
    except (OSError, msgspec.DecodeError):
        return LastWords()


def _place(said: bytes) -> LastWords | None:
    """Of what faulthandler has written: the innermost line."""
    innermost = _FRAME.search(said)
    if innermost is None:
        return None
    file, line = innermost[1].decode(errors="replace"), innermost[2].decode()
    return LastWords(place=f" at {Path(file).name}:{line}")
