"""How a good answer is spoiled, one field at a time, and why that is refused.

`OUTSIDE` holds for every type of answer, `BY_SIGNATURE` and `BY_MAC` for those protected that way, `INSIDE` for the
content of one type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.certificates import PublicKey
from kiosk.cmp import der
from kiosk.cmp.algorithms import Algorithm
from kiosk.cmp.client import CmpClient
from kiosk.cmp.crls import read_crl
from kiosk.cmp.envelope import Header, Protector
from kiosk.cmp.errors import Distrust
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.messages import PkiHeader, PkiMessage
from kiosk.cmp.polling import PollAnswer
from kiosk.cmp.responses import CertificateResponse, CertificateResponses
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, rejection, write_error
from kiosk.cmp.vocabulary import (
    CA_CERTIFICATES,
    CLIENT_AUTH,
    CMC_CA,
    CURRENT_CRL,
    REQUEST_TEMPLATE,
    BodyType,
    FailInfo,
    Status,
)
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import LATER, NOW, Identity, Pki, certificate, new_key

Facts = dict[str, Any]
"""What a `FakeCa` is made with."""
SHA1_WITH_RSA = "1.2.840.113549.1.1.5"
HMAC_SHA256 = "1.2.840.113549.2.9"
CODE = SharedSecret(reference=b"TKYM1408054", secret=b"12345678901234560", iterations=200)
MAC1 = replace(CODE, kind=MacKind.PBMAC1)


@dataclass(frozen=True)
class Asking:
    """A way to have a CA answer with one type of message."""

    name: str
    spoiled: BodyType
    """The request whose answer is spoiled."""
    ask: Callable[[CmpClient, Pki], Awaitable[object]] = field(repr=False)
    facts: Facts = field(default_factory=dict, repr=False)

    @property
    def by_code(self) -> bool:
        return "secret" in self.facts


@dataclass(frozen=True)
class Case:
    name: str
    reason: Distrust
    spoil: Callable[[Pki, Pki], Facts] = field(repr=False)
    not_for: frozenset[str] = frozenset()
    """The askings in whose answers this is no fault; each has a test of its own."""
    peculiar_to: frozenset[str] | None = None
    """The askings in whose answers this can be; all, if None."""

    def fits(self, asking: Asking) -> bool:
        return asking.name not in self.not_for and (self.peculiar_to is None or asking.name in self.peculiar_to)


def subject(pki: Pki) -> bytes:
    return pki.customer.certificate.subject_der


async def enrol(client: CmpClient, pki: Pki, protector: Protector | None = None) -> object:
    return await client.enrol(protector or pki.customer, SoftwareKey(new_key()), subject(pki))


async def certify(client: CmpClient, pki: Pki) -> object:
    return await client.certify(pki.customer, SoftwareKey(new_key()), subject(pki))


async def certify_pkcs10(client: CmpClient, pki: Pki) -> object:
    return await client.certify_pkcs10(pki.customer, SoftwareKey(new_key()), subject(pki))


async def update(client: CmpClient, pki: Pki) -> object:
    return await client.update(pki.customer, SoftwareKey(new_key()))


async def revoke(client: CmpClient, pki: Pki) -> None:
    await client.revoke(pki.customer, pki.customer.certificate, 1)


async def general(client: CmpClient, pki: Pki, protector: Protector | None = None) -> object:
    return await client.general(protector or pki.customer)


async def current_crl(client: CmpClient, pki: Pki) -> object:
    return await client.current_crl(pki.customer)


async def newer_crl(client: CmpClient, pki: Pki) -> object:
    known = read_crl(crl(pki, pki), [pki.issuing.certificate], NOW)
    return await client.newer_crl(pki.customer, pki.issuing.certificate, known)


async def confirm(client: CmpClient, pki: Pki) -> None:
    await client.confirm(await client.update(pki.customer, SoftwareKey(new_key())))


async def confirm_by_code(client: CmpClient, pki: Pki) -> None:
    await client.confirm(await client.enrol(MAC1, SoftwareKey(new_key()), subject(pki)))


def refusing(_: int, __: bytes) -> tuple[int, bytes]:
    return BodyType.ERROR, write_error(rejection([FailInfo.SYSTEM_FAILURE], "down"))


IP = Asking("ip", BodyType.IR, enrol)
IP_BY_CODE = Asking("ip by code", BodyType.IR, partial(enrol, protector=CODE), {"secret": CODE})
CP = Asking("cp", BodyType.CR, certify)
CP_OF_PKCS10 = Asking("cp of p10cr", BodyType.P10CR, certify_pkcs10)
KUP = Asking("kup", BodyType.KUR, update)
RP = Asking("rp", BodyType.RR, revoke)
GENP = Asking("genp", BodyType.GENM, general)
GENP_BY_CODE = Asking("genp by code", BodyType.GENM, partial(general, protector=MAC1), {"secret": MAC1})
CRL = Asking("currentCRL", BodyType.GENM, current_crl)
NEWER_CRL = Asking("crls", BodyType.GENM, newer_crl)
POLLREP = Asking("pollRep", BodyType.POLLREQ, update, {"polls": 1})
PKICONF = Asking("pkiConf", BodyType.CERTCONF, confirm)
PKICONF_BY_CODE = Asking("pkiConf by code", BodyType.CERTCONF, confirm_by_code, {"secret": MAC1})
ERROR = Asking("error", BodyType.KUR, update, {"body": refusing})
ERROR_BY_CODE = Asking("error by code", BodyType.IR, partial(enrol, protector=CODE), {"secret": CODE, "body": refusing})

ASKINGS = (
    IP,
    IP_BY_CODE,
    CP,
    CP_OF_PKCS10,
    KUP,
    RP,
    GENP,
    GENP_BY_CODE,
    POLLREP,
    PKICONF,
    PKICONF_BY_CODE,
    ERROR,
    ERROR_BY_CODE,
)
ERRORS = frozenset({ERROR.name, ERROR_BY_CODE.name})
REPORTING_TIME = frozenset({GENP.name, GENP_BY_CODE.name})
WITH_CERTIFICATE = frozenset(each.name for each in (IP, IP_BY_CODE, CP, CP_OF_PKCS10, KUP))


def on_header(**changes: object) -> Callable[[Pki, Pki], Facts]:
    def spoil(header: Header) -> Header:
        return replace(header, **changes)  # type: ignore[arg-type]

    return lambda _, __: {"header": spoil}


def on_wire(change: Callable[[PkiMessage], None]) -> Callable[[Pki, Pki], Facts]:
    def spoil(wire: bytes) -> bytes:
        message = der.decode(PkiMessage, wire)
        change(message)
        return asn1.encode_der(message)

    return lambda _, __: {"wire": spoil}


def signed_by(make: Callable[[Pki, Pki], Protector]) -> Callable[[Pki, Pki], Facts]:
    return lambda pki, foreign: {"signer": make(pki, foreign)}


def claiming(**facts: bytes) -> Callable[[Pki, Pki], Facts]:
    """The CA's signer, whose header tells something else about it."""

    def make(pki: Pki, _: Pki) -> Signer:
        return replace(pki.ca_signer, certificate=replace(pki.ca_signer.certificate, **facts))  # type: ignore[arg-type]

    return signed_by(make)


def with_code(**changes: object) -> Callable[[Pki, Pki], Facts]:
    return signed_by(lambda _, __: replace(CODE, **changes))  # type: ignore[arg-type]


def responding(**changes: object) -> Callable[[Pki, Pki], Facts]:
    def spoil(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(replace(content.responses[0], **changes),))  # type: ignore[arg-type]

    return lambda _, __: {"responses": spoil}


def answering(make: Callable[[CertificateResponses], CertificateResponses]) -> Callable[[Pki, Pki], Facts]:
    return lambda _, __: {"responses": make}


def issuing(make: Callable[[Pki, Pki, PublicKey], object]) -> Callable[[Pki, Pki], Facts]:
    """A certificate made from the public key that was asked for."""
    return lambda pki, foreign: {"issue": partial(make, pki, foreign)}


def strip_protection(message: PkiMessage) -> None:
    message.protection = None


def strip_certificates(message: PkiMessage) -> None:
    message.extra_certs = None


def garble_first_certificate(message: PkiMessage) -> None:
    message.extra_certs = [der.any_value(b"\x30\x00")]


def flip_protection(message: PkiMessage) -> None:
    assert message.protection is not None
    bits = bytearray(message.protection.as_bytes())
    bits[-1] ^= 1
    message.protection = asn1.BitString(bytes(bits), 0)


def shorten_protection(message: PkiMessage) -> None:
    assert message.protection is not None
    message.protection = asn1.BitString(message.protection.as_bytes()[:-1], 0)


def flip_body(message: PkiMessage) -> None:
    content = bytearray(der.value_bytes(message.body))
    content[-1] ^= 1
    message.body = der.any_value(bytes(content))


def set_algorithm(algorithm: Algorithm | None) -> Callable[[PkiMessage], None]:
    def change(message: PkiMessage) -> None:
        header = der.decode(PkiHeader, der.value_bytes(message.header))
        header.protection_alg = None if algorithm is None else algorithm.items()
        message.header = der.any_value(asn1.encode_der(header))

    return change


def asking_for(secret: SharedSecret, **changes: object) -> Callable[[Pki, Pki], Facts]:
    """A MAC that asks for more or less work than it may."""
    return on_wire(set_algorithm(replace(secret, **changes).algorithm))  # type: ignore[arg-type]


def drop_key_id(message: PkiMessage) -> None:
    header = der.decode(PkiHeader, der.value_bytes(message.header))
    header.sender_kid = None
    message.header = der.any_value(asn1.encode_der(header))


def certified_by_a_customer(pki: Pki, _: Pki) -> Signer:
    key, customer_key = new_key(), new_key()
    customer = pki.issue("Sly", customer_key.public_key(), purposes=[CLIENT_AUTH])
    issued = certificate("CMP Signer", key.public_key(), Identity(customer_key, customer), purposes=[CMC_CA])
    return Signer(SoftwareKey(key), issued, (customer, pki.issuing.certificate))


OUTSIDE = (
    Case("version 1", Distrust.VERSION, on_header(pvno=1)),
    Case("version 4", Distrust.VERSION, on_header(pvno=4)),
    # Without protection an error is no answer at all, but an unproven refusal.
    Case("no protection", Distrust.UNPROTECTED, on_wire(strip_protection), not_for=ERRORS),
    Case("no algorithm", Distrust.ALGORITHM, on_wire(set_algorithm(None))),
    Case("SHA-1", Distrust.ALGORITHM, on_wire(set_algorithm(Algorithm(SHA1_WITH_RSA, b"\x05\x00")))),
    Case("a bare HMAC", Distrust.ALGORITHM, on_wire(set_algorithm(Algorithm(HMAC_SHA256)))),
    Case("other bits", Distrust.PROTECTION, on_wire(flip_protection)),
    Case("fewer bits", Distrust.PROTECTION, on_wire(shorten_protection)),
    Case("another body", Distrust.PROTECTION, on_wire(flip_body)),
    Case("another transaction", Distrust.TRANSACTION, on_header(transaction_id=b"t" * 16)),
    Case("no transaction", Distrust.TRANSACTION, on_header(transaction_id=None)),
    Case("another's nonce", Distrust.RECIPIENT_NONCE, on_header(recipient_nonce=b"n" * 16)),
    Case("no nonce of ours", Distrust.RECIPIENT_NONCE, on_header(recipient_nonce=None)),
    Case("no nonce of its own", Distrust.SENDER_NONCE, on_header(sender_nonce=None)),
    Case("a short nonce", Distrust.SENDER_NONCE, on_header(sender_nonce=b"short")),
    # A proven error needs no time; a genp's is reported, not judged.
    Case("no time", Distrust.TIME_MISSING, on_header(message_time=None), not_for=ERRORS),
    Case(
        "an old answer",
        Distrust.TIME,
        on_header(message_time=NOW - timedelta(minutes=6)),
        not_for=ERRORS | REPORTING_TIME,
    ),
    Case(
        "an answer to come",
        Distrust.TIME,
        on_header(message_time=NOW + timedelta(minutes=6)),
        not_for=ERRORS | REPORTING_TIME,
    ),
    Case(
        "another type",
        Distrust.BODY_TYPE,
        lambda _, __: {"body": lambda _, body: (BodyType.CERTCONF, body)},
        not_for=ERRORS,
    ),
    Case("another customer's signature", Distrust.SIGNER_PURPOSE, signed_by(lambda pki, _: pki.other_customer)),
)

BY_SIGNATURE = (
    Case("RSA for an EC key", Distrust.ALGORITHM, on_wire(set_algorithm(Algorithm("1.2.840.113549.1.1.11")))),
    Case("a MAC nobody asked for", Distrust.MAC_UNASKED, with_code()),
    Case("no certificates", Distrust.SIGNER_MISSING, on_wire(strip_certificates)),
    Case("no certificate first", Distrust.SIGNER_MISSING, on_wire(garble_first_certificate)),
    Case("the customer's signature", Distrust.SIGNER_PURPOSE, signed_by(lambda pki, _: pki.customer)),
    Case(
        "for CMP servers of others",
        Distrust.SIGNER_PURPOSE,
        signed_by(lambda pki, _: pki.signer("CMP RA", purposes=["1.3.6.1.5.5.7.3.28"])),
    ),
    Case(
        "the CA itself",
        Distrust.SIGNER_KEY_USAGE,
        signed_by(lambda pki, _: Signer(SoftwareKey(pki.issuing.key), pki.issuing.certificate)),
    ),
    Case(
        "a purpose without signatures",
        Distrust.SIGNER_KEY_USAGE,
        signed_by(lambda pki, _: pki.signer("Mute", signs=False, purposes=[CMC_CA])),
    ),
    Case("another CA's signer", Distrust.SIGNER_PATH, signed_by(lambda _, foreign: foreign.ca_signer)),
    Case(
        "a signer who has expired",
        Distrust.SIGNER_PATH,
        signed_by(lambda pki, _: pki.signer("Late", purposes=[CMC_CA], end=NOW - timedelta(seconds=1))),
    ),
    Case(
        "a signer to come",
        Distrust.SIGNER_PATH,
        signed_by(lambda pki, _: pki.signer("Early", purposes=[CMC_CA], begin=NOW + timedelta(seconds=1))),
    ),
    Case("a signer certified by a customer", Distrust.SIGNER_PATH, signed_by(certified_by_a_customer)),
    Case("another sender", Distrust.SENDER, claiming(subject_der=b"\x30\x00")),
    Case("another key id", Distrust.SENDER_KEY_ID, claiming(subject_key_identifier=b"k" * 20)),
)

BY_MAC = (
    Case("another secret", Distrust.PROTECTION, with_code(secret=b"12345678901234561")),
    Case("another secret, PBMAC1", Distrust.PROTECTION, with_code(secret=b"1", kind=MacKind.PBMAC1)),
    Case("another reference", Distrust.SENDER_KEY_ID, with_code(reference=b"TKYM1408055")),
    Case("no reference", Distrust.SENDER_KEY_ID, on_wire(drop_key_id)),
    Case("too many iterations", Distrust.ALGORITHM, asking_for(CODE, iterations=100_001)),
    Case("too few iterations", Distrust.ALGORITHM, asking_for(CODE, iterations=99)),
    Case("too short a salt", Distrust.ALGORITHM, asking_for(CODE, salt=b"salt")),
    Case("too many iterations, PBMAC1", Distrust.ALGORITHM, asking_for(MAC1, iterations=100_001)),
)


def twice(content: CertificateResponses) -> CertificateResponses:
    return replace(content, responses=content.responses * 2)


def with_roots(_: Pki, foreign: Pki) -> Facts:
    return {"responses": lambda content: replace(content, ca_pubs=(foreign.root.certificate.der,))}


def waiting(*request_ids: int, certificate: bytes | None = None) -> Callable[[Pki, Pki], Facts]:
    responses = tuple(
        CertificateResponse(request_id=each, status=StatusInfo(Status.WAITING), certificate=certificate)
        for each in request_ids
    )
    return answering(lambda _: CertificateResponses(responses=responses))


def polled(*answers: Callable[[PollAnswer], PollAnswer]) -> Callable[[Pki, Pki], Facts]:
    return lambda _, __: {"not_yet": lambda good: [each(good) for each in answers]}


def crl(
    pki: Pki,
    by: Pki,
    begin: datetime = NOW - timedelta(hours=1),
    end: datetime = NOW + timedelta(days=1),
) -> bytes:
    """A CRL in the name of the issuing CA of `pki`, signed by that of `by`."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(pki.issuing.certificate.x509.subject)
    signed = builder.last_update(begin).next_update(end).sign(by.issuing.key, SHA256())
    return signed.public_bytes(Encoding.DER)


def _of_a_version_to_come(pki: Pki, _: Pki) -> bytes:
    return crl(pki, pki).replace(b"\x02\x01\x01", b"\x02\x01\x07", 1)


def listing(make: Callable[[Pki, Pki], bytes]) -> Callable[[Pki, Pki], Facts]:
    return lambda pki, foreign: {"crl": make(pki, foreign)}


def _told(*infos: Info) -> Callable[[Pki, Pki], Facts]:
    return lambda _, __: {"infos": lambda good: [*infos] or good}


def _telling_twice(_: Pki, __: Pki) -> Facts:
    return {"infos": lambda good: good * 2}


def _of_successor(**facts: object) -> Callable[[Pki, Pki], Facts]:
    return issuing(lambda pki, _, key: pki.successor(key, **facts))


def _naming_the_crl(pki: Pki, _: Pki) -> Facts:
    return {"crl": crl(pki, pki), "infos": lambda good: [Info(good[0].kind, der.sequence_of([crl(pki, pki)]))]}


_RP, _GENP, _POLLREP = frozenset({RP.name}), frozenset({GENP.name}), frozenset({POLLREP.name})
_CRL, _NEWER_CRL = frozenset({CRL.name}), frozenset({NEWER_CRL.name})
_CERT = WITH_CERTIFICATE

DOUBTFUL = StatusInfo(Status.ACCEPTED, failures=frozenset({FailInfo.BAD_POP}))

INSIDE = (
    Case("another request", Distrust.REQUEST_ID, responding(request_id=1), peculiar_to=_CERT),
    Case("two answers", Distrust.REQUEST_ID, answering(twice), peculiar_to=_CERT),
    Case("no answer", Distrust.REQUEST_ID, answering(lambda good: replace(good, responses=())), peculiar_to=_CERT),
    Case("another one waits", Distrust.REQUEST_ID, waiting(1), peculiar_to=_CERT),
    Case("two wait", Distrust.REQUEST_ID, waiting(0, 0), peculiar_to=_CERT),
    Case("waiting, and granted", Distrust.STATUS, waiting(0, certificate=b"\x30\x00"), peculiar_to=_CERT),
    Case("a warning", Distrust.STATUS, responding(status=StatusInfo(4)), peculiar_to=_CERT),
    Case("a yes with a reason against it", Distrust.STATUS, responding(status=DOUBTFUL), peculiar_to=_CERT),
    Case("a yes with a reason against it", Distrust.STATUS, lambda _, __: {"statuses": (DOUBTFUL,)}, peculiar_to=_RP),
    Case("no such status", Distrust.STATUS, responding(status=StatusInfo(99)), peculiar_to=_CERT),
    # In answer to a code caPubs may come, and are not looked at.
    Case("roots to trust", Distrust.CA_PUBS, with_roots, peculiar_to=_CERT - {IP_BY_CODE.name}),
    Case("no certificate", Distrust.CERTIFICATE_MISSING, responding(certificate=None), peculiar_to=_CERT),
    Case("no such form", Distrust.CERTIFICATE_UNREADABLE, responding(certificate=b"\x30\x00"), peculiar_to=_CERT),
    Case(
        "another key",
        Distrust.CERTIFICATE_KEY,
        issuing(lambda pki, _, __: pki.successor(new_key().public_key())),
        peculiar_to=_CERT,
    ),
    Case(
        "another subject",
        Distrust.CERTIFICATE_SUBJECT,
        issuing(lambda pki, _, key: pki.issue("Other", key, end=LATER)),
        peculiar_to=_CERT,
    ),
    Case("a CA certificate", Distrust.CERTIFICATE_AUTHORITY, _of_successor(authority=True), peculiar_to=_CERT),
    Case("not for signatures", Distrust.CERTIFICATE_KEY_USAGE, _of_successor(signs=False), peculiar_to=_CERT),
    Case("for servers", Distrust.CERTIFICATE_PURPOSE, _of_successor(purposes=["1.3.6.1.5.5.7.3.1"]), peculiar_to=_CERT),
    Case(
        "not valid yet",
        Distrust.CERTIFICATE_VALIDITY,
        _of_successor(begin=NOW + timedelta(seconds=1)),
        peculiar_to=_CERT,
    ),
    Case(
        "valid no more",
        Distrust.CERTIFICATE_VALIDITY,
        _of_successor(end=NOW - timedelta(seconds=1)),
        peculiar_to=_CERT,
    ),
    Case(
        "no later than the old one",
        Distrust.CERTIFICATE_END,
        issuing(lambda pki, _, key: pki.successor(key, end=pki.customer.certificate.not_after)),
        peculiar_to=frozenset({KUP.name}),
    ),
    Case(
        "another CA's certificate",
        Distrust.CERTIFICATE_PATH,
        issuing(lambda _, foreign, key: foreign.successor(key)),
        peculiar_to=_CERT,
    ),
    Case(
        "a customer's certificate",
        Distrust.CERTIFICATE_PATH,
        issuing(
            lambda pki, _, key: certificate(
                "Customer",
                key,
                Identity(pki.issuing.key, pki.other_customer.certificate),
                purposes=[CLIENT_AUTH],
                end=LATER,
            )
        ),
        peculiar_to=_CERT,
    ),
    Case("two statuses", Distrust.REQUEST_ID, lambda _, __: {"statuses": (StatusInfo(0),) * 2}, peculiar_to=_RP),
    Case("no status", Distrust.REQUEST_ID, lambda _, __: {"statuses": ()}, peculiar_to=_RP),
    Case("a notification", Distrust.STATUS, lambda _, __: {"statuses": (StatusInfo(5),)}, peculiar_to=_RP),
    Case("told of something else", Distrust.INFO, _told(Info(REQUEST_TEMPLATE)), peculiar_to=_GENP),
    Case("told twice", Distrust.INFO, _telling_twice, peculiar_to=_GENP),
    Case("told more", Distrust.INFO, _told(Info(CA_CERTIFICATES), Info(CURRENT_CRL)), peculiar_to=_GENP),
    Case("no CRL", Distrust.CRL, listing(lambda _, __: b"\x30\x00"), peculiar_to=_CRL),
    Case("a CRL of a version to come", Distrust.CRL, listing(_of_a_version_to_come), peculiar_to=_CRL),
    Case("another's CRL", Distrust.CRL, listing(lambda _, foreign: crl(foreign, foreign)), peculiar_to=_CRL),
    Case("a forged CRL", Distrust.CRL, listing(crl), peculiar_to=_CRL),
    Case(
        "a CRL out of date",
        Distrust.CRL,
        listing(lambda pki, _: crl(pki, pki, end=NOW - timedelta(seconds=1))),
        peculiar_to=_CRL,
    ),
    Case(
        "a CRL to come",
        Distrust.CRL,
        listing(lambda pki, _: crl(pki, pki, begin=NOW + timedelta(seconds=1))),
        peculiar_to=_CRL,
    ),
    Case("a CRL that is not newer", Distrust.CRL, _naming_the_crl, peculiar_to=_NEWER_CRL),
    Case("another is polled", Distrust.REQUEST_ID, polled(lambda it: replace(it, request_id=1)), peculiar_to=_POLLREP),
    Case("two are polled", Distrust.REQUEST_ID, polled(lambda it: it, lambda it: it), peculiar_to=_POLLREP),
    Case("none is polled", Distrust.REQUEST_ID, polled(), peculiar_to=_POLLREP),
    Case("yesterday", Distrust.CHECK_AFTER, polled(lambda it: replace(it, check_after=-86_400)), peculiar_to=_POLLREP),
)


def rows() -> list[tuple[Asking, Case]]:
    """Every case with every answer that it can spoil."""
    found = [(asking, case) for asking in ASKINGS for case in OUTSIDE]
    found += [(asking, case) for asking in ASKINGS if not asking.by_code for case in BY_SIGNATURE]
    found += [(asking, case) for asking in ASKINGS if asking.by_code for case in BY_MAC]
    found += [(asking, case) for asking in (*ASKINGS, CRL, NEWER_CRL) for case in INSIDE]
    return [(asking, case) for asking, case in found if case.fits(asking)]


def spoiling_ca(asking: Asking, case: Case, pki: Pki, foreign: Pki) -> FakeCa:
    facts = {"only_for": asking.spoiled, **asking.facts}
    return FakeCa(pki, **{**facts, **case.spoil(pki, foreign)})
