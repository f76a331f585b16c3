"""Single messages that are wrong in one way each, made from good ones."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec

from kiosk.ca import holders, ledger, profile
from kiosk.ca.profile import Issuer, Validity
from kiosk.ca.schema import CertificateState
from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, Algorithm
from kiosk.cmp.envelope import Header, Protector, write_name
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.messages import (
    CertId,
    CertificationRequest,
    CertificationRequestInfo,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    PkiHeader,
    PkiMessage,
    PopSigningKey,
    SubjectPublicKeyInfo,
    TypeAndValue,
)
from kiosk.cmp.requests import public_key_der, write_pkcs10, write_request, write_update
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import CA_CERTIFICATES, OLD_CERT_ID, BodyType
from kiosk.credentials import HolderKind
from tests.ca.bank import Bank, Spoil, as_it_is, new_key, subject

Send = Callable[[Bank], Coroutine[None, None, bytes]]
"""Prepares a bank, and writes the request that it is to refuse."""

QUESTION = write_general([Info(CA_CERTIFICATES)])


def rule(bank: Bank, **changes: object) -> None:
    """Have the bank obey its policy with these changes."""
    bank.obey(msgspec.structs.replace(bank.policy, **changes))


# --- any message, spoiled outside -------------------------------------------------------------------------------------


def update(
    *, spoil: Spoil = as_it_is, claim: Callable[[Bank, Signer], Signer] | None = None, days_left: float = 20
) -> Send:
    """A `kur`; `claim` makes of its holder somebody else."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder(days_left=days_left)
        body = await write_update(holder.certificate, new_key())
        return await bank.write(claim(bank, holder) if claim else holder, BodyType.KUR, body, spoil)

    return send


def header(**changes: object) -> Send:
    def spoil(sent: Header) -> Header:
        return replace(sent, **changes)  # type: ignore[arg-type]

    return update(spoil=spoil)


def late(by: timedelta) -> Send:
    async def send(bank: Bank) -> bytes:
        return await header(message_time=bank.now + by)(bank)

    return send


def rewritten(change: Callable[[PkiMessage], None]) -> Send:
    """Changed after it was protected."""

    async def send(bank: Bank) -> bytes:
        message = der.decode(PkiMessage, await update()(bank))
        change(message)
        return der.encode(message)

    return send


def of_type(number: int, body: bytes = der.EMPTY_SEQUENCE) -> Send:
    """By a holder, of this type, with this body."""

    async def send(bank: Bank) -> bytes:
        return await bank.write(bank.holder(), number, body)

    return send


def rubbish(content: bytes) -> Send:
    async def send(_: Bank) -> bytes:
        return content

    return send


def unprotected(message: PkiMessage) -> None:
    message.protection = None


def without_algorithm(message: PkiMessage) -> None:
    sent = der.decode(PkiHeader, der.value_bytes(message.header))
    sent.protection_alg = None
    message.header = der.any_value(der.encode(sent))


def flipped(message: PkiMessage) -> None:
    assert message.protection is not None
    bits = bytearray(message.protection.as_bytes())
    bits[-1] ^= 1
    message.protection = asn1.BitString(bytes(bits), 0)


def bare(message: PkiMessage) -> None:
    message.extra_certs = None


def garbled(message: PkiMessage) -> None:
    message.extra_certs = [der.any_value(b"\x30\x00")]


def turned_round(message: PkiMessage) -> None:
    assert message.extra_certs is not None
    message.extra_certs = message.extra_certs[::-1]


def crowded(message: PkiMessage) -> None:
    assert message.extra_certs is not None
    message.extra_certs = message.extra_certs[:1] * 65


def by_algorithm(identifier: str, parameters: bytes | None = None) -> Send:
    """A signature that is called something else."""

    def change(message: PkiMessage) -> None:
        sent = der.decode(PkiHeader, der.value_bytes(message.header))
        sent.protection_alg = Algorithm(identifier, parameters).items()
        message.header = der.any_value(der.encode(sent))

    return rewritten(change)


def switched_off(*allowed: str) -> Send:
    """A `kur` by ECDSA at a bank whose policy allows only other protections."""

    async def send(bank: Bank) -> bytes:
        rule(bank, protections=frozenset(allowed))
        return await update()(bank)

    return send


# --- by whom ----------------------------------------------------------------------------------------------------------


def renamed(_: Bank, holder: Signer) -> Signer:
    return replace(holder, certificate=replace(holder.certificate, subject_der=subject("Other").public_bytes()))


def rekeyed(_: Bank, holder: Signer) -> Signer:
    return replace(holder, certificate=replace(holder.certificate, subject_key_identifier=b"k" * 20))


def with_another_key(_: Bank, holder: Signer) -> Signer:
    return replace(holder, key=new_key())


def unknown(bank: Bank, _: Signer) -> Signer:
    """Issued by this CA, but not in its ledger."""
    key = new_key()
    begin, end = bank.now - timedelta(days=1), bank.now + timedelta(days=20)
    return Signer(key, bank.authority.issue(subject(), key.public_key, begin, end))


def foreign(bank: Bank, holder: Signer) -> Signer:
    """The same names and serial number from a CA that somebody else has made."""
    forger, key, old = ec.generate_private_key(ec.SECP256R1()), new_key(), holder.certificate
    issuer, validity = Issuer(forger, bank.authority.issuing), Validity(old.not_before, old.not_after)
    forged = profile.holder_certificate(issuer, old.x509.subject, key.public_key, validity, old.serial_number)
    return Signer(key, forged, (bank.authority.issuing,))


def ca_signer(bank: Bank, _: Signer) -> Signer:
    return bank.authority.signer


def asking(state: CertificateState, **facts: object) -> Send:
    """A question by a certificate in this state."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder(**facts)  # type: ignore[arg-type]
        put(bank, holder.certificate, state)
        return await bank.write(holder, BodyType.GENM, QUESTION)

    return send


def put(bank: Bank, certificate: Certificate, state: CertificateState) -> None:
    """Change the state of a certificate, as somebody else would meanwhile."""
    number = bank.entry(certificate).id
    with bank.book.begin() as connection:
        ledger.change_state(connection, number, state, now=bank.now)


async def by_a_mute_signer(bank: Bank) -> bytes:
    """By a certificate in the ledger whose key usage allows no signatures."""
    key, authority = new_key(), bank.authority
    end = bank.now + timedelta(days=20)
    certificate = profile.authority_certificate(
        Issuer(authority.issuing_key, authority.issuing),
        subject(),
        key.public_key,
        Validity(bank.now - timedelta(days=300), end),
        profile.new_serial(bank.random),
        path_length=0,
    )
    with bank.book.begin() as connection:
        holders.ensure(connection, "mute", HolderKind.USER, subject())
        ledger.record(connection, certificate, holder="mute", state=CertificateState.VALID, now=bank.now)
    return await bank.write(Signer(key, certificate), BodyType.GENM, QUESTION)


def at(moment: Callable[[Certificate], datetime], kind: BodyType = BodyType.GENM) -> Send:
    """A question, or a request, by a certificate at this moment of its life."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        bank.now = moment(holder.certificate)
        body = QUESTION if kind is BodyType.GENM else await write_request(new_key())
        return await bank.write(holder, kind, body)

    return send


# --- by a one-time code -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ByMac:
    """A protector whose algorithm, sender and reference are what a test wants."""

    code: SharedSecret
    algorithm: Algorithm
    sender: bytes = der.EMPTY_SEQUENCE
    key_id: bytes | None = None
    extra_certificates: tuple[bytes, ...] = ()

    async def protect(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()


def mac_called(algorithm: Callable[[SharedSecret], Algorithm]) -> Send:
    """A question protected by a MAC with parameters of its own; what it says is not even computed."""

    async def send(bank: Bank) -> bytes:
        code = bank.newcomer()
        return await bank.write(ByMac(code, algorithm(code), key_id=code.reference), BodyType.GENM, QUESTION)

    return send


def with_parameters(**changes: object) -> Send:
    """A PBM or PBMAC1 that asks for too much or too little."""

    def algorithm(code: SharedSecret) -> Algorithm:
        return replace(code, **changes).algorithm  # type: ignore[arg-type]

    return mac_called(algorithm)


def without_parameters(kind: MacKind) -> Send:
    return mac_called(lambda code: Algorithm(replace(code, kind=kind).algorithm.identifier))


def in_place_of(good: str, bad: str, kind: MacKind) -> Send:
    """Parameters in which one object identifier stands for another of the same length, or of another."""

    def algorithm(code: SharedSecret) -> Algorithm:
        known = replace(code, kind=kind).algorithm
        tree = der.decode(asn1.TLV, known.parameters or b"")
        return Algorithm(known.identifier, _replaced(der.value_bytes(tree), _oid(good), _oid(bad)))

    return mac_called(algorithm)


def _oid(dotted: str) -> bytes:
    return der.encode(x509.ObjectIdentifier(dotted))


def _replaced(value: bytes, good: bytes, bad: bytes) -> bytes:
    """Within any depth of SEQUENCEs, lengths put right."""
    if value == good:
        return bad
    if value[0] != der.EMPTY_SEQUENCE[0]:
        return value
    return der.sequence_of(_replaced(der.value_bytes(item), good, bad) for item in der.read_items(value))


def by_code(
    change: Callable[[SharedSecret], Protector] = lambda code: code,
    *,
    kind: BodyType = BodyType.GENM,
    body: bytes = QUESTION,
    spoil: Spoil = as_it_is,
    later: timedelta = timedelta(),
) -> Send:
    """A message by a code that a teller has just made, and a test changes."""

    async def send(bank: Bank) -> bytes:
        code = bank.newcomer()
        bank.now += later
        return await bank.write(change(code), kind, body, spoil)

    return send


def enrolling(later: timedelta = timedelta(), *, subject_der: bytes | None = None, count: int = 1) -> Send:
    """An `ir` by a code."""

    async def send(bank: Bank) -> bytes:
        code = bank.newcomer()
        bank.now += later
        (request,) = der.read_items(await write_request(new_key(), subject_der=subject_der))
        return await bank.write(code, BodyType.IR, der.write_items([request] * count))

    return send


@dataclass(frozen=True)
class Unnamed:
    """A code whose message gives no sender as a distinguished name, or no reference."""

    code: SharedSecret
    key_id: bytes | None

    @property
    def sender(self) -> bytes:
        return self.code.sender

    @property
    def algorithm(self) -> Algorithm:
        return self.code.algorithm

    @property
    def extra_certificates(self) -> tuple[bytes, ...]:
        return ()

    async def protect(self, data: bytes) -> bytes:
        return await self.code.protect(data)


def without_reference(code: SharedSecret) -> Protector:
    return Unnamed(code, None)


def with_reference(reference: bytes) -> Callable[[SharedSecret], Protector]:
    return lambda code: replace(code, reference=reference)


def with_sender(name: bytes) -> Callable[[SharedSecret], Protector]:
    return lambda code: replace(code, sender=name)


def mistyped(code: SharedSecret) -> Protector:
    return replace(code, secret=b"1" * 17)


async def without_a_directory_name(bank: Bank) -> bytes:
    """By a sender that is an e-mail address."""
    message = der.decode(PkiMessage, await by_code()(bank))
    sent = der.decode(PkiHeader, der.value_bytes(message.header))
    sent.sender = der.any_value(b"\x81\x03a@b")
    message.header = der.any_value(der.encode(sent))
    return der.encode(message)


async def by_somebody_without_a_code(bank: Bank) -> bytes:
    code = bank.newcomer()
    bank.holder()
    return await bank.write(replace(code, reference=b"holder-1"), BodyType.GENM, QUESTION)


async def by_a_replaced_code(bank: Bank) -> bytes:
    code = bank.newcomer()
    bank.code(code.reference.decode())
    return await bank.write(code, BodyType.GENM, QUESTION)


async def while_pausing(bank: Bank) -> bytes:
    """By the right code, after too many wrong ones."""
    code = bank.newcomer()
    for _ in range(bank.policy.most_tries):
        await bank.ask(mistyped(code), BodyType.GENM, QUESTION)
    return await bank.write(code, BodyType.GENM, QUESTION)


# --- requests spoiled inside ------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A CertRequest that a test may change before it is signed."""

    key: SoftwareKey
    old: Certificate | None = None
    """Named as the one to be replaced."""
    request_id: int = 0
    template: CertTemplate = field(default_factory=CertTemplate)
    times_named: int = 1

    def __post_init__(self) -> None:
        self.template.public_key = der.decode(SubjectPublicKeyInfo, public_key_der(self.key.public_key))

    def write(self) -> bytes:
        controls = None
        if self.old is not None:
            old_id = CertId(issuer=write_name(self.old.issuer_der), serial_number=self.old.serial_number)
            value = der.any_value(der.encode(old_id))
            controls = [TypeAndValue(kind=x509.ObjectIdentifier(OLD_CERT_ID), value=value)] * self.times_named
        return der.encode(CertRequest(request_id=self.request_id, template=self.template, controls=controls))


Change = Callable[[Bank, Draft], None]
Prove = Callable[[bytes, SoftwareKey], Awaitable[CertReqMsg]]


async def signed(request: bytes, key: SoftwareKey, *, over: bytes | None = None) -> CertReqMsg:
    signature = asn1.BitString(await key.sign(over or request), 0)
    proof = PopSigningKey(algorithm=key.scheme.algorithm.items(), signature=signature)
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))


def draft(
    change: Change = lambda _, __: None,
    *,
    kind: BodyType = BodyType.KUR,
    key: SoftwareKey | None = None,
    prove: Prove = signed,
    count: int = 1,
) -> Send:
    """A request of this type by a holder's certificate, with a changed draft, a proof, or as often as wanted."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        drafted = Draft(key or new_key())
        if kind is BodyType.KUR:
            drafted.old = holder.certificate
        change(bank, drafted)
        message = der.encode(await prove(drafted.write(), drafted.key))
        return await bank.write(holder, kind, der.sequence_of([message] * count))

    return send


def names_another(bank: Bank, drafted: Draft) -> None:
    drafted.old = bank.holder().certificate


def names_none(_: Bank, drafted: Draft) -> None:
    drafted.old = None


def names_it_twice(_: Bank, drafted: Draft) -> None:
    drafted.times_named = 2


def numbered(number: int) -> Change:
    def change(_: Bank, drafted: Draft) -> None:
        drafted.request_id = number

    return change


def another_subject(_: Bank, drafted: Draft) -> None:
    drafted.template.subject = der.read_items(subject("Other").public_bytes())


def another_issuer(_: Bank, drafted: Draft) -> None:
    drafted.template.issuer = der.read_items(subject("Other CA").public_bytes())


def own_serial(_: Bank, drafted: Draft) -> None:
    drafted.template.serial_number = 7


def version_one(_: Bank, drafted: Draft) -> None:
    drafted.template.version = 0


def own_algorithm(_: Bank, drafted: Draft) -> None:
    drafted.template.signing_alg = drafted.key.scheme.algorithm.items()


def issuer_uid(_: Bank, drafted: Draft) -> None:
    drafted.template.issuer_uid = asn1.BitString(b"u", 0)


def subject_uid(_: Bank, drafted: Draft) -> None:
    drafted.template.subject_uid = asn1.BitString(b"u", 0)


def no_key(_: Bank, drafted: Draft) -> None:
    drafted.template.public_key = None


def empty_key(_: Bank, drafted: Draft) -> None:
    """As somebody asks for a key of this kind to be made for him (RFC 9483 §4.1.6)."""
    info = drafted.template.public_key
    assert info is not None
    drafted.template.public_key = SubjectPublicKeyInfo(algorithm=info.algorithm, key=asn1.BitString(b"", 0))


def key_of_a_kind_unknown(_: Bank, drafted: Draft) -> None:
    info = SubjectPublicKeyInfo(algorithm=Algorithm("1.2.3", NULL).items(), key=asn1.BitString(b"\x00", 0))
    drafted.template.public_key = info


async def signed_over_something_else(request: bytes, key: SoftwareKey) -> CertReqMsg:
    return await signed(request, key, over=b"something else")


async def signed_by_another(request: bytes, _: SoftwareKey) -> CertReqMsg:
    return await signed(request, new_key())


async def signed_by_sha_1(request: bytes, key: SoftwareKey) -> CertReqMsg:
    proof = PopSigningKey(
        algorithm=Algorithm("1.2.840.10045.4.1").items(), signature=asn1.BitString(await key.sign(request), 0)
    )
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))


async def signed_over_an_input(request: bytes, key: SoftwareKey) -> CertReqMsg:
    """POPOSigningKeyInput: for requests that lack the subject or the key, which none may here."""
    proof = PopSigningKey(
        input=[der.any_value(NULL)],
        algorithm=key.scheme.algorithm.items(),
        signature=asn1.BitString(await key.sign(request), 0),
    )
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))


async def unproven(request: bytes, _: SoftwareKey) -> CertReqMsg:
    return CertReqMsg(request=der.any_value(request))


async def vouched_for(request: bytes, _: SoftwareKey) -> CertReqMsg:
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(asn1.Null(), "ra-verified"))


async def by_decrypting(request: bytes, _: SoftwareKey) -> CertReqMsg:
    subsequent = der.any_value(b"\x81\x01\x00")
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(subsequent, "key-encipherment"))


def pkcs10(
    *,
    key: SoftwareKey | None = None,
    name: x509.Name | None = None,
    change: Callable[[CertificationRequest], None] = lambda _: None,
) -> Send:
    """A `p10cr` by a holder's certificate."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        wanted = holder.certificate.subject_der if name is None else name.public_bytes()
        made = await write_pkcs10(key or new_key(), wanted)
        request = der.decode(CertificationRequest, made)
        change(request)
        return await bank.write(holder, BodyType.P10CR, der.encode(request))

    return send


async def of_another_pkcs10(bank: Bank) -> bytes:
    """A `p10cr` that gives another version of PKCS #10, and is signed as it should be."""
    holder, key = bank.holder(), new_key()
    request = der.decode(CertificationRequest, await write_pkcs10(key, holder.certificate.subject_der))
    info = der.decode(CertificationRequestInfo, der.value_bytes(request.info))
    info.version = 1
    written = der.encode(info)
    request.info, request.signature = der.any_value(written), asn1.BitString(await key.sign(written), 0)
    return await bank.write(holder, BodyType.P10CR, der.encode(request))


def badly_signed(request: CertificationRequest) -> None:
    bits = bytearray(request.signature.as_bytes())
    bits[-1] ^= 1
    request.signature = asn1.BitString(bytes(bits), 0)


def with_a_key_certified_before(kind: BodyType, *, own: bool) -> Send:
    """For the key of one's own certificate, or of somebody else's."""

    async def send(bank: Bank) -> bytes:
        holder, other = bank.holder(), bank.holder()
        key = (holder if own else other).key
        old = holder.certificate if kind is BodyType.KUR else None
        return await bank.write(holder, kind, await write_request(key, old=old))

    return send


# --- at a bank in another condition -----------------------------------------------------------------------------------


def under(send: Send, **changes: object) -> Send:
    """The same at a bank with another policy."""

    async def send_there(bank: Bank) -> bytes:
        rule(bank, **changes)
        return await send(bank)

    return send_there


def by_a_certificate(kind: BodyType, state: CertificateState) -> Send:
    """A good request by a certificate in this state."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        put(bank, holder.certificate, state)
        old = holder.certificate if kind is BodyType.KUR else None
        return await bank.write(holder, kind, await write_request(new_key(), old=old))

    return send


def near_the_ca_s_end(after: timedelta) -> Send:
    """A `kur` by a certificate that ends with the CA's own, so long after that end."""

    async def send(bank: Bank) -> bytes:
        bank.now = bank.authority.issuing.not_after - timedelta(days=10)
        holder = bank.holder()
        bank.now = bank.authority.issuing.not_after + after
        return await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))

    return send
