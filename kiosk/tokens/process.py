"""The UI's side of a token process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from kiosk.pin import Pin, wipe
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied

T = TypeVar("T")

_decode_reply: Callable[[bytes], wire.Reply] = msgspec.msgpack.Decoder(wire.Reply).decode


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a module may take before its process is ended, in seconds."""

    look: float = 10.0
    """Finding tokens, listing objects."""
    log_in: float = 30.0
    sign: float = 30.0
    make_key_pair: float = 180.0
    """Making an RSA key inside a small chip takes up to a minute, and varies."""
    write: float = 60.0


class ModuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which PKCS#11 module (管理ソフト) stands behind the kiosk's tokens."""

    module: str
    """Path of the shared library."""
    environment: dict[str, str] = {}
    """What the module wants to find in its environment, such as SOFTHSM2_CONF."""
    limits: Limits = Limits()


class TokenProcess:
    """A process with one PKCS#11 module in it, and nothing else of ours.

    Requests are answered one at a time. A request that is cancelled or exceeds its limit ends the process, because
    nobody knows what the module is doing then.
    """

    def __init__(self, settings: ModuleSettings, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        """Use `start`."""
        self.limits = settings.limits
        self._process = process
        self._channel = channel
        self._turn = asyncio.Lock()
        self._usable = True

    @classmethod
    async def start(cls, settings: ModuleSettings) -> TokenProcess:
        """Start a process; its module is loaded with the first request."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                "kiosk.tokens.worker",
                settings.module,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(settings),
            )
        return cls(settings, process, ours)

    @property
    def pid(self) -> int:
        """The process's number, for tests that kill it."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._turn.locked()

    async def call(
        self, request: wire.Request, answer: type[T], limit: float, *, pin: Pin | None = None, pipe: int | None = None
    ) -> T:
        """Have `request` carried out, and answer with what its docstring promises.

        Raises:
            TokenError: the module refused it.
            TokenHangs: no answer within `limit` seconds.
            TokenProcessDied: the process is gone.
        """
        async with self._turn:
            if not self._usable:
                raise TokenProcessDied
            secret = pin.take() if pin else bytearray()
            try:
                async with asyncio.timeout(limit):
                    reply = await self._exchange(request, secret, pipe)
            except TimeoutError as error:
                await self._give_up()
                raise TokenHangs(type(request).__name__) from error
            except (OSError, EOFError, msgspec.MsgspecError) as error:
                await self._give_up()
                raise TokenProcessDied(type(request).__name__) from error
            except asyncio.CancelledError:
                self._kill()
                raise
            finally:
                wipe(secret)
        if isinstance(reply, wire.Failed):
            raise TokenError(reply.kind, reply.detail)
        return msgspec.msgpack.decode(reply.value, type=answer)

    async def lend_pin_to(self, other: TokenProcess, serial: str) -> None:
        """Log `other` in to the token `serial` with the PIN accepted here; this process never sees it.

        Raises:
            TokenError, TokenHangs, TokenProcessDied: as `call`.
        """
        reading, writing = os.pipe()
        try:
            await self.call(wire.LendPin(), type(None), self.limits.look, pipe=writing)
            await other.call(wire.LogInWithLentPin(serial), type(None), self.limits.log_in, pipe=reading)
        finally:
            os.close(reading)
            os.close(writing)

    async def end(self) -> None:
        """End the process, whatever it is doing, and wait until it is gone."""
        self._kill()
        await self._process.wait()

    async def _give_up(self) -> None:
        await asyncio.shield(self.end())

    def _kill(self) -> None:
        self._usable = False
        self._channel.close()
        if self._process.returncode is None:
            self._process.kill()

    async def _exchange(self, request: wire.Request, secret: bytearray, pipe: int | None) -> wire.Reply:
        loop = asyncio.get_running_loop()
        frame = msgspec.msgpack.encode(request)
        _send_head(self._channel, len(frame), [] if pipe is None else [pipe])
        for part in (frame, len(secret).to_bytes(wire.LENGTH_BYTES, "big"), secret):
            await loop.sock_sendall(self._channel, part)
        size = int.from_bytes(await self._exactly(wire.LENGTH_BYTES), "big")
        if size > wire.LARGEST_FRAME:
            raise EOFError
        return _decode_reply(await self._exactly(size))

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < size:
            part = await loop.sock_recv(self._channel, size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def _send_head(channel: socket.socket, size: int, descriptors: Sequence[int]) -> None:
    socket.send_fds(channel, [size.to_bytes(wire.LENGTH_BYTES, "big")], list(descriptors))


def _environment(settings: ModuleSettings) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "XDG_RUNTIME_DIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **settings.environment}
