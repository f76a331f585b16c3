"""The token process: `python -m kiosk.tokens.worker SETTINGS PARENT`, started by `process`, one thread, one module.

It answers one request after another on the socket that is its standard input. It ends when that closes, is killed
when its parent goes unless it is just writing, dumps no core and writes nothing anywhere. A PIN the token has accepted
stays here, for the fresh process that proves a new credential. Of a refused one only a keyed digest does, so that it is
never sent again.
"""

from __future__ import annotations

import array
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial

import msgspec
from pkcs11 import exceptions

from kiosk.children import end_with_parent, finishing, leave_no_core
from kiosk.tokens import wire
from kiosk.tokens.cryptoki import Cryptoki
from kiosk.tokens.failures import Failure, failure_of
from kiosk.tokens.modules import WorkerSettings

_LONGEST_PIN = 256
_FINGERPRINT_BYTES = 32
_MOST_FINGERPRINTS = 64
"""What is lent fits into one write to a pipe, which is whole or not at all (PIPE_BUF, pipe(7))."""

_IN_SESSION = (
    wire.ChangePin,
    wire.ChangePinAtPad,
    wire.ImportKeyPair,
    wire.KeyKinds,
    wire.ListObjects,
    wire.MakeKeyPair,
    wire.Relabel,
    wire.Remove,
    wire.Sign,
    wire.SignAtPad,
    wire.SignatureKinds,
    wire.WriteCertificate,
)
"""Requests that are meant for the token of the session, and for no other."""

_NONSENSE = (ValueError, TypeError, LookupError, OverflowError, MemoryError, NotImplementedError)
"""What the binding itself raises at what a module should never have said."""


class Worker:
    """Carries out requests on a module."""

    def __init__(self, cryptoki: Cryptoki) -> None:
        self._cryptoki = cryptoki
        self._digest_key = os.urandom(32)
        self._refused: set[bytes] = set()

    @property
    def wants_fresh_process(self) -> bool:
        """Whether the next request should be answered by this process as if it had just been started."""
        return self._cryptoki.wants_fresh_process

    def answer(self, request: wire.Request, secrets: Sequence[bytes], pipe: int | None) -> wire.Reply:
        """Carry out one request; whatever a module raises becomes a `Failed`."""
        try:
            return wire.Done(msgspec.Raw(msgspec.msgpack.encode(self._carry_out(request, secrets, pipe))))
        except Failure as failure:
            return failure.reply
        except exceptions.PKCS11Error as error:
            return failure_of(error).reply
        except _NONSENSE as error:
            return wire.Failed(wire.FailureKind.DEVICE, type(error).__name__)

    def _carry_out(self, request: wire.Request, secrets: Sequence[bytes], pipe: int | None) -> object:
        token = self._cryptoki
        if isinstance(request, _IN_SESSION):
            token.check_identity()
        match request:
            case wire.DescribeModule():
                return token.describe_module()
            case wire.FindTokens():
                return token.find_tokens()
            case wire.FindBlankTokens():
                return token.find_blank_tokens()
            case wire.Initialise(slot_id, serial, label):
                return token.initialise(slot_id, serial, label, secrets[0].decode("ascii"), secrets[1].decode("ascii"))
            case wire.LogIn(serial):
                self._log_in(serial, secrets[0].decode("ascii"))
            case wire.LogInAtPad(serial, time_out):
                token.log_in_at_pad(serial, time_out)
            case wire.ChangePinAtPad(serial, time_out):
                token.change_pin_at_pad(serial, time_out)
            case wire.OpenWithoutPin(serial):
                token.open_without_pin(serial)
            case wire.ChangePin(serial):
                self._change_pin(serial, secrets[0].decode("ascii"), secrets[1].decode("ascii"))
            case wire.Unblock(serial):
                token.unblock(serial, secrets[0].decode("ascii"), secrets[1].decode("ascii"))
            case wire.LendPin():
                self._lend_pin(pipe)
            case wire.LogInWithLentPin(serial):
                token.log_in(serial, *_read_lent(pipe))
            case wire.ListObjects():
                return token.list_objects()
            case wire.KeyKinds(origin):
                return token.key_kinds(origin)
            case wire.KeyKindsInSlot(slot_id, origin):
                return token.key_kinds_in_slot(slot_id, origin)
            case wire.AskRoom(slot_id):
                return token.room(slot_id)
            case wire.SignatureKinds():
                return token.signature_kinds()
            case wire.MakeKeyPair(kind, key_id, label, public_label):
                return token.make_key_pair(kind, key_id, label, public_label)
            case wire.ImportKeyPair(kind, key_id, label, public_label):
                return token.import_key_pair(kind, key_id, label, public_label)
            case wire.Sign():
                return token.sign(request)
            case wire.SignAtPad(wanted, time_out):
                return token.sign_at_pad(wanted, time_out)
            case wire.WriteCertificate():
                token.write_certificate(request)
            case wire.Relabel(key_id, label):
                return token.relabel(key_id, label)
            case wire.Remove(stored):
                return token.remove(stored)
        return None

    def _log_in(self, serial: str, pin: str) -> None:
        with self._never_twice(serial, pin):
            self._cryptoki.log_in(serial, pin)

    def _change_pin(self, serial: str, present: str, new: str) -> None:
        with self._never_twice(serial, present):
            self._cryptoki.change_pin(serial, present, new)

    @contextmanager
    def _never_twice(self, serial: str, pin: str) -> Iterator[None]:
        """Send `pin` inside, unless this token has refused it since it last accepted one: that would cost a try."""
        digest = hashlib.blake2b(f"{serial} {pin}".encode(), key=self._digest_key).digest()
        if digest in self._refused:
            raise Failure(wire.FailureKind.PIN_REPEATED, "refused before")
        try:
            yield
        except Failure as failure:
            if failure.reply.kind is wire.FailureKind.PIN_WRONG:
                self._refused.add(digest)
            raise
        self._refused.clear()

    def _lend_pin(self, pipe: int | None) -> None:
        pin = self._cryptoki.accepted_pin
        if pin is None or pipe is None:
            raise Failure(wire.FailureKind.DEVICE, "no PIN to lend")
        known_by = sorted(self._cryptoki.known_by)[:_MOST_FINGERPRINTS]
        os.write(pipe, pin.encode("ascii") + b"\0" + b"".join(known_by))


def serve(channel: socket.socket, worker: Worker, finishing: Callable[[float], AbstractContextManager[None]]) -> bool:
    """Answer requests until the other side closes; true where a fresh process should go on instead.

    What writes is carried out inside `finishing`, which is told the seconds that it may take, so that it comes to its
    end whatever becomes of the other side.
    """
    decode = msgspec.msgpack.Decoder(wire.Order).decode
    while True:
        frame, pipe = _receive(channel)
        if frame is None:
            return False
        try:
            secrets = [_secret(channel) for _ in range(wire.SECRETS)]
            order = decode(frame)
            with finishing(order.seconds) if isinstance(order.request, wire.WRITING) else nullcontext():
                reply = _encoded(worker.answer(order.request, secrets, pipe))
        finally:
            if pipe is not None:
                os.close(pipe)
        channel.sendall(len(reply).to_bytes(wire.LENGTH_BYTES, "big") + reply)
        if worker.wants_fresh_process:
            return True


def _encoded(reply: wire.Reply) -> bytes:
    frame = msgspec.msgpack.encode(reply)
    if len(frame) <= wire.LARGEST_FRAME:
        return frame
    return msgspec.msgpack.encode(wire.Failed(wire.FailureKind.DEVICE, f"an answer of {len(frame)} bytes"))


def _receive(channel: socket.socket) -> tuple[bytes | None, int | None]:
    """One frame and the file descriptor that may come with it; (None, None) at the end."""
    head, descriptors, _, _ = channel.recvmsg(wire.LENGTH_BYTES, socket.CMSG_SPACE(array.array("i", [0]).itemsize))
    if not head:
        return None, None
    head += _exactly(channel, wire.LENGTH_BYTES - len(head))
    pipe = None
    for _, kind, data in descriptors:
        if kind == socket.SCM_RIGHTS:
            pipe = array.array("i", data)[0]
    return _exactly(channel, int.from_bytes(head, "big")), pipe


def _secret(channel: socket.socket) -> bytes:
    """One that was not sent is none, and no empty one: a token would count that as a try."""
    secret, _ = _receive(channel)
    if secret is None:
        raise EOFError("the other side closed in the middle of a request")
    return secret


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError("the other side closed in the middle of a message")
        parts += part
    return bytes(parts)


def _read_lent(pipe: int | None) -> tuple[str, frozenset[bytes]]:
    """The PIN, and the fingerprints of the certificates by which the token is known."""
    if pipe is None:
        raise Failure(wire.FailureKind.DEVICE, "no pipe to read a PIN from")
    lent = os.read(pipe, _LONGEST_PIN + 1 + _MOST_FINGERPRINTS * _FINGERPRINT_BYTES)
    if not lent:
        raise Failure(wire.FailureKind.DEVICE, "no PIN has come")
    pin, _, known_by = lent.partition(b"\0")
    starts = range(0, len(known_by), _FINGERPRINT_BYTES)
    return pin.decode("ascii"), frozenset(known_by[start : start + _FINGERPRINT_BYTES] for start in starts)


def _own_channel() -> socket.socket:
    """Take the socket out of a module's reach: some print to standard output, none may talk to our parent."""
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return channel


def _start_anew(channel: socket.socket) -> None:
    """Become what this process was when it was started: the same number and socket, and nothing of the module."""
    os.dup2(channel.fileno(), 0)
    os.execv(sys.executable, [sys.executable, "-I", "-m", "kiosk.tokens.worker", *sys.argv[1:]])  # noqa: S606 - ourselves


def main() -> None:
    """Serve the module of the settings in the first argument, as long as the process in the second lives."""
    parent = int(sys.argv[2])
    end_with_parent(parent, signal.SIGKILL)
    leave_no_core()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # which a terminal or systemd sends to a whole group
        signal.signal(number, signal.SIG_IGN)
    channel = _own_channel()
    settings = msgspec.json.decode(sys.argv[1], type=WorkerSettings)
    with suppress(EOFError, ConnectionError, SystemExit):
        if serve(channel, Worker(Cryptoki(settings)), partial(finishing, parent)):
            _start_anew(channel)
    os._exit(0)  # a module's own clean-up at exit is not trusted to end


if __name__ == "__main__":
    main()
