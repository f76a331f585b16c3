"""Token processes that begin with everything imported already, as `tests.ready_ca` has it for CAs.

Each is a process of its own, a child of the test's, with its own module, socket and environment. Only that an
interpreter starts and imports the same again is spared: nine tenths of what such a process costs until it is asked
something. They are forked off `tests.token_source`, which never loads a module. `tests/tokens/test_process.py` and
`tests/program` have them as they are.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from unittest.mock import patch

from kiosk.tokens import process
from kiosk.tokens.process import ModuleSettings
from tests import token_source

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_READ_BY_THE_LOADER = "LD_"
"""What the names of variables begin with that count only where a program is loaded (ld.so(8))."""
_PATIENCE = 60.0


def _whose() -> tuple[int, ...]:
    """This process, and the mounts and shared memory that it sees: what is forked off elsewhere sees others."""
    return (os.getpid(), *(Path(f"/proc/thread-self/ns/{each}").stat().st_ino for each in ("mnt", "ipc", "net")))


class ReadyTokens:
    """Makes them for the process that has made this."""

    def __init__(self) -> None:
        self._owner = _whose()
        self._orders, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._orders.settimeout(_PATIENCE)
        with theirs:
            self._source = subprocess.Popen([sys.executable, "-I", "-m", token_source.__name__], stdin=theirs.fileno())
        self._turn = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """What `TokenProcess.start` begins meanwhile are ready ones, but where a program is loaded otherwise."""
        as_it_is = process._begun

        def begun(settings: ModuleSettings, channel: socket.socket) -> subprocess.Popen[bytes]:
            environment = process.environment_of(settings)
            if _whose() != self._owner or any(name.startswith(_READ_BY_THE_LOADER) for name in environment):
                return as_it_is(settings, channel)
            pid = self._begun(process.arguments_of(settings), environment, channel)
            return cast("subprocess.Popen[bytes]", Adopted(pid))

        with patch.object(process, "_begun", begun):
            yield

    def end(self) -> None:
        """Make no more."""
        self._orders.close()
        self._source.wait()

    def _begun(self, arguments: tuple[str, str], environment: dict[str, str], channel: socket.socket) -> int:
        """The number of a new child of ours, which takes requests from `channel`."""
        with self._turn, _adopting_orphans():
            order = json.dumps((arguments, environment)).encode()
            socket.send_fds(self._orders, [order], [channel.fileno()])
            return int(self._orders.recv(token_source.LONGEST))


class Adopted:
    """A child, as far as the kiosk asks `subprocess.Popen` about it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._turn = threading.Lock()

    def kill(self) -> None:
        """End it, unless that was noticed already: its number may be another's by now."""
        with self._turn:
            if self.returncode is None:
                os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        """The status of its end, if it has ended."""
        with self._turn:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, `timeout` seconds at most.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if (status := self.poll()) is None:
            ended = os.pidfd_open(self.pid)
            try:
                select.select([ended], [], [], timeout)
            finally:
                os.close(ended)
            status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(__name__, timeout or 0)
        return status


@contextmanager
def ready_tokens() -> Iterator[ReadyTokens]:
    """As many as this process wants."""
    ready = ReadyTokens()
    try:
        yield ready
    finally:
        ready.end()


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Whoever is orphaned below us meanwhile is our child then (PR_SET_CHILD_SUBREAPER, prctl(2))."""
    library = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int()
    assert library.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0) == 0
    assert library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        assert library.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0) == 0
