"""A token, as a visit sees it: log in once, then keys and certificates, each in the right process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from kiosk.certificates import Certificate, PublicKey
from kiosk.credentials import Credential, HolderRule
from kiosk.pin import Pin
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.inventory import Inventory, read_inventory
from kiosk.tokens.keys import digest_for, public_key, wire_public
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.wire import (
    Digest,
    FailureKind,
    KeyKind,
    KeyOrigin,
    Room,
    SignatureKind,
    StoredObject,
    StoreKind,
    TokenFacts,
)

_CHALLENGE_BYTES = 32

_HASHES: dict[Digest, hashes.HashAlgorithm] = {
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}

AgainAtPad = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Asks the customer to type the PIN at the reader once more, and makes the attempt it is given until one succeeds."""


@dataclass(frozen=True, slots=True)
class AtPad:
    """Who is asked where the PIN is typed at the reader, and is wanted more than once."""

    prove: AgainAtPad
    """For the fresh process that proves a new credential."""
    sign: AgainAtPad
    """For one signature, by a key that wants the PIN at every signature (CKA_ALWAYS_AUTHENTICATE)."""


class Token:
    """The token that is in, with the process of this visit; `async with` ends every process it started."""

    def __init__(self, settings: ModuleSettings, process: TokenProcess, facts: TokenFacts, rule: HolderRule) -> None:
        """Take over `process`, in which `facts` was found; `rule` tells IDs from subjects."""
        self.facts = facts
        self._settings = settings
        self._process = process
        self._rule = rule
        self._fresh: TokenProcess | None = None
        self._maker: TokenProcess | None = None
        self._understudy: TokenProcess | None = None
        self._exchanged = asyncio.Event()
        """Set once the process is another one."""
        self._opened_without_pin = False
        self._at_pad: AtPad | None = None
        self._changing_process = False
        self._signs: frozenset[SignatureKind] = frozenset(SignatureKind)
        self._logged_in = False
        self.beside: frozenset[str] = frozenset()
        """The serial numbers of the other tokens that have been in together with this one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = (self._process, self._fresh, self._maker, self._understudy)
        endings = [asyncio.create_task(each.end()) for each in processes if each is not None]
        await asyncio.wait(endings)  # also where this is cancelled they come to their end
        for each in endings:
            each.result()

    @property
    def kind(self) -> StoreKind:
        """What kind of store this is."""
        return self._process.store

    @property
    def busy(self) -> bool:
        """Whether the token is at work; then its presence need not be asked."""
        return self._changing_process or self._process.busy

    def at_rest(self) -> AbstractAsyncContextManager[None]:
        """While the block runs the token is asked nothing."""
        return self._process.at_rest()

    @property
    def slots(self) -> tuple[bytes, ...]:
        """The only CKA_IDs that a key can have on this token; empty where any ID will do."""
        return tuple(bytes.fromhex(each) for each in self.facts.traits.key_ids)

    async def look(self) -> TokenFacts | None:
        """This token's facts as they are now; None where it is no longer in.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        found = await self._process.call(wire.FindTokens(), list[TokenFacts], self._settings.limits.look)
        return next((each for each in found if each.serial == self.facts.serial), None)

    async def check_presence(self) -> None:
        """See that this token is in, and that nobody could take another one for it.

        Two of one serial number cannot be told apart before a PIN was given, so none is asked for then. Afterwards the
        session is with the right one (`Cryptoki.check_identity`).

        Raises:
            TokenError: `GONE`; `SWAPPED`, another one is in instead; `SEVERAL`.
            TokenHangs, TokenProcessDied
        """
        found = await find_tokens(self._process)
        namesakes = [each for each in found if each.serial == self.facts.serial]
        others = frozenset(each.serial for each in found) - {self.facts.serial}
        if not namesakes:
            new = others - self.beside
            raise self._fault(FailureKind.SWAPPED if new else FailureKind.GONE, f"{len(others)} others")
        if len(namesakes) > 1 and not self._logged_in:
            raise self._fault(FailureKind.SEVERAL, f"{len(namesakes)} tokens of one number")
        self.beside |= others

    async def process_lost(self) -> TokenProcessDied:
        """Wait until the token's process has died while nothing was asked of it, so that no request can tell."""
        while True:
            watched, exchanged = self._process, self._exchanged
            unnoticed = await watched.died_unnoticed()
            if watched is not self._process:
                continue
            if unnoticed:
                break
            await exchanged.wait()  # whoever asked has been told
        lost = TokenProcessDied("between two requests")
        lost.store = self.kind
        return lost

    def _fault(self, kind: FailureKind, detail: str) -> TokenError:
        fault = TokenError(kind, detail)
        fault.store = self.kind
        return fault

    async def log_in(self, pin: Pin) -> None:
        """Give the token its PIN; it is overwritten here as soon as it was sent.

        Raises:
            TokenError: `PIN_WRONG`, `PIN_LOCKED`, `PIN_NOT_SET`, `PIN_LENGTH`, or another kind.
            TokenHangs, TokenProcessDied
        """
        request = wire.LogIn(self.facts.serial)
        await self._process.call(request, type(None), self._settings.limits.log_in, pin=pin)
        self._logged_in = True
        await self._learn()

    async def log_in_at_pad(self, again: AtPad) -> None:
        """Begin where the PIN is typed at the reader (`facts.pin_pad`).

        Nobody can lend such a PIN, to a fresh process or to a signature: `again` has the customer type it then.

        Raises:
            TokenError: `PAD_CANCELLED`, `PAD_TIMED_OUT`, or as for `log_in`.
            TokenHangs, TokenProcessDied
        """
        await self._log_in_at_pad(self._process)
        self._at_pad = again
        self._logged_in = True
        await self._learn()

    async def _log_in_at_pad(self, process: TokenProcess) -> None:
        limits = self._settings.limits
        await process.call(wire.LogInAtPad(self.facts.serial, limits.pad_time_out), type(None), limits.pad)

    async def change_pin_at_pad(self) -> None:
        """Change the token's PIN, all of it typed at the reader.

        Raises:
            TokenError: `PAD_CANCELLED`, `PAD_TIMED_OUT`, or as for `change_pin`.
            TokenHangs, TokenProcessDied
        """
        limits = self._settings.limits
        await self._process.call(wire.ChangePinAtPad(self.facts.serial, limits.pad_time_out), type(None), limits.pad)

    async def open_without_pin(self) -> None:
        """Begin where no PIN is wanted (`facts.needs_pin` is false).

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        await self._open_without_pin(self._process)
        self._opened_without_pin = True
        await self._learn()

    async def _open_without_pin(self, process: TokenProcess) -> None:
        request = wire.OpenWithoutPin(self.facts.serial)
        await process.call(request, type(None), self._settings.limits.log_in)

    async def change_pin(self, present: Pin, new: Pin) -> None:
        """Change the token's PIN, and go on with the new one; both are overwritten here as soon as they were sent.

        Raises:
            TokenError: `PIN_WRONG`, `PIN_LOCKED`, `PIN_LENGTH` (the token does not take the new one), or another kind.
            TokenHangs, TokenProcessDied
        """
        request = wire.ChangePin(self.facts.serial)
        await self._process.call(request, type(None), self._settings.limits.log_in, pin=present, new_pin=new)
        self._logged_in = True
        await self._learn()

    async def _learn(self) -> None:
        """Ask how it signs: what a message is protected by is written into it before it is signed."""
        limit = self._settings.limits.look
        self._signs = frozenset(await self._process.call(wire.SignatureKinds(), list[SignatureKind], limit))

    @property
    def signs_rsa_by_pss_only(self) -> bool:
        """Whether RSA keys in it can sign by RSASSA-PSS and in no other way."""
        return SignatureKind.RSA_PSS in self._signs and SignatureKind.RSA_PKCS1 not in self._signs

    async def unblock(self, so_pin: Pin, new: Pin) -> None:
        """Set a new PIN with the security officer's; both are overwritten here as soon as they were sent.

        Raises:
            TokenError: `SO_PIN_WRONG`, `SO_PIN_LOCKED`, `PIN_LENGTH` (the token does not take the new one), or another.
            TokenHangs, TokenProcessDied
        """
        request = wire.Unblock(self.facts.serial)
        await self._process.call(request, type(None), self._settings.limits.log_in, pin=so_pin, new_pin=new)

    async def log_in_afresh(self) -> None:
        """Go on in a fresh process, with the PIN the token has accepted, if any: a module's cache may outlive a card.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        fresh = self.warm_up()
        self._changing_process = True
        try:
            await self._let_in(fresh)
            self._fresh = None
            await self._go_on_in(fresh)
        finally:
            self._changing_process = False

    async def _go_on_in(self, process: TokenProcess) -> None:
        used, self._process = self._process, process
        self._exchanged.set()
        self._exchanged = asyncio.Event()
        await used.end()

    @asynccontextmanager
    async def understudied(self) -> AsyncIterator[None]:
        """While the block runs another process is let in, which takes the place of this one where it dies or hangs.

        Whatever killed it is raised all the same. Where the PIN is typed at the reader it is not asked for once more
        for that, and there is no understudy.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        if self._at_pad:
            yield
            return
        understudy = self._understudy = TokenProcess.start(self._settings, self.kind)
        try:
            await self._let_in(understudy)
            try:
                yield
            except (TokenHangs, TokenProcessDied):
                self._understudy = None
                await self._go_on_in(understudy)
                raise
        finally:
            if self._understudy is not None:
                self._understudy = None
                await asyncio.shield(understudy.end())

    async def _let_in(self, process: TokenProcess) -> None:
        if self._opened_without_pin:
            await self._open_without_pin(process)
        elif self._at_pad:
            await self._at_pad.prove(lambda: self._log_in_at_pad(process))
        else:
            await self._process.lend_pin_to(process, self.facts.serial)

    def warm_up(self) -> TokenProcess:
        """Start the process that `log_in_afresh` will use, so that nobody waits for it."""
        if self._fresh is None:
            self._fresh = TokenProcess.start(self._settings, self.kind)
        return self._fresh

    async def inventory(self) -> Inventory:
        """Read what lies on the token.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        objects = await self._process.call(wire.ListObjects(), list[StoredObject], self._settings.limits.look)
        return read_inventory(objects, self._rule, self.slots)

    async def key_kinds(self, origin: KeyOrigin = KeyOrigin.INSIDE) -> list[KeyKind]:
        """The kinds of key pair the token can make, or can sign with once they were put into it.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        return await self._process.call(wire.KeyKinds(origin), list[KeyKind], self._settings.limits.look)

    async def room(self) -> Room:
        """How much is free, as far as the token tells.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        return await self._process.call(wire.AskRoom(self.facts.slot_id), Room, self._settings.limits.look)

    async def make_key_pair(
        self,
        kind: KeyKind,
        key_id: bytes,
        label: str,
        origin: KeyOrigin = KeyOrigin.INSIDE,
        *,
        public_label: str | None = None,
    ) -> TokenKey:
        """Make a key pair inside the token, or in a process that puts it in there and ends.

        Its public half has the same label, or `public_label`.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        if origin is KeyOrigin.EXPORT:
            made = await self._import_key_pair(wire.ImportKeyPair(kind, key_id, label, public_label))
        else:
            request = wire.MakeKeyPair(kind, key_id, label, public_label)
            made = await self._process.call(request, wire.MadeKeyPair, self._settings.limits.make_key_pair)
        try:
            return TokenKey(self, key_id, public_key(made.public))
        except ValueError as error:
            raise self._fault(FailureKind.UNSUITABLE, str(error)) from error

    async def _import_key_pair(self, request: wire.ImportKeyPair) -> wire.MadeKeyPair:
        """In a process of its own; then this one is exchanged: a module may not see what another has written."""
        self._maker = TokenProcess.start(self._settings, self.kind)
        self._changing_process = True
        try:
            await self._let_in(self._maker)
            made = await self._maker.call(request, wire.MadeKeyPair, self._settings.limits.make_key_pair)
        finally:
            maker, self._maker = self._maker, None
            await asyncio.shield(maker.end())
            self._changing_process = False
        await self.log_in_afresh()
        return made

    def key_of(self, credential: Credential) -> TokenKey:
        """The private key of a credential on this token."""
        return TokenKey(self, credential.key_id, credential.certificate.public_key)

    async def sign(self, key_id: bytes, public: PublicKey, data: bytes, *, pss: bool = False) -> bytes:
        """An X.509-form signature over `data` (`digest_for`), by the key with this ID and this public half.

        `pss` for RSASSA-PSS by an RSA key, which not every token can.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        request = wire.Sign(key_id, wire_public(public), data, pss, digest_for(public))
        try:
            return await self._process.call(request, bytes, self._settings.limits.sign)
        except TokenError as error:
            if error.kind is not FailureKind.PAD_WANTED or self._at_pad is None:
                raise
            asks = self._at_pad.sign
        return await self._signed_at_pad(request, asks)

    async def _signed_at_pad(self, request: wire.Sign, asks: AgainAtPad) -> bytes:
        limits = self._settings.limits
        signature = b""

        async def attempt() -> None:
            nonlocal signature
            signature = await self._process.call(wire.SignAtPad(request, limits.pad_time_out), bytes, limits.pad)

        await asks(attempt)
        return signature

    async def proves(self, credential: Credential) -> bool:
        """Whether the token signs a fresh challenge with the key of the certificate.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        challenge = os.urandom(_CHALLENGE_BYTES)
        public, pss = credential.certificate.public_key, self.signs_rsa_by_pss_only
        signature = await self.sign(credential.key_id, public, challenge, pss=pss)
        return _verifies(public, signature, challenge, pss=pss)

    async def write_certificate(
        self, certificate: Certificate, key_id: bytes, label: str, *, by_label: bool = False
    ) -> None:
        """Write `certificate` beside its key, unless it is there; `by_label` where one with another label is not it.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        request = wire.WriteCertificate(
            key_id=key_id,
            label=label,
            der=certificate.der,
            subject=certificate.subject_der,
            issuer=certificate.issuer_der,
            serial_number=_der_integer(certificate.serial_number),
            by_label=by_label,
        )
        await self._process.call(request, type(None), self._settings.limits.write)

    async def relabel(self, key_id: bytes, label: str) -> bool:
        """Give certificates and public keys with `key_id` another label; false where the token does not let us.

        The private key keeps its own.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        return await self._process.call(wire.Relabel(key_id, label), bool, self._settings.limits.write)

    async def remove(self, stored: StoredObject) -> bool:
        """Remove exactly `stored`; false where it is not there any more.

        Raises:
            TokenError, TokenHangs, TokenProcessDied
        """
        return await self._process.call(wire.Remove(stored), bool, self._settings.limits.write)


class TokenKey:
    """A private key inside a token; keeps `kiosk.cmp.signing.SigningKey`."""

    def __init__(self, token: Token, key_id: bytes, public: PublicKey) -> None:
        """The key `key_id` of `token`, whose public half is `public`."""
        self._token = token
        self.key_id = key_id
        self._public = public

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public

    @property
    def signs_by_pss_only(self) -> bool:
        """Whether it is an RSA key whose token knows RSASSA-PSS and nothing else."""
        return isinstance(self._public, rsa.RSAPublicKey) and self._token.signs_rsa_by_pss_only

    async def sign(self, data: bytes) -> bytes:
        """See `Token.sign`."""
        return await self._token.sign(self.key_id, self._public, data)

    async def sign_pss(self, data: bytes) -> bytes:
        """See `Token.sign`; of an RSA key only."""
        return await self._token.sign(self.key_id, self._public, data, pss=True)


async def find_tokens(process: TokenProcess) -> list[TokenFacts]:
    """Every token that is in.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    return await process.call(wire.FindTokens(), list[TokenFacts], process.limits.look)


async def find_blank_tokens(process: TokenProcess) -> list[TokenFacts]:
    """Every token that is in and that nobody has initialised.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    return await process.call(wire.FindBlankTokens(), list[TokenFacts], process.limits.look)


async def initialise(process: TokenProcess, facts: TokenFacts, label: str, so_pin: Pin, new: Pin) -> str:
    """Empty a token for good, and give it a PIN; its serial number then. Nobody may be logged in to it.

    Both PINs are overwritten here as soon as they were sent. A blank token makes `so_pin` its officer's.

    Raises:
        TokenError: `SO_PIN_WRONG`, `SO_PIN_LOCKED`, `SO_PIN_LENGTH`: nothing was changed; `PIN_LENGTH`: it is
            empty, and has no PIN; or another, and it may be either.
        TokenHangs, TokenProcessDied
    """
    request = wire.Initialise(facts.slot_id, facts.serial, label)
    return await process.call(request, str, process.limits.make_key_pair, pin=so_pin, new_pin=new)


async def key_kinds_of(process: TokenProcess, facts: TokenFacts) -> list[KeyKind]:
    """The kinds of key pair that a token can make; nobody has to be logged in.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    return await process.call(wire.KeyKindsInSlot(facts.slot_id), list[KeyKind], process.limits.look)


def _verifies(key: PublicKey, signature: bytes, data: bytes, *, pss: bool) -> bool:
    digest = _HASHES[digest_for(key)]
    try:
        match key:
            case rsa.RSAPublicKey():
                pss_padding = padding.PSS(padding.MGF1(digest), digest.digest_size)
                key.verify(signature, data, pss_padding if pss else padding.PKCS1v15(), digest)
            case ec.EllipticCurvePublicKey():
                key.verify(signature, data, ec.ECDSA(digest))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _der_integer(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([0x02, len(content)]) + content
