"""`kiosk token enrol ID --csr` and `--certificate`: for a CA that is asked in another way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.certificates import Certificate, UnreadableCertificate, read_certificate_file
from kiosk.clock import system_clock
from kiosk.cmp.requests import write_pkcs10
from kiosk.errors import Code, KioskError
from kiosk.literal import literal
from kiosk.preparation import preferred_kind
from kiosk.request_keys import requesting
from kiosk.storing import stored
from kiosk.token_office.enrolling import done_words
from kiosk.token_office.opening import Counter, Told, log_in, opened
from kiosk.tokens.inventory import PENDING_LABEL, Inventory
from kiosk.tokens.token import Token, TokenKey
from kiosk.tokens.wire import ObjectKind


async def write_request(counter: Counter, holder_id: str, serial: str, path: Path) -> None:
    """Make a key for `holder_id`, or take the one that was made for it, and write a request for it to a new file.

    Raises:
        Told, KioskError
    """
    async with opened(counter, serial) as token:
        if not await log_in(token, counter):
            raise Told(counter.texts("token.pin-needed"))
        key = await _key_for(token, holder_id, counter)
        request = await write_pkcs10(requesting(key, counter.settings.ca.peer), _subject(holder_id))
    pem = x509.load_der_x509_csr(request).public_bytes(Encoding.PEM)
    await asyncio.to_thread(_write_new, path, pem, counter)
    click.echo(counter.texts("token.requested", file=literal(str(path)), id=literal(holder_id)))


def _write_new(path: Path, content: bytes, counter: Counter) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise Told(counter.texts("token.file-exists", file=literal(str(path)))) from error
    except OSError as error:
        raise Told(f"{literal(str(path))}: {error.strerror}") from error


async def store_certificate(counter: Counter, holder_id: str, serial: str, path: Path) -> None:
    """Write the certificate that came of a request beside its key, and prove that it works.

    Raises:
        Told: the file holds none for this ID and a key on the token.
        KioskError: C-06, it is not of our CA; T-30, it does not work; or the token failed.
    """
    new = _read(path, holder_id, counter)
    async with opened(counter, serial) as token:
        if not await log_in(token, counter):
            raise Told(counter.texts("token.pin-needed"))
        key_id = _key_id_of(new, await token.inventory())
        if key_id is None:
            raise Told(counter.texts("token.no-key-for-it"))
        await stored(token, lambda: token.write_certificate(new, key_id, new.common_name), token.inventory)
        await token.log_in_afresh()
        written = next((each for each in (await token.inventory()).credentials if each.certificate == new), None)
        if written is None or not await token.proves(written):
            raise KioskError(Code.NEW_CREDENTIAL_NOT_PROVEN)
        await token.relabel(key_id, new.common_name)
    click.echo(done_words(new, counter.texts))


async def _key_for(token: Token, holder_id: str, counter: Counter) -> TokenKey:
    inventory = counter.anchors.ours_or_begun_in(await token.inventory(), system_clock())
    key_id = inventory.enrolment_key_id(holder_id)
    if key_id is None:
        raise KioskError(Code.NO_FREE_SLOT)
    if inventory.has_key(key_id):
        begun = inventory.public_half_of(key_id)
        if begun is None:
            raise KioskError(Code.SUCCESSOR_NOT_READABLE)
        return TokenKey(token, key_id, begun)
    peer = counter.settings.ca.peer
    kind = preferred_kind(counter.settings.policy.key_kinds, await token.key_kinds(), peer.key_kinds)

    async def clear() -> None:
        for each in (await token.inventory()).objects:
            if each.key_id == key_id:
                await token.remove(each)

    return await stored(token, lambda: token.make_key_pair(kind, key_id, holder_id, public_label=PENDING_LABEL), clear)


def _read(path: Path, holder_id: str, counter: Counter) -> Certificate:
    try:
        (new, *_) = read_certificate_file(path)
    except UnreadableCertificate as error:
        raise Told(counter.texts("token.no-certificate", file=literal(str(path)))) from error
    if counter.settings.policy.holder_rule.holder_of(new).id != holder_id:
        raise Told(counter.texts("token.another-id", name=literal(new.common_name)))
    now = system_clock()
    if not new.valid_at(now) or not counter.anchors.has_issued(new, now):
        raise KioskError(Code.NEW_CERTIFICATE_WRONG)
    return new


def _key_id_of(certificate: Certificate, inventory: Inventory) -> bytes | None:
    """CKA_ID of the private key on the token that the certificate is for."""
    ids = {each.key_id for each in inventory.objects if each.kind is ObjectKind.PRIVATE_KEY}
    halves = ((each, inventory.public_half_of(each)) for each in sorted(ids))
    return next((each for each, half in halves if half == certificate.public_key), None)


def _subject(holder_id: str) -> bytes:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, holder_id)]).public_bytes()
