"""Files that are there whole and on the disk, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Make a file that is not there yet.

    Raises:
        FileExistsError: it is there; nothing was changed.
        OSError: it cannot be written.
    """
    aside = _write_aside(path, content, mode)
    try:
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Put this in the place of whatever the file was.

    Raises:
        OSError: it cannot be written; then it is what it was.
    """
    aside = _write_aside(path, content, mode)
    try:
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_aside(path: Path, content: bytes, mode: int) -> Path:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside
