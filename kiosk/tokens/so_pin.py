"""The security officer's PIN of tokens that let nobody else write, where the bank lets a kiosk have it.

Nobody types it at a kiosk. It is in a file that its user alone can read, and only a token process reads it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_LARGEST = 256
"""Bytes."""
_EMPTY = "token.so_pin_file holds no PIN"


class SoPinUnusable(Exception):
    """There is no security officer's PIN to be had; the message says why."""


def read_so_pin(path: str) -> str:
    """The PIN in the file at `path`: its first line.

    Raises:
        SoPinUnusable: there is none, or somebody else could read it.
    """
    with _opened(path) as file:
        content = os.read(file, _LARGEST)
    pin = content.split(b"\n", 1)[0].strip()
    if not pin or not pin.isascii():
        raise SoPinUnusable(_EMPTY)
    return pin.decode("ascii")


def check_so_pin_file(path: str) -> None:
    """See that there could be a PIN in the file at `path`, without reading it.

    Raises:
        SoPinUnusable: as `read_so_pin`.
    """
    with _opened(path) as file:
        if not os.fstat(file).st_size:
            raise SoPinUnusable(_EMPTY)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    if not path:
        raise SoPinUnusable("token.so_pin_file names no file")
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SoPinUnusable(f"token.so_pin_file: {error.strerror}") from error
    try:
        _check(os.fstat(file))
        yield file
    finally:
        os.close(file)


def _check(file: os.stat_result) -> None:
    if not stat.S_ISREG(file.st_mode) or file.st_mode & 0o077 or file.st_uid not in (0, os.geteuid()):
        raise SoPinUnusable("token.so_pin_file is not its owner's alone (chmod 600)")
