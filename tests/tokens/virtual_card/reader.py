"""A slot of vsmartcard's virtual reader, into which a card is put and from which it is pulled.

The reader listens on a port, in a network that only its pcscd and its cards see. A message is its length in two bytes
and its content; a single byte is an order to the card
(https://frankmorgner.github.io/vsmartcard/virtualsmartcard/api.html).
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from tests.tokens.namespaces import enter_network_of
from tests.tokens.virtual_card.card import ATR, CHANGING, VirtualCard

_OFF, _ON, _RESET, _ATR = b"\x00", b"\x01", b"\x02", b"\x04"

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

_SHOWN_SECONDS = 60.0


@dataclass
class Cut:
    """When a card goes by itself: with one of the commands that change something on it, which it does not carry out."""

    at: int
    """Which of them, counted from 0."""
    passed: int = 0
    """How many have come."""

    @property
    def done(self) -> bool:
        """Whether it has come to that."""
        return self.passed > self.at

    def comes_with(self, command: bytes) -> bool:
        """Count `command`, and tell whether the card goes with it."""
        if len(command) < 2 or command[1] not in CHANGING:
            return False
        self.passed += 1
        return self.done


class Slot:
    """Empty at first."""

    def __init__(self, network_of: int, port: int, shows_card: Callable[[], bool]) -> None:
        """The slot behind `port`, in the network of the process `network_of`.

        `shows_card` says whether programs see that a card is in.
        """
        self._network_of = network_of
        self._port = port
        self._shows_card = shows_card
        self._connection: socket.socket | None = None
        self._thread: Thread | None = None
        self.cut: Cut | None = None
        """When the card that is in is to go by itself."""

    def put_in(self, card: VirtualCard) -> None:
        """Put `card` in, and wait until programs see it.

        What was in is pulled, and seen to be gone, before: the reader looks two or three times a second, and no hand is
        as quick as that.
        """
        self.pull()
        self._wait_until(shown=False)
        self._thread = Thread(target=self._serve, args=(card,), daemon=True)
        self._thread.start()
        self._wait_until(shown=True)

    def pull(self) -> None:
        """The card is gone between two bytes; what it was about to answer nobody hears."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join()
        self._connection = self._thread = self.cut = None

    def _wait_until(self, *, shown: bool) -> None:
        ends = time.monotonic() + _SHOWN_SECONDS
        while self._shows_card() is not shown:
            assert time.monotonic() < ends, "the reader does not look"
            time.sleep(0.02)

    def _serve(self, card: VirtualCard) -> None:
        """In a thread of its own, because a thread can enter another network alone."""
        enter_network_of(self._network_of)
        _bring_up_loopback()
        card.reset()
        with socket.create_connection(("127.0.0.1", self._port)) as connection, suppress(OSError):
            self._connection = connection
            while (message := _receive(connection)) is not None:
                if message in (_OFF, _ON, _RESET):
                    card.reset()
                    continue
                if (cut := self.cut) is not None and cut.comes_with(message):
                    return
                reply = ATR if message == _ATR else card.answer(message)
                connection.sendall(len(reply).to_bytes(2, "big") + reply)


def _bring_up_loopback() -> None:
    """In a new network even 127.0.0.1 is down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))


def _receive(connection: socket.socket) -> bytes | None:
    head = _exactly(connection, 2)
    return None if head is None else _exactly(connection, int.from_bytes(head, "big"))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    parts = b""
    while len(parts) < size:
        # Without this a command that comes in two packets waits 40 ms for an acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(size - len(parts))
        if not part:
            return None
        parts += part
    return parts
