"""Requests that are wrong in one way each, made from good ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat import asn1

from kiosk.ca import holders, ledger, profile
from kiosk.ca.policy import Policy
from kiosk.ca.profile import Issuer, Validity
from kiosk.ca.schema import CertificateState, PromiseKind
from kiosk.certificates import Certificate, read_certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import PBM, Algorithm, scheme_of_key
from kiosk.cmp.envelope import Header, Protector, write_name
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.messages import (
    CertId,
    CertificationRequest,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    PbmParameters,
    PkiHeader,
    PkiMessage,
    PopSigningKey,
    SubjectPublicKeyInfo,
    TypeAndValue,
)
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import public_key_der, write_pkcs10, write_request, write_requests_with_proof, write_update
from kiosk.cmp.responses import Confirmation, certificate_hash, read_responses, write_confirmation
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo
from kiosk.cmp.vocabulary import CA_CERTIFICATES, OLD_CERT_ID, BodyType, Status
from kiosk.credentials import HolderKind
from tests.ca.bank import Bank, Spoil, Talk, as_it_is, new_key, subject

Send = Callable[[Bank], Coroutine[None, None, bytes]]


# --- messages spoiled outside -----------------------------------------------------------------------------------------


def header(**changes: object) -> Send:
    def spoil(sent: Header) -> Header:
        return replace(sent, **changes)  # type: ignore[arg-type]

    return update(spoil=spoil)


def late(by: timedelta) -> Send:
    async def send(bank: Bank) -> bytes:
        moment = bank.now + by
        return await header(message_time=moment)(bank)

    return send


def update(
    *, spoil: Spoil = as_it_is, claim: Callable[[Bank, Signer], Signer] | None = None, days_left: float = 20
) -> Send:
    async def send(bank: Bank) -> bytes:
        holder = bank.holder(days_left=days_left)
        body = await write_update(holder.certificate, new_key())
        return await bank.write(claim(bank, holder) if claim else holder, BodyType.KUR, body, spoil)

    return send


def rewritten(change: Callable[[PkiMessage], None]) -> Send:
    async def send(bank: Bank) -> bytes:
        message = der.decode(PkiMessage, await update()(bank))
        change(message)
        return der.encode(message)

    return send


def unprotected(message: PkiMessage) -> None:
    message.protection = None


def flipped(message: PkiMessage) -> None:
    assert message.protection is not None
    bits = bytearray(message.protection.as_bytes())
    bits[-1] ^= 1
    message.protection = asn1.BitString(bytes(bits), 0)


def bare(message: PkiMessage) -> None:
    message.extra_certs = None


def garbled(message: PkiMessage) -> None:
    message.extra_certs = [der.any_value(b"\x30\x00")]


def by_sha_1(message: PkiMessage) -> None:
    sent = der.decode(PkiHeader, der.value_bytes(message.header))
    sent.protection_alg = Algorithm("1.2.840.10045.4.1").items()
    message.header = der.any_value(der.encode(sent))


def renamed(_: Bank, holder: Signer) -> Signer:
    return replace(holder, certificate=replace(holder.certificate, subject_der=subject("Other").public_bytes()))


def rekeyed(_: Bank, holder: Signer) -> Signer:
    return replace(holder, certificate=replace(holder.certificate, subject_key_identifier=b"k" * 20))


def unknown(bank: Bank, _: Signer) -> Signer:
    """Issued by this CA, but not in its ledger."""
    key = new_key()
    begin, end = bank.now - timedelta(days=1), bank.now + timedelta(days=20)
    return Signer(key, bank.authority.issue(subject(), key.public_key, begin, end))


def ca_signer(bank: Bank, _: Signer) -> Signer:
    return bank.authority.signer


# --- requests spoiled inside ------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A CertRequest that a test may change before it is signed."""

    old: Certificate
    key: SoftwareKey
    request_id: int = 0
    template: CertTemplate = field(default_factory=CertTemplate)
    named: Certificate | None = None

    def __post_init__(self) -> None:
        self.named = self.old
        self.template.public_key = der.decode(SubjectPublicKeyInfo, public_key_der(self.key.public_key))

    def write(self) -> bytes:
        controls = None
        if self.named is not None:
            old_id = CertId(issuer=write_name(self.named.issuer_der), serial_number=self.named.serial_number)
            value = der.any_value(der.encode(old_id))
            controls = [TypeAndValue(kind=x509.ObjectIdentifier(OLD_CERT_ID), value=value)]
        return der.encode(CertRequest(request_id=self.request_id, template=self.template, controls=controls))


def draft(change: Callable[[Bank, Draft], None] = lambda _, __: None, key: SoftwareKey | None = None) -> Send:
    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        drafted = Draft(holder.certificate, key or new_key())
        change(bank, drafted)
        body = await write_requests_with_proof(drafted.write(), drafted.key)
        return await bank.write(holder, BodyType.KUR, body)

    return send


def names_another(bank: Bank, drafted: Draft) -> None:
    drafted.named = bank.holder().certificate


def names_none(_: Bank, drafted: Draft) -> None:
    drafted.named = None


def number_one(_: Bank, drafted: Draft) -> None:
    drafted.request_id = 1


def number_of_pkcs10(_: Bank, drafted: Draft) -> None:
    drafted.request_id = -1


def another_subject(_: Bank, drafted: Draft) -> None:
    drafted.template.subject = der.read_items(subject("Other").public_bytes())


def another_issuer(_: Bank, drafted: Draft) -> None:
    drafted.template.issuer = der.read_items(subject("Other CA").public_bytes())


def own_serial(_: Bank, drafted: Draft) -> None:
    drafted.template.serial_number = 7


def version_one(_: Bank, drafted: Draft) -> None:
    drafted.template.version = 0


def no_key(_: Bank, drafted: Draft) -> None:
    drafted.template.public_key = None


def proven(write: Callable[[bytes, SoftwareKey], Awaitable[CertReqMsg]], count: int = 1) -> Send:
    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        drafted = Draft(holder.certificate, new_key())
        message = der.encode(await write(drafted.write(), drafted.key))
        return await bank.write(holder, BodyType.KUR, der.sequence_of([message] * count))

    return send


async def signed(request: bytes, key: SoftwareKey, *, over: bytes | None = None) -> CertReqMsg:
    signature = asn1.BitString(await key.sign(over or request), 0)
    proof = PopSigningKey(algorithm=scheme_of_key(key.public_key).algorithm.items(), signature=signature)
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))


async def signed_over_something_else(request: bytes, key: SoftwareKey) -> CertReqMsg:
    return await signed(request, key, over=b"something else")


async def unproven(request: bytes, _: SoftwareKey) -> CertReqMsg:
    return CertReqMsg(request=der.any_value(request))


async def vouched_for(request: bytes, _: SoftwareKey) -> CertReqMsg:
    return CertReqMsg(request=der.any_value(request), proof=asn1.Variant(asn1.Null(), "ra-verified"))


# --- other messages ---------------------------------------------------------------------------------------------------


def plain(kind: int, body: bytes) -> Send:
    async def send(bank: Bank) -> bytes:
        return await bank.write(bank.holder(), kind, body)

    return send


async def revoked(bank: Bank) -> bytes:
    holder = bank.holder()
    bank.revoke(holder.certificate)
    return await bank.write(holder, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))


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
    return await bank.write(Signer(key, certificate), BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))


async def not_yet_valid(bank: Bank) -> bytes:
    holder = bank.holder()
    bank.now = holder.certificate.not_before - timedelta(seconds=1)
    return await bank.write(holder, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))


def confirming(
    *,
    change: Callable[[Confirmation], Confirmation] = lambda confirmation: confirmation,
    other_signer: bool = False,
    spoil: Spoil = as_it_is,
    times: int = 1,
    lapsed: bool = False,
) -> Send:
    """A renewal as far as `kup`, then a `certConf`."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        answer = await bank.send(
            await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
        )
        der_of_new = read_responses(answer.body).responses[0].certificate or b""
        confirmation = change(Confirmation(cert_hash=certificate_hash(read_certificate(der_of_new))))
        signer = bank.holder() if other_signer else holder

        def continued(sent: Header) -> Header:
            return spoil(
                replace(
                    sent,
                    transaction_id=answer.header.transaction_id,
                    recipient_nonce=answer.header.sender_nonce,
                )
            )

        if lapsed:
            bank.now += timedelta(days=14, seconds=1)
        for _ in range(times - 1):
            await bank.ask(signer, BodyType.CERTCONF, write_confirmation(confirmation), continued)
        return await bank.write(signer, BodyType.CERTCONF, write_confirmation(confirmation), continued)

    return send


def waiting(confirmation: Confirmation) -> Confirmation:
    return replace(confirmation, status=StatusInfo(Status.WAITING))


# --- by a one-time code, and by certificates of whoever wants one more ------------------------------------------------


def by_code(
    kind: int = BodyType.IR,
    body: bytes | None = None,
    *,
    claim: Callable[[SharedSecret], Protector] = lambda code: code,
    spoil: Spoil = as_it_is,
) -> Send:
    """A message by a code that is good; by default an `ir`."""

    async def send(bank: Bank) -> bytes:
        content = await write_request(new_key()) if body is None else body
        return await bank.write(claim(bank.newcomer()), kind, content, spoil)

    return send


@dataclass(frozen=True)
class Otherwise:
    """A code that says something else of itself than it is."""

    code: SharedSecret
    sender: bytes
    key_id: bytes | None
    algorithm: Algorithm
    extra_certificates: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, **changes: object) -> Callable[[SharedSecret], Protector]:
        def claim(code: SharedSecret) -> Protector:
            honest = {"sender": code.sender, "key_id": code.key_id, "algorithm": code.algorithm}
            return cls(code, **(honest | changes))  # type: ignore[arg-type]

        return claim

    async def protect(self, data: bytes) -> bytes:
        return await self.code.protect(data)


def pbm(*, one_way: str = "2.16.840.1.101.3.4.2.1", mac: str = "1.2.840.113549.2.9") -> Algorithm:
    """PBM with hashes of one's choice."""
    parameters = PbmParameters(
        salt=b"s" * 16, one_way=Algorithm(one_way).items(), iterations=100, mac=Algorithm(mac).items()
    )
    return Algorithm(PBM, der.encode(parameters))


def asking(kind: int, change: Callable[[Bank, Draft], None], *, count: int = 1, code: bool = False) -> Send:
    """An `ir` or `cr` that is wrong inside, by a certificate or a code."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        drafted = Draft(holder.certificate, new_key())
        drafted.named = None
        change(bank, drafted)
        message = der.encode(await signed(drafted.write(), drafted.key))
        protector: Protector = bank.newcomer() if code else holder
        return await bank.write(protector, kind, der.sequence_of([message] * count))

    return send


def as_it_was(_: Bank, __: Draft) -> None:
    pass


def names_the_old(_: Bank, drafted: Draft) -> None:
    drafted.named = drafted.old


def pkcs10(name: bytes = der.EMPTY_SEQUENCE, *, proven: bool = True, key: SoftwareKey | None = None) -> Send:
    async def send(bank: Bank) -> bytes:
        written = der.decode(CertificationRequest, await write_pkcs10(key or new_key(), name))
        if not proven:
            written.signature = asn1.BitString(await new_key().sign(b"something else"), 0)
        return await bank.write(bank.holder(), BodyType.P10CR, der.encode(written))

    return send


def general_info(*infos: Info) -> Send:
    return header(general_info=infos)


async def of_a_waiting_transaction(bank: Bank) -> bytes:
    """`certConf` where nothing has been issued yet."""
    bank.obey(Policy(approval=frozenset({PromiseKind.ADDITIONAL})))
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    return await talk.write(BodyType.CERTCONF, b"\x30\x00")


async def polling_what_is_issued(bank: Bank) -> bytes:
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    return await talk.write(BodyType.POLLREQ, write_poll_request([0]))


async def paused(bank: Bank) -> bytes:
    code = bank.newcomer()
    for _ in range(bank.policy.most_tries):
        await bank.ask(replace(code, secret=b"0" * 17), BodyType.IR, b"\x30\x00")
    return await bank.write(code, BodyType.IR, await write_request(new_key()))


async def expired(bank: Bank) -> bytes:
    code = bank.newcomer()
    bank.now += bank.policy.code_life + timedelta(seconds=1)
    return await bank.write(code, BodyType.IR, await write_request(new_key()))
