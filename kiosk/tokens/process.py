"""The UI's side of a token process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import msgspec

from kiosk.pin import Pin, wipe
from kiosk.tokens import wire
from kiosk.tokens.errors import StoreFault, TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.modules import Known, WorkerSettings
from kiosk.tokens.wire import StoreKind

T = TypeVar("T")

_decode_reply: Callable[[bytes], wire.Reply] = msgspec.msgpack.Decoder(wire.Reply).decode


UNPACKABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What comes of a frame that is none; msgspec lets text that is no UTF-8 through as it is."""
_END_SECONDS = 2.0
_LAST_ACT_SECONDS = 3.0
"""For what is being written when nobody waits for it any more; the program has longer to end (`kiosk.terminal`)."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a module may take before its process is ended, in seconds."""

    look: float = 10.0
    """Finding tokens, listing objects."""
    log_in: float = 30.0
    pad: float = 90.0
    """Typing at the reader's own pad, three times for a change; readers themselves wait for 15 to 30 seconds."""
    pad_time_out: float = 25.0
    """A pad that breaks off later has waited in vain, before that somebody has pressed its cancel key."""
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
    token_label: str = ""
    """Only tokens of this label count, or all where it is empty: some modules show slots of their own besides."""
    known: tuple[Known, ...] = ()
    """What the bank knows of its module and tokens besides, or otherwise, than `kiosk.tokens.modules.KNOWN`."""
    so_pin_file: str = ""
    """A file with the security officer's PIN, for tokens that let nobody else write: its owner's alone (mode 600)."""


class TokenProcess:
    """A process with one PKCS#11 module in it, and nothing else of ours.

    Requests are answered one at a time. A request that is cancelled or exceeds its limit ends the process, because
    nobody knows what the module is doing then; one that writes and is cancelled has a moment to come to its end,
    because what is torn on a token can be lost. Whoever started it ends it.
    """

    def __init__(
        self, settings: ModuleSettings, store: StoreKind, process: subprocess.Popen[bytes], channel: socket.socket
    ) -> None:
        """Use `start`."""
        self.limits = settings.limits
        self.store = store
        self._process = process
        self._channel = channel
        self._turn = asyncio.Lock()
        self._exchange_under_way: asyncio.Task[wire.Reply] | None = None
        self._sent = False
        """Whether the whole request under way has left; until then the other side carries out nothing."""
        self._last_act: asyncio.Task[wire.Reply] | None = None
        """One that writes, and whose answer nobody waits for any more."""
        self._usable = True

    @classmethod
    def start(cls, settings: ModuleSettings, store: StoreKind = StoreKind.USB) -> TokenProcess:
        """Start a process; its module is loaded with the first request. What fails in it is told as of `store`."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = _begun(settings, theirs)
        return cls(settings, store, process, ours)

    @property
    def pid(self) -> int:
        """The process's number, for tests that kill it."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._turn.locked()

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """While the block runs no request is under way, and none begins."""
        async with self._turn:
            yield

    async def call(
        self,
        request: wire.Request,
        answer: type[T],
        limit: float,
        *,
        pin: Pin | None = None,
        new_pin: Pin | None = None,
        pipe: int | None = None,
    ) -> T:
        """Have `request` carried out, and answer with what its docstring promises.

        Raises:
            TokenError: the module refused it.
            TokenHangs: no answer within `limit` seconds.
            TokenProcessDied: the process is gone.
        """
        secrets = [each.take() if each else bytearray() for each in (pin, new_pin)]
        try:
            return await self._answered(request, answer, limit, secrets, pipe)
        except StoreFault as fault:
            fault.store = self.store
            raise
        finally:
            for secret in secrets:
                wipe(secret)

    async def _answered(
        self, request: wire.Request, answer: type[T], limit: float, secrets: Sequence[bytearray], pipe: int | None
    ) -> T:
        async with self._turn:
            reply = await self._ask(request, secrets, pipe, limit)
        if isinstance(reply, wire.Failed):
            raise TokenError(reply.kind, reply.detail)
        try:
            return msgspec.msgpack.decode(reply.value, type=answer)
        except UNPACKABLE as error:
            raise TokenProcessDied(f"{type(request).__name__}: not understood") from error

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

    async def died_unnoticed(self) -> bool:
        """Wait until the process is gone; whether nobody has been told, because it neither was ended nor had work."""
        gone = asyncio.Event()
        try:
            process = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            return False
        loop = asyncio.get_running_loop()
        loop.add_reader(process, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(process)
            os.close(process)
        return self._usable and not self.busy

    async def end(self) -> None:
        """End the process, after what it is writing if that takes only a moment, and wait until it is gone.

        Who is cancelled meanwhile waits no longer. What is being written ends by itself then, within its limit; any
        other process is buried all the same. One that even the kernel cannot end, because it hangs in a driver, is
        left to the kernel.
        """
        if self._last_act is not None:
            try:
                await asyncio.wait([self._last_act], timeout=_LAST_ACT_SECONDS)
            except asyncio.CancelledError:
                self._last_act.cancel()
                try:
                    await asyncio.wait([self._last_act])
                finally:
                    self._channel.close()  # it ends by itself when the act has, and needs nobody for that
                raise
        self._kill()
        await asyncio.shield(self._bury())

    async def _bury(self) -> None:
        if self._exchange_under_way is not None:
            await asyncio.wait([self._exchange_under_way])
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _END_SECONDS)
        self._channel.close()

    def _kill(self) -> None:
        self._usable = False
        self._process.kill()
        if self._exchange_under_way is not None:
            self._exchange_under_way.cancel()

    async def _ask(
        self, request: wire.Request, secrets: Sequence[bytearray], pipe: int | None, limit: float
    ) -> wire.Reply:
        name = type(request).__name__
        if not self._usable:
            raise TokenProcessDied(name)
        self._sent = False
        exchange = self._exchange(wire.Order(request, limit), secrets, pipe)
        self._exchange_under_way = asyncio.create_task(exchange, name=name)
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(self._exchange_under_way)
        except TimeoutError as error:
            self._kill()
            raise TokenHangs(name) from error
        except (OSError, EOFError, *UNPACKABLE) as error:
            self._kill()
            raise TokenProcessDied(name) from error
        except asyncio.CancelledError:
            if not _is_cancelled():
                raise TokenProcessDied(name) from None  # somebody ended the process meanwhile
            if self._sent and isinstance(request, wire.WRITING):
                self._usable, self._last_act = False, self._exchange_under_way
            else:
                self._kill()
            raise

    async def _exchange(self, order: wire.Order, secrets: Sequence[bytearray], pipe: int | None) -> wire.Reply:
        loop = asyncio.get_running_loop()
        frame = msgspec.msgpack.encode(order)
        _send_head(self._channel, len(frame), [] if pipe is None else [pipe])
        await loop.sock_sendall(self._channel, frame)
        for secret in secrets:
            await loop.sock_sendall(self._channel, len(secret).to_bytes(wire.LENGTH_BYTES, "big"))
            await loop.sock_sendall(self._channel, secret)
        self._sent = True
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


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _send_head(channel: socket.socket, size: int, descriptors: Sequence[int]) -> None:
    socket.send_fds(channel, [size.to_bytes(wire.LENGTH_BYTES, "big")], list(descriptors))


def _begun(settings: ModuleSettings, channel: socket.socket) -> subprocess.Popen[bytes]:
    """A process of its own interpreter that takes requests from `channel`."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", "-m", "kiosk.tokens.worker", *arguments_of(settings)],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment_of(settings),
    )


def arguments_of(settings: ModuleSettings) -> tuple[str, str]:
    """What a process is told that works with this module: its settings, and whom it must not outlive."""
    return _told(settings), str(os.getpid())


def _told(settings: ModuleSettings) -> str:
    told = WorkerSettings(settings.module, settings.token_label, settings.known, settings.so_pin_file)
    return msgspec.json.encode(told).decode()


def environment_of(settings: ModuleSettings) -> dict[str, str]:
    """The environment of a process that works with this module: what that wants to find, and little else."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "XDG_RUNTIME_DIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **settings.environment}
