"""Mounts, shared memory and networks of one's own, for daemons that know only one place for their things."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWNET = 0x00020000, 0x08000000, 0x40000000


def why_not(*options: str) -> str:
    """Why `unshare` with these options does not work here; empty where it does."""
    mounts = ["mount", "-t", "tmpfs", "none", "/run"]
    tried = subprocess.run(["unshare", "--mount", *options, *mounts], capture_output=True, check=False)
    said = tried.stderr.decode(errors="replace").strip()
    return f"no {' '.join(options)} of one's own may be made here: {said}" if tried.returncode else ""


@contextmanager
def own_places() -> Iterator[None]:
    """Within the block, this process and whatever it starts may mount what nobody else sees.

    Shared memory is its own, too. Afterwards what was mounted is gone; the process keeps a table of mounts of its own,
    because it cannot go back once it has other threads (setns(2)).
    """
    _own_mounts()
    memory = os.open("/proc/thread-self/ns/ipc", os.O_RDONLY)
    before = _mounted()
    try:
        _checked(_libc().unshare(_CLONE_NEWIPC), "unshare")
        try:
            yield
        finally:
            for each in reversed(_mounted()[len(before) :]):
                subprocess.run(["umount", "--lazy", each], check=True)
            _checked(_libc().setns(memory, _CLONE_NEWIPC), "setns")
    finally:
        os.close(memory)


@cache
def _own_mounts() -> None:
    _checked(_libc().unshare(_CLONE_NEWNS), "unshare")
    mount("--make-rprivate", "/")


def _mounted() -> list[str]:
    return [line.split()[1] for line in Path("/proc/thread-self/mounts").read_text().splitlines()]


def enter_network_of(pid: int) -> None:
    """Go into the network of a process, with this thread alone; there is no way back."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _checked(_libc().setns(namespace, _CLONE_NEWNET), "setns")
    finally:
        os.close(namespace)


def mount(*arguments: str) -> None:
    """As the command."""
    subprocess.run(["mount", *arguments], check=True)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, name: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), name)
