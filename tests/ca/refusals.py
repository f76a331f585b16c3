"""Every refusal that RFC 9483 names for whoever answers requests, and those that this CA adds: one row each.

`python -m tests.ca.refusals` writes the tables of docs/cmp.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from kiosk.ca.schema import CertificateState
from kiosk.cmp import der
from kiosk.cmp.algorithms import DIGESTS, NULL, Algorithm, Family
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind
from kiosk.cmp.responses import PKICONF_BODY
from kiosk.cmp.signing import SoftwareKey
from kiosk.cmp.status import StatusInfo
from kiosk.cmp.vocabulary import (
    CA_CERTIFICATES,
    CONFIRM_WAIT_TIME,
    CRL_STATUS_LIST,
    IMPLICIT_CONFIRM,
    PKCS10_REQUEST_ID,
    BodyType,
    FailInfo,
    Status,
)
from tests.ca import spoiled as a
from tests.ca import spoiled_talks as b
from tests.ca.bank import Bank, new_key
from tests.ca.spoiled import Draft, Send

PAGE = Path(__file__).parents[2] / "docs" / "cmp.md"
END = "<!-- end -->"

IR, CR, P10CR, KUR, RR = BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KUR, BodyType.RR
IP, CP, KUP, RP, ERROR = BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.RP, BodyType.ERROR
F = FailInfo


@dataclass(frozen=True)
class Said:
    """How the CA refuses: the failInfo, and the statusString to the letter, so that nothing gets into it unnoticed."""

    failure: FailInfo
    text: str


@dataclass(frozen=True)
class Case:
    """One way of being wrong, and what the CA says to it."""

    wrong: str
    section: str
    """Of RFC 9483, or of the document that it names."""
    send: Send = field(repr=False)
    body_type: BodyType
    """Of the answer."""
    said: Said
    by_mac: bool = False
    """Whether the answer is protected by the code, since the request's MAC was right."""
    at: frozenset[int] | None = None
    """The body types that are taken at the path where it comes in; None for all of them."""
    changes: frozenset[str] = frozenset()
    """Tables that change all the same: of a transaction that had waited for this answer, of what happens meanwhile."""


@dataclass(frozen=True)
class NotRefused:
    """A check that RFC 9483 names and that no request to this CA can fail, with the reason."""

    check: str
    section: str
    reason: str


def error(wrong: str, section: str, send: Send, said: Said, *, by_mac: bool = False) -> Case:
    """An `error`: the message is not taken, or what it belongs to is not there (§3.6.2)."""
    return Case(wrong, section, send, ERROR, said, by_mac)


def _answer(body_type: BodyType) -> Callable[..., Case]:
    def case(wrong: str, section: str, send: Send, said: Said, **facts: object) -> Case:
        return Case(wrong, section, send, body_type, said, **facts)  # type: ignore[arg-type]

    return case


ip, cp, kup, rp = (_answer(each) for each in (IP, CP, KUP, RP))
"""The body that answers the request, with the status `rejection`: the request itself is refused (§3.6.2)."""


# --- what the CA says -------------------------------------------------------------------------------------------------

UNREADABLE = Said(F.BAD_DATA_FORMAT, "the body cannot be read")
NO_MESSAGE = Said(F.BAD_DATA_FORMAT, "this is no CMP message")
MISPLACED = Said(F.BAD_REQUEST, "messages of this type are not answered at this path")
NOT_ANSWERED = Said(F.BAD_REQUEST, "messages of this type are not answered here")
NO_ALGORITHM = Said(F.BAD_ALG, "the protection algorithm is not accepted")
NO_MAC = Said(F.BAD_ALG, "the MAC's parameters are not accepted")
NO_PROTECTION = Said(F.BAD_MESSAGE_CHECK, "the message is not protected")
WRONG = Said(F.BAD_MESSAGE_CHECK, "the protection does not verify")
NOT_OURS = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate is not one of this CA")
NO_REFERENCE = Said(F.BAD_MESSAGE_CHECK, "the sender key id has to be the ID that the code was made for")
NO_SENDER = Said(F.BAD_MESSAGE_CHECK, "the sender is neither empty nor the one of the sender key id")
TO_BE_SIGNED = Said(F.WRONG_INTEGRITY, "messages of this type are to be signed")
NO_ID = Said(F.BAD_DATA_FORMAT, "a transaction id of 16 to 64 bytes is needed")
NO_NONCE = Said(F.BAD_SENDER_NONCE, "a sender nonce of 16 to 64 bytes is needed")
ONE_REQUEST = Said(F.BAD_REQUEST, "one request at a time")
REQUEST_ID = Said(F.BAD_REQUEST, "the certReqId of a single request is 0")
NO_KEY = Said(F.BAD_CERT_TEMPLATE, "a public key that can be read is needed")
NO_KIND = Said(F.BAD_CERT_TEMPLATE, "keys of this kind are not certified")
NO_POP = Said(F.BAD_POP, "possession of the private key is not proven")
BY_NO_RA = Said(F.NOT_AUTHORIZED, "only an RA can say that possession is proven")
ANOTHER_OLD = Said(F.BAD_CERT_ID, "the old certificate is not the signer's")
RESERVED = Said(F.BAD_CERT_TEMPLATE, "signature algorithm and unique ids are not for a template")
CHOSEN = Said(F.BAD_CERT_TEMPLATE, "serial number and version are the CA's to choose")
NOT_THIS_CA = Said(F.BAD_CERT_TEMPLATE, "the issuer is not this CA")
KNOWN_KEY = Said(F.DUPLICATE_CERT_REQ, "this key has been brought before")
USED_ID = Said(F.TRANSACTION_ID_IN_USE, "the transaction id has been used")
ANOTHER_BEGAN = Said(F.NOT_AUTHORIZED, "the signer is not the one who began the transaction")
ENDED = Said(F.BAD_REQUEST, "the transaction has ended")
NO_TRANSACTION = Said(F.BAD_REQUEST, "there is no such transaction")
ONE_ID = Said(F.BAD_REQUEST, "one certReqId, that of the request")
ONE_CONFIRMATION = Said(F.BAD_REQUEST, "one confirmation, for the certReqId of the request")
NONCE = Said(F.BAD_RECIPIENT_NONCE, "the recipient nonce is not the last sender nonce")
NEVER_CONFIRMED = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate was never confirmed")
REVOKED = Said(F.CERT_REVOKED, "the signer's certificate is revoked")
NOT_GOOD = Said(F.CERT_REVOKED, "the signer's certificate is revoked or superseded")
NO_SUCH = Said(F.BAD_CERT_ID, "the signer's holder has no such certificate")
NO_REASON = Said(F.BAD_REQUEST, "this reason revokes nothing")
NOT_TOLD = Said(F.BAD_REQUEST, "what is asked is not told here")
VERSION = Said(F.UNSUPPORTED_VERSION, "protocol versions 2 and 3 are spoken here")
NO_RECIPIENT_NONCE = Said(F.BAD_RECIPIENT_NONCE, "a first message has no recipient nonce")
NO_TIME = Said(F.MISSING_TIME_STAMP, "the message time is missing")
TIME = Said(F.BAD_TIME, "the message time is too far from the time here")
IMPLICIT_IS_NULL = Said(F.BAD_REQUEST, "the value of implicitConfirm is NULL")
ONE_OF_THE_TWO = Said(F.BAD_REQUEST, "implicitConfirm and confirmWaitTime exclude each other")
WAIT_IS_TIME = Said(F.BAD_DATA_FORMAT, "the value of confirmWaitTime is a GeneralizedTime")
NOT_THE_SUBJECT = Said(F.BAD_MESSAGE_CHECK, "the sender is not the subject of the signer's certificate")
NOT_THE_KEY_ID = Said(F.BAD_MESSAGE_CHECK, "the sender key id is not that of the signer's certificate")
NOT_FOR_SIGNATURES = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate is not for signatures")
NOT_YET = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate is not valid yet")
EXPIRED = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate has expired")
PAUSES = Said(F.SYSTEM_UNAVAIL, "too many failed tries: this reference pauses for 15 minutes")
CODE_EXPIRED = Said(F.NOT_AUTHORIZED, "the one-time code has expired")
ONLY_BY_KUR = Said(F.BAD_CERT_ID, "an old certificate is named by a kur only")
OUT_OF_DATE = Said(F.SIGNER_NOT_TRUSTED, "the signer's certificate is out of date")
EARLY = Said(F.BAD_REQUEST, "more than 30 days are left")
SUCCEEDED = Said(F.CERT_REVOKED, "the certificate has a confirmed successor")
SUCCESSOR_REVOKED = Said(F.CERT_REVOKED, "the certificate issued for this key is revoked or superseded")
TOO_MANY_KEYS = Said(F.BAD_REQUEST, "too many keys have been brought for this certificate")
TOO_MANY_CERTIFICATES = Said(F.BAD_REQUEST, "too many certificates have been issued to this holder")
NOT_THE_HOLDER = Said(F.NOT_AUTHORIZED, "the subject is not that of the holder")
NO_ADDITIONAL = Said(F.NOT_AUTHORIZED, "a certificate does not entitle to an additional one here")
CODE_BOUND = Said(F.NOT_AUTHORIZED, "the one-time code is bound to another key")
CODE_GONE = Said(F.NOT_AUTHORIZED, "the one-time code is no longer good")
CA_EXPIRED = Said(F.SYSTEM_UNAVAIL, "the CA's own certificate has expired")
CA_ENDS = Said(F.SYSTEM_UNAVAIL, "the CA's own certificate ends too soon")
NOTHING_ISSUED = Said(F.BAD_REQUEST, "nothing has been issued in this transaction")
ANOTHER_HASH = Said(F.BAD_CERT_ID, "the hash is not that of the certificate issued")
HASH_IN_3 = Said(F.BAD_REQUEST, "a hash is named in messages of version 3 only")
NO_HASH = Said(F.BAD_ALG, "this hash is not accepted")
CONTRADICTION = Said(F.BAD_REQUEST, "a certificate that is accepted has no failInfo")
YES_OR_NO = Said(F.BAD_REQUEST, "a certificate is accepted or rejected")
TOO_LATE = Said(F.CERT_REVOKED, "the certificate was revoked, not confirmed in time, or replaced")
NEW_REVOKED = Said(F.CERT_REVOKED, "the certificate is revoked")
OLD_REVOKED = Said(F.CERT_REVOKED, "the old certificate is revoked")
REPLACED = Said(F.CERT_REVOKED, "the certificate was replaced")
CONFIRMED = Said(F.CERT_CONFIRMED, "the certificate has been confirmed")
NOT_WAITING = Said(F.BAD_REQUEST, "nothing is waited for in this transaction")
TELLER_REFUSED = Said(F.NOT_AUTHORIZED, "a teller has refused the request")
UNDECIDED = Said(F.BAD_REQUEST, "the request was replaced, or not decided in time")
ONE_CERTIFICATE = Said(F.BAD_REQUEST, "one certificate at a time")
NO_SERIAL = Said(F.ADD_INFO_NOT_AVAILABLE, "issuer and serial number of the certificate are needed")
REVOKED_ALREADY = Said(F.CERT_REVOKED, "the certificate is revoked already")
EXPIRED_ALREADY = Said(F.CERT_REVOKED, "the certificate has expired already")
TEN_QUESTIONS = Said(F.BAD_REQUEST, "one to ten questions at a time")
ONE_CRL = Said(F.BAD_REQUEST, "one CRL, named by its issuer, which is this CA")
FAULT = Said(F.SYSTEM_FAILURE, "the CA cannot answer now")
NOT_THE_OLD = Said(F.NOT_AUTHORIZED, "the subject is not that of the old certificate")

# --- what is said to it -----------------------------------------------------------------------------------------------

SHA_1, SHA_256 = "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1"
HMAC_SHA_1, HMAC_SHA_256 = "1.2.840.113549.2.7", "1.2.840.113549.2.9"
PBKDF2, SCRYPT = "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
PBM, PBMAC1 = MacKind.PBM, MacKind.PBMAC1

UNANSWERED = {
    "popdecc": 5,
    "popdecr": 6,
    "krr": 9,
    "krp": 10,
    "ccr": 13,
    "ccp": 14,
    "ckuann": 15,
    "cann": 16,
    "rann": 17,
    "crlann": 18,
    "nested": 20,
    "ip": IP,
    "cp": CP,
    "kup": KUP,
    "rp": RP,
    "pkiconf": BodyType.PKICONF,
    "genp": BodyType.GENP,
    "pollRep": BodyType.POLLREP,
}
ANSWERED = {
    "ir": IR,
    "cr": CR,
    "p10cr": P10CR,
    "kur": KUR,
    "rr": RR,
    "genm": BodyType.GENM,
    "certConf": BodyType.CERTCONF,
    "pollReq": BodyType.POLLREQ,
    "error": ERROR,
}
ENROLMENTS = {"ir": (IR, IP), "cr": (CR, CP), "kur": (KUR, KUP)}

SHORT_RSA, ODD_RSA, EXPONENT_3 = (
    SoftwareKey(rsa.generate_private_key(exponent, bits))
    for exponent, bits in ((65537, 1024), (65537, 2056), (3, 2048))
)
P384, P521 = (SoftwareKey(ec.generate_private_key(curve)) for curve in (ec.SECP384R1(), ec.SECP521R1()))
KOBLITZ = SoftwareKey(ec.generate_private_key(ec.SECP256K1()), new_key().scheme)
EDWARDS = SoftwareKey(ed25519.Ed25519PrivateKey.generate())
OTHER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other")])
MINUTES_6, YEAR = timedelta(minutes=6), timedelta(days=365)
IMPLICIT, WAIT = Info(IMPLICIT_CONFIRM, NULL), Info(CONFIRM_WAIT_TIME, b"\x18\x0f20260301030405Z")
TORN = StatusInfo(Status.ACCEPTED, (), frozenset({F.BAD_CERT_TEMPLATE}))
UTC_TIME = Info(CONFIRM_WAIT_TIME, b"\x17\x0d260301030405Z")


def headers() -> Iterator[Case]:
    """What is wrong with a header (§3.1), whatever the body."""
    yield error("version 1", "3.5", a.header(pvno=1), VERSION)
    yield error("version 4", "3.5", a.header(pvno=4), VERSION)
    yield error("no transactionID", "3.5", a.header(transaction_id=None), NO_ID)
    yield error("a transactionID of 15 bytes", "3.1", a.header(transaction_id=b"t" * 15), NO_ID)
    yield error("a transactionID of 65 bytes", "3.1", a.header(transaction_id=b"t" * 65), NO_ID)
    yield error("no senderNonce", "3.5", a.header(sender_nonce=None), NO_NONCE)
    yield error("a senderNonce of 15 bytes", "3.5", a.header(sender_nonce=b"n" * 15), NO_NONCE)
    yield error("a senderNonce of 65 bytes", "3.5", a.header(sender_nonce=b"n" * 65), NO_NONCE)
    yield error("a recipNonce in a first message", "3.1", a.header(recipient_nonce=b"r" * 16), NO_RECIPIENT_NONCE)
    yield error("no messageTime", "RFC 9810 §5.2.3", a.header(message_time=None), NO_TIME)
    yield error("from six minutes ahead", "3.5", a.late(MINUTES_6), TIME)
    yield error("from six minutes ago", "3.5", a.late(-MINUTES_6), TIME)
    yield error(
        "implicitConfirm with a value",
        "3.1",
        a.header(general_info=(replace(IMPLICIT, value=b"\x02\x01\x00"),)),
        IMPLICIT_IS_NULL,
    )
    yield error(
        "implicitConfirm without NULL", "3.1", a.header(general_info=(Info(IMPLICIT_CONFIRM),)), IMPLICIT_IS_NULL
    )
    yield error("implicitConfirm and confirmWaitTime", "3.1", a.header(general_info=(IMPLICIT, WAIT)), ONE_OF_THE_TWO)
    yield error("a confirmWaitTime in UTCTime", "3.1", a.header(general_info=(UTC_TIME,)), WAIT_IS_TIME)
    yield error("33 infos in the header", "3.5", a.header(general_info=(Info("1.2.3"),) * 33), NO_MESSAGE)


def forms() -> Iterator[Case]:
    """What is no message, or none that is answered (§3.5)."""
    yield error("nothing", "3.5", a.rubbish(b""), NO_MESSAGE)
    yield error("another protocol", "3.5", a.rubbish(b"GET / HTTP/1.1\r\n\r\n"), NO_MESSAGE)
    yield error("an indefinite length", "3.5", a.rubbish(b"\x30\x80" + b"\0" * 50), NO_MESSAGE)
    yield error("an empty SEQUENCE", "3.5", a.rubbish(der.EMPTY_SEQUENCE), NO_MESSAGE)
    yield error("65 certificates along", "3.5", a.rewritten(a.crowded), NO_MESSAGE)
    for name, kind in ANSWERED.items():
        yield error(f"{name} with the body of a pkiconf", "3.5", a.of_type(kind, PKICONF_BODY), UNREADABLE)
    yield Case("kur at the path of cr", "6.1", a.update(), ERROR, MISPLACED, at=frozenset({CR}))
    for name, number in UNANSWERED.items():
        yield error(f"the type {name}", "3.5", a.of_type(number), NOT_ANSWERED)


def signatures() -> Iterator[Case]:
    """What is wrong with a signature, or with whoever made it (§3.2, §3.3, §3.5)."""
    yield error("no protection", "3.2", a.rewritten(a.unprotected), NO_PROTECTION)
    yield error("a protection without algorithm", "3.2", a.rewritten(a.without_algorithm), NO_PROTECTION)
    yield error("a wrong signature", "3.5", a.rewritten(a.flipped), WRONG)
    yield error("a signature by another key", "3.5", a.update(claim=a.with_another_key), WRONG)
    for name, algorithm in (
        ("ECDSA with SHA-1", "1.2.840.10045.4.1"),
        ("ECDSA with SHA-224", "1.2.840.10045.4.3.1"),
        ("RSA with SHA-1", "1.2.840.113549.1.1.5"),
        ("RSA with MD5", "1.2.840.113549.1.1.4"),
        ("DSA with SHA-256", "2.16.840.1.101.3.4.3.2"),
        ("Ed448", "1.3.101.113"),
        ("the DH-based MAC", "1.2.840.113533.7.66.30"),
        ("the KEM-based MAC", "1.2.840.113533.7.66.16"),
        ("HMAC-SHA256 alone", HMAC_SHA_256),
        ("an unknown algorithm", "1.2.3.4"),
        ("RSA-PSS without parameters", "1.2.840.113549.1.1.10"),
        ("RSA over a key on a curve", "1.2.840.113549.1.1.11"),
        ("Ed25519 over another key", "1.3.101.112"),
    ):
        yield error(f"protected by {name}", "3.5", a.by_algorithm(algorithm), NO_ALGORITHM)
    yield error("a kind of signature that policy leaves out", "3.5", a.switched_off(Family.RSA_PSS), NO_ALGORITHM)
    yield error("no extraCerts", "3.3", a.rewritten(a.bare), NOT_OURS)
    yield error("the issuer's certificate first", "3.3", a.rewritten(a.turned_round), NOT_OURS)
    yield error("a signer's certificate that is none", "3.3", a.rewritten(a.garbled), NOT_OURS)
    yield error("a signer that is not in the ledger", "3.5", a.update(claim=a.unknown), NOT_OURS)
    yield error("a signer of a CA of the same name", "3.5", a.update(claim=a.foreign), NOT_OURS)
    yield error("the CA's own signer", "3.5", a.update(claim=a.ca_signer), NOT_OURS)
    yield error("a sender that is not the signer's subject", "3.5", a.update(claim=a.renamed), NOT_THE_SUBJECT)
    yield error("a senderKID that is not the signer's", "3.5", a.update(claim=a.rekeyed), NOT_THE_KEY_ID)
    yield error("a signer that is not for signatures", "3.5", a.by_a_mute_signer, NOT_FOR_SIGNATURES)
    yield error("a revoked signer", "3.5", a.asking(CertificateState.REVOKED), REVOKED)
    yield error("a signer that was not confirmed", "3.5", a.asking(CertificateState.UNCONFIRMED), NEVER_CONFIRMED)
    yield error(
        "a signer that is not valid yet",
        "3.5",
        a.at(lambda certificate: certificate.not_before - timedelta(seconds=1)),
        NOT_YET,
    )
    yield error(
        "a signer that has expired",
        "3.5",
        a.at(lambda certificate: certificate.not_after + timedelta(minutes=15, seconds=1)),
        EXPIRED,
    )


def macs() -> Iterator[Case]:
    """What is wrong with a MAC, or with whoever made it (§3.1, §3.2, §4.1.5; RFC 9481 §6.1)."""
    yield error("a wrong code", "3.5", a.by_code(a.mistyped), WRONG)
    yield error(
        "a wrong code by PBMAC1", "3.5", a.by_code(lambda code: replace(code, kind=PBMAC1, secret=b"1" * 17)), WRONG
    )
    yield error("an ID that nobody has", "3.5", a.by_code(a.with_reference(b"NOBODY")), WRONG)
    yield error("an ID that has no code", "3.5", a.by_somebody_without_a_code, WRONG)
    yield error("a code that was replaced", "3.5", a.by_a_replaced_code, WRONG)
    yield error("a code that was used", "3.5", b.a_used_code, WRONG)
    yield error("no senderKID under a MAC", "3.1", a.by_code(a.without_reference), NO_REFERENCE)
    yield error("a senderKID that is no text", "3.1", a.by_code(a.with_reference(b"\xff" * 8)), NO_REFERENCE)
    yield error("a senderKID of 65 bytes", "3.1", a.by_code(a.with_reference(b"K" * 65)), NO_REFERENCE)
    yield error(
        "a sender that is not the one of the senderKID",
        "3.1",
        a.by_code(a.with_sender(OTHER_NAME.public_bytes())),
        NO_SENDER,
    )
    yield error("a sender that is no directoryName", "3.1", a.without_a_directory_name, NO_SENDER)
    yield error("the right code after ten wrong ones", "4.1.5", a.while_pausing, PAUSES)
    yield error("a code a year old", "4.1.5", a.by_code(later=YEAR), CODE_EXPIRED, by_mac=True)
    for name, kind in (("cr", CR), ("kur", KUR), ("rr", RR)):
        yield error(f"{name} by a code", "3.5", a.by_code(kind=kind), TO_BE_SIGNED)
    yield error(
        "PBM, which policy leaves out",
        "3.5",
        a.under(a.by_code(), protections=frozenset(Family) - {Family.PBM}),
        NO_ALGORITHM,
    )
    yield error(
        "PBMAC1, which policy leaves out",
        "3.5",
        a.under(a.by_code(lambda code: replace(code, kind=PBMAC1)), protections=frozenset(Family) - {Family.PBMAC1}),
        NO_ALGORITHM,
    )
    few = a.under(a.with_parameters(iterations=2000), most_iterations=1000)
    yield error("more iterations than policy lets a MAC ask for", "RFC 9481 §6.1", few, NO_MAC)
    for mac in MacKind:
        for name, changes in (
            ("99 iterations", {"iterations": 99}),
            ("100,001 iterations", {"iterations": 100_001}),
            ("a salt of 7 bytes", {"salt": b"s" * 7}),
            ("a salt of 65 bytes", {"salt": b"s" * 65}),
        ):
            yield error(f"{mac} with {name}", "RFC 9481 §6.1", a.with_parameters(kind=mac, **changes), NO_MAC)
        yield error(f"{mac} with HMAC-SHA1", "RFC 9481 §6.1", a.in_place_of(HMAC_SHA_256, HMAC_SHA_1, mac), NO_MAC)
        yield error(f"{mac} without parameters", "RFC 9481 §6.1", a.without_parameters(mac), NO_MAC)
    yield error("PBM with SHA-1", "RFC 9481 §6.1", a.in_place_of(SHA_256, SHA_1, PBM), NO_MAC)
    yield error("PBMAC1 with another derivation", "RFC 9481 §6.1", a.in_place_of(PBKDF2, SCRYPT, PBMAC1), NO_MAC)


def requests() -> Iterator[Case]:
    """What is wrong with a request for a certificate (§4.1.1 to §4.1.4)."""
    for name, (kind, answer) in ENROLMENTS.items():
        section = {IR: "4.1.1", CR: "4.1.2", KUR: "4.1.3"}[kind]
        yield Case(f"{name} without a request", section, a.draft(kind=kind, count=0), answer, ONE_REQUEST)
        yield Case(f"{name} with two requests", section, a.draft(kind=kind, count=2), answer, ONE_REQUEST)
        for number in (1, PKCS10_REQUEST_ID):
            yield Case(
                f"{name} with the certReqId {number}",
                section,
                a.draft(a.numbered(number), kind=kind),
                answer,
                REQUEST_ID,
            )
        yield Case(
            f"{name} for another subject",
            "5.1.1",
            a.draft(a.another_subject, kind=kind),
            answer,
            NOT_THE_OLD if kind is KUR else NOT_THE_HOLDER,
        )
        yield Case(f"{name} for another issuer", section, a.draft(a.another_issuer, kind=kind), answer, NOT_THIS_CA)
        yield Case(f"{name} with a serial number", "RFC 4211 §5", a.draft(a.own_serial, kind=kind), answer, CHOSEN)
        for field_name, change in (
            ("a signature algorithm", a.own_algorithm),
            ("an issuer's unique id", a.issuer_uid),
            ("a subject's unique id", a.subject_uid),
        ):
            yield Case(f"{name} with {field_name}", "RFC 4211 §5", a.draft(change, kind=kind), answer, RESERVED)
        yield Case(f"{name} with X.509 version 1", section, a.draft(a.version_one, kind=kind), answer, CHOSEN)
        yield Case(
            f"{name} without a key (central key generation)", "4.1.6", a.draft(a.no_key, kind=kind), answer, NO_KEY
        )
        yield Case(
            f"{name} with an empty key (central key generation)",
            "4.1.6",
            a.draft(a.empty_key, kind=kind),
            answer,
            NO_KEY,
        )
        yield Case(
            f"{name} with a key of a kind unknown", section, a.draft(a.key_of_a_kind_unknown, kind=kind), answer, NO_KEY
        )
        for key_name, key in (("RSA of 1024 bits", SHORT_RSA), ("RSA with the exponent 3", EXPONENT_3)):
            yield Case(f"{name} for {key_name}", section, a.draft(kind=kind, key=key), answer, NO_KEY)
        for key_name, key in (
            ("RSA of 2056 bits", ODD_RSA),
            ("P-384", P384),
            ("P-521", P521),
            ("secp256k1", KOBLITZ),
            ("Ed25519", EDWARDS),
        ):
            yield Case(
                f"{name} for {key_name}, which policy leaves out", section, a.draft(kind=kind, key=key), answer, NO_KIND
            )
        for proof_name, prove in (
            ("no proof of possession", a.unproven),
            ("a proof over other bytes", a.signed_over_something_else),
            ("a proof by another key", a.signed_by_another),
            ("a proof by SHA-1", a.signed_by_sha_1),
            ("a proof over POPOSigningKeyInput", a.signed_over_an_input),
            ("a proof by decrypting", a.by_decrypting),
        ):
            yield Case(f"{name} with {proof_name}", "5.1.1", a.draft(kind=kind, prove=prove), answer, NO_POP)
        yield Case(f"{name} with the word of an RA", "5.1.1", a.draft(kind=kind, prove=a.vouched_for), answer, BY_NO_RA)
        yield Case(
            f"{name} for one's own old key", section, a.with_a_key_certified_before(kind, own=True), answer, KNOWN_KEY
        )
        yield Case(
            f"{name} for somebody else's key",
            section,
            a.with_a_key_certified_before(kind, own=False),
            answer,
            KNOWN_KEY,
        )
        yield Case(
            f"{name} by a revoked certificate",
            section,
            a.by_a_certificate(kind, CertificateState.REVOKED),
            answer,
            REVOKED if kind is KUR else NOT_GOOD,
        )
        yield Case(
            f"{name} by one that was not confirmed",
            section,
            a.by_a_certificate(kind, CertificateState.UNCONFIRMED),
            answer,
            NEVER_CONFIRMED,
        )
        yield Case(
            f"{name} by a superseded one",
            section,
            a.by_a_certificate(kind, CertificateState.SUPERSEDED),
            answer,
            SUCCEEDED if kind is KUR else NOT_GOOD,
        )
        yield error(f"{name} naming the old certificate twice", section, a.draft(_naming_twice, kind=kind), UNREADABLE)
    yield ip("ir naming an old certificate", "4.1.1", a.draft(a.names_another, kind=IR), ONLY_BY_KUR)
    yield cp("cr naming an old certificate", "4.1.2", a.draft(a.names_another, kind=CR), ONLY_BY_KUR)
    yield cp(
        "cr by an expired certificate",
        "4.1.2",
        a.at(lambda certificate: certificate.not_after + timedelta(seconds=1), CR),
        OUT_OF_DATE,
    )
    yield kup("kur naming another certificate", "4.1.3", a.draft(a.names_another), ANOTHER_OLD)
    yield kup("kur with 31 days left", "4.1.3", a.update(days_left=31), EARLY)
    yield kup("kur for a second successor", "4.1.3", b.a_second_successor, SUCCEEDED)
    yield kup("kur for a successor that was revoked", "4.1.3", b.a_successor_that_was_revoked, SUCCESSOR_REVOKED)
    yield kup("kur for a successor that has one", "4.1.3", b.a_successor_that_has_one_itself, SUCCESSOR_REVOKED)
    yield kup("kur for a key that a teller has refused", "4.1.3", b.a_key_that_a_teller_refused, TELLER_REFUSED)
    yield kup("kur with one key too many", "4.1.3", b.too_many_keys, TOO_MANY_KEYS)
    yield kup("kur with one certificate too many", "4.1.3", b.too_many_certificates, TOO_MANY_CERTIFICATES)
    yield error("p10cr of another version of PKCS #10", "4.1.4", a.of_another_pkcs10, UNREADABLE)
    yield cp("p10cr with a wrong signature", "5.1.1", a.pkcs10(change=a.badly_signed), NO_POP)
    yield cp("p10cr for another subject", "5.1.1", a.pkcs10(name=OTHER_NAME), NOT_THE_HOLDER)
    yield cp("p10cr for Ed25519, which policy leaves out", "4.1.4", a.pkcs10(key=EDWARDS), NO_KIND)
    yield cp("p10cr for RSA of 1024 bits", "4.1.4", a.pkcs10(key=SHORT_RSA), NO_KEY)
    yield cp(
        "cr where policy allows no additional certificates",
        "4.1.2",
        a.under(a.draft(kind=CR), additional_certificates=False),
        NO_ADDITIONAL,
    )
    yield ip("ir by a code for two", "4.1.5", a.enrolling(count=2), ONE_REQUEST, by_mac=True)
    yield ip(
        "ir by a code for another subject",
        "5.1.1",
        a.enrolling(subject_der=OTHER_NAME.public_bytes()),
        NOT_THE_HOLDER,
        by_mac=True,
    )
    yield error(
        "ir by a code with an unreadable body", "3.5", a.by_code(kind=IR, body=PKICONF_BODY), UNREADABLE, by_mac=True
    )
    yield ip("ir by a code a year old", "4.1.5", a.enrolling(YEAR), CODE_EXPIRED, by_mac=True)
    yield ip("ir by a code for another key", "4.1.5", b.another_key_by_the_same_code, CODE_BOUND, by_mac=True)
    yield ip(
        "ir by a code that is replaced meanwhile",
        "4.1.5",
        b.replaced_while_its_mac_is_checked,
        CODE_GONE,
        by_mac=True,
        changes=frozenset({"codes"}),
    )
    yield error("a transactionID in use", "5.1", b.with_a_used_id(KUR, b.an_update), USED_ID)
    yield error("a transactionID in use, cr", "5.1", b.with_a_used_id(CR, b.an_additional), USED_ID)
    yield error("a transactionID in use, rr", "5.1", b.with_a_used_id(RR, b.a_revocation), USED_ID)
    yield error("the transactionID of a request that was refused", "5.1", b.with_the_id_of_a_refused_one, USED_ID)
    yield kup("a CA that has expired", "3.6.4", a.near_the_ca_s_end(timedelta(minutes=1)), CA_EXPIRED)
    yield kup(
        "a CA that ends no later than the old certificate", "3.6.4", a.near_the_ca_s_end(-timedelta(days=5)), CA_ENDS
    )


def _naming_twice(bank: Bank, drafted: Draft) -> None:
    a.names_another(bank, drafted)
    a.names_it_twice(bank, drafted)


def confirmations() -> Iterator[Case]:
    """What is wrong with a `certConf` (§4.1.1)."""
    sha_512 = Algorithm(next(oid for oid, digest in DIGESTS.items() if digest.name == "sha512"), NULL)
    yield error("certConf in no transaction", "3.5", b.confirming_nothing, NO_TRANSACTION)
    yield error(
        "certConf in another transaction",
        "3.5",
        b.confirming(lambda sent: replace(sent, transaction_id=b"t" * 16)),
        NO_TRANSACTION,
    )
    yield error("certConf while it waits", "3.5", b.confirming_what_waits, NOTHING_ISSUED)
    yield error("certConf by another holder", "4.1.1", b.confirming_by(b.another_holder), ANOTHER_BEGAN)
    yield error("certConf by the new certificate", "4.1.1", b.confirming_by_the_new_one, ANOTHER_BEGAN)
    yield error("certConf by a code", "4.1.1", b.confirming_by_a_code, ANOTHER_BEGAN, by_mac=True)
    yield error("certConf by a wrong code", "4.1.5", b.another_mac_in_certconf, WRONG)
    yield error(
        "certConf without our nonce", "3.5", b.confirming(lambda sent: replace(sent, recipient_nonce=None)), NONCE
    )
    yield error(
        "certConf with another nonce", "3.5", b.confirming(lambda sent: replace(sent, recipient_nonce=b"r" * 16)), NONCE
    )
    yield error(
        "certConf without a nonce of its own",
        "3.5",
        b.confirming(lambda sent: replace(sent, sender_nonce=None)),
        NO_NONCE,
    )
    yield error("certConf for two certificates", "4.1.1", b.confirming_twice_at_once, ONE_CONFIRMATION)
    yield error("certConf for another certReqId", "4.1.1", b.confirming(request_id=1), ONE_CONFIRMATION)
    yield error("certConf with the hash of something else", "5.1.2", b.confirming(cert_hash=b"h" * 32), ANOTHER_HASH)
    yield error("certConf with an empty hash", "5.1.2", b.confirming(cert_hash=b""), ANOTHER_HASH)
    yield error("certConf that names its hash in version 2", "4.1.1", b.confirming(hash_algorithm=sha_512), HASH_IN_3)
    yield error("certConf with SHA-1", "4.1.1", b.confirming(pvno=3, hash_algorithm=Algorithm(SHA_1)), NO_HASH)
    yield error(
        "certConf that says neither yes nor no", "4.1.1", b.confirming(status=StatusInfo(Status.WAITING)), YES_OR_NO
    )
    yield error("certConf that accepts with a failInfo", "4.1.1", b.confirming(status=TORN), CONTRADICTION)
    yield error("certConf too late", "4.1.1", b.confirming_after(b.the_time_went_by), TOO_LATE)
    yield error("certConf after another key came", "4.1.1", b.confirming_after(b.another_key_came), TOO_LATE)
    yield error(
        "certConf for a certificate revoked meanwhile",
        "4.1.1",
        b.confirming_after(b.the_new_one_was_revoked),
        NEW_REVOKED,
    )
    yield error(
        "certConf by one that was revoked meanwhile", "4.1.1", b.confirming_after(b.the_old_one_was_revoked), REVOKED
    )
    yield error(
        "certConf by one that has another successor",
        "4.1.1",
        b.confirming_after(b.the_old_one_was_superseded),
        OLD_REVOKED,
    )
    yield error("certConf for one that was issued anew", "4.1.1", b.confirming_a_replaced_one, REPLACED)
    yield error("certConf twice", "4.1.1", b.confirming_after(b.it_was_confirmed), CONFIRMED)
    yield error("certConf after implicitConfirm was granted", "5.1.2", b.confirming_what_was_implicitly, CONFIRMED)
    yield error("certConf for a request that was refused", "4.1.1", b.confirming_what_was_refused, NO_TRANSACTION)
    yield error("certConf after a rejection", "4.1.1", b.confirming_after(b.it_was_rejected), ENDED)
    yield error("certConf that rejects what was confirmed", "4.1.1", b.rejecting_what_was_confirmed, CONFIRMED)


def polls() -> Iterator[Case]:
    """What is wrong with a `pollReq`, and what it may come to (§4.4)."""
    yield error("pollReq in no transaction", "4.4", b.polling_for_nothing, NO_TRANSACTION)
    yield error("pollReq for what was granted", "4.4", b.polling_for_what_was_granted, NOT_WAITING)
    yield error("pollReq after the answer", "4.4", b.polling_after(b.it_was_answered), NOT_WAITING)
    yield error("pollReq for nothing", "4.4", b.polling(()), ONE_ID)
    yield error("pollReq for another certReqId", "4.4", b.polling((1,)), ONE_ID)
    yield error("pollReq for two", "4.4", b.polling((0, 0)), ONE_ID)
    yield error("pollReq by another holder", "4.4", b.polling_after(b.it_is_another_s), ANOTHER_BEGAN)
    yield error(
        "pollReq with another nonce",
        "4.4",
        b.polling(spoil=lambda sent: replace(sent, recipient_nonce=b"r" * 16)),
        NONCE,
    )
    yield kup(
        "pollReq for what a teller has refused",
        "4.4",
        b.polling_after(b.a_teller_refused),
        TELLER_REFUSED,
        changes=frozenset({"transactions"}),
    )
    yield kup(
        "pollReq for what nobody has decided in time",
        "4.4",
        b.polling_after(b.nobody_decided),
        UNDECIDED,
        changes=frozenset({"transactions"}),
    )


def revocations() -> Iterator[Case]:
    """What is wrong with an `rr` (§4.2)."""
    yield rp("rr for nothing", "4.2", b.revoking(count=0), ONE_CERTIFICATE)
    yield rp("rr for two", "4.2", b.revoking(count=2), ONE_CERTIFICATE)
    yield rp("rr without issuer", "4.2", b.revoking(lambda request: replace(request, issuer_der=None)), NO_SERIAL)
    yield rp(
        "rr without serial number", "4.2", b.revoking(lambda request: replace(request, serial_number=None)), NO_SERIAL
    )
    yield rp(
        "rr for another issuer's",
        "5.1.3",
        b.revoking(lambda request: replace(request, issuer_der=OTHER_NAME.public_bytes())),
        NO_SUCH,
    )
    yield rp(
        "rr for one that there is not", "5.1.3", b.revoking(lambda request: replace(request, serial_number=1)), NO_SUCH
    )
    yield rp(
        "rr for a negative serial number",
        "5.1.3",
        b.revoking(lambda request: replace(request, serial_number=-(request.serial_number or 0))),
        NO_SUCH,
    )
    yield rp("rr for somebody else's", "5.1.3", b.revoking_another_s, NO_SUCH)
    yield rp("rr for the CA's signer", "5.1.3", b.revoking_the_signer, NO_SUCH)
    yield rp("rr for what is revoked already", "5.1.3", b.revoking_twice, REVOKED_ALREADY)
    yield rp("rr for what has expired", "5.1.3", b.revoking_what_has_expired, EXPIRED_ALREADY)
    for number, name in ((7, "a reason that is unused"), (8, "removeFromCRL"), (11, "a reason unknown")):
        yield rp(f"rr for {name}", "4.2", b.revoking(reason=number), NO_REASON)
    yield error("rr for two reasons", "4.2", b.with_reasons(b"\x0a\x01\x01", b"\x0a\x01\x04"), UNREADABLE)
    yield error("rr for a reason that cannot be read", "4.2", b.with_reasons(b"\x02\x01\x01"), UNREADABLE)
    yield error("rr by a revoked certificate", "4.2", b.revoking_by(CertificateState.REVOKED), NOT_GOOD)
    yield error("rr by a superseded one", "4.2", b.revoking_by(CertificateState.SUPERSEDED), NOT_GOOD)
    yield error("rr by one that was not confirmed", "4.2", b.revoking_by(CertificateState.UNCONFIRMED), NEVER_CONFIRMED)
    yield error("rr by an expired one", "4.2", b.revoking_by_one_that_has_expired, OUT_OF_DATE)


def errors() -> Iterator[Case]:
    """A client's own `error`, which ends a transaction and is answered by `pkiconf` (RFC 9810 §5.3.21)."""
    yield error("an error in no transaction", "3.6.1", b.telling_an_error_outside, NO_TRANSACTION)
    yield error("an error by another holder", "3.6.1", b.telling_an_error_in_another_s, ANOTHER_BEGAN)
    yield error("an error twice", "3.6.1", b.telling_an_error_twice, ENDED)
    yield error("certConf after an error", "3.6.1", b.confirming_after_an_error, ENDED)


def questions() -> Iterator[Case]:
    """What is not told (§4.3), and what goes wrong here."""
    yield error("genm that asks nothing", "4.3", b.asking_for(), TEN_QUESTIONS)
    yield error("genm that asks eleven things", "4.3", b.asking_for(*[Info(CA_CERTIFICATES)] * 11), TEN_QUESTIONS)
    yield error("genm with 33 infos", "4.3", b.asking_for(*[Info(CA_CERTIFICATES)] * 33), UNREADABLE)
    yield error("genm for something unknown", "4.3", b.asking_for(Info("1.2.3")), NOT_TOLD)
    yield error("genm for rootCaCert updates", "4.3.2", b.asking_for(Info("1.3.6.1.5.5.7.4.20")), NOT_TOLD)
    yield error("genm for a CRL of no CA", "4.3.4", b.asking_about_crls(b.of_none), ONE_CRL)
    yield error("genm for another CA's CRL", "4.3.4", b.asking_about_crls(b.of_another_issuer), ONE_CRL)
    yield error("genm for two CRLs", "4.3.4", b.asking_about_crls(b.of_two), ONE_CRL)
    yield error("genm for a CRL that it does not name", "4.3.4", b.asking_for(Info(CRL_STATUS_LIST)), UNREADABLE)
    yield error("a fault of ours", "3.6.4", b.with_a_damaged_ledger, FAULT)


CASES = tuple(
    case
    for part in (headers, forms, signatures, macs, requests, confirmations, polls, revocations, errors, questions)
    for case in part()
)

NOT_REFUSED = (
    NotRefused("recipient", "3.1", "§3.5 wants it handled gracefully: whatever it names, this CA is meant"),
    NotRefused(
        "freeText, recipKID, certProfile, unknown generalInfo",
        "3.1",
        "§3.5 wants them handled gracefully; a profile is chosen by the path",
    ),
    NotRefused("implicitConfirm where it is prohibited", "3.1", "§3.5 wants generalInfo handled gracefully"),
    NotRefused("version 3 where 2 would do", "3.1", "§3.5 lets both in"),
    NotRefused("an empty sender under a MAC", "3.1", "the senderKID names the ID; OpenSSL sends no name"),
    NotRefused("no senderKID under a signature", "3.1", "recommended, not required; the certificate comes along"),
    NotRefused("no root, no chain in extraCerts", "3.3", "the ledger knows its signers; OpenSSL sends no root"),
    NotRefused("other certificates after the first", "3.3", "SHOULD be borne with, in any order"),
    NotRefused("path of the signer's certificate", "3.5", "only certificates of the ledger count, which issued them"),
    NotRefused("extensions and validity in a template", "4.1.1", "left out and said so: status grantedWithMods"),
    NotRefused("no subject in a template", "4.1.1", "the CA knows whose certificate it is from the protection"),
    NotRefused("a certConf for no certificate", "4.1.1", "RFC 9810 §5.3.18: it rejects the certificate"),
    NotRefused("grantedWithMods in a certConf", "4.1.1", "some clients return what they were told; it means yes"),
    NotRefused("no oldCertId in a kur", "4.1.3", "optional: the certificate that protects it is meant"),
    NotRefused(
        "other parameters of the MAC in a further message", "4.1.5", "should stay the same, for the client's sake"
    ),
    NotRefused(
        "an rr by another certificate than the revoked one",
        "4.2",
        "it has to be valid, and the holder's own: a lost one",
    ),
    NotRefused("no reason in an rr", "4.2", "taken for unspecified"),
    NotRefused(
        "subject and key in an rr", "4.2", "issuer and serial number name the certificate; the rest is not read"
    ),
    NotRefused("several questions in a genm", "4.3", "RFC 9810 §5.3.19 allows them; up to ten are answered"),
    NotRefused("a value in a genm that should have none", "4.3.1, 4.3.3", "not read"),
    NotRefused("a nested message", "5.2.2", "no RA stands before this CA; the type is refused as a whole"),
    NotRefused(
        "added protection, requests for others", "5.2, 5.3", "no RA stands before this CA: holders ask themselves"
    ),
    NotRefused("a client's error in its own transaction", "3.6.1", "RFC 9810 §5.3.21 has it answered by a pkiconf"),
    NotRefused(
        "a transaction that nobody goes on with", "6", "it ends with confirmWaitTime; who comes later is told how"
    ),
    NotRefused("another media type", "6", "HTTP says 415 before anything is read"),
    NotRefused("a message that is too large", "RFC 9811 §3.3", "HTTP says 413 before anything is read"),
)

NEVER = {
    F.WRONG_AUTHORITY: "no request is refused for its recipient (§3.5)",
    F.INCORRECT_DATA: "for notary services (RFC 9810 §5.2.3)",
    F.TIME_NOT_AVAILABLE: "for time stamping (RFC 9810 §5.2.3)",
    F.UNACCEPTED_POLICY: "for time stamping (RFC 9810 §5.2.3)",
    F.UNACCEPTED_EXTENSION: "for time stamping; what is asked beyond the profile is left out (grantedWithMods)",
}
"""Bits that the CA never sets, and why."""


def table() -> str:
    """The rows in Markdown, by what the CA says."""
    lines = ["| statusString | failInfo | in | because of |", "|---|---|---|---|"]
    for said in dict.fromkeys(case.said for case in CASES):
        cases = [case for case in CASES if case.said == said]
        answers = dict.fromkeys(f"`{case.body_type.name.lower()}`" for case in cases)
        lines.append(
            f"| {said.text} | `{said.failure.field_name}` | {', '.join(answers)} | {'; '.join(_reasons(cases))} |"
        )
    return "\n".join(lines) + "\n"


def _reasons(cases: list[Case]) -> Iterator[str]:
    """What was wrong, by section; what is the same for several types of message, once."""
    by_section: dict[str, dict[str, list[str]]] = {}
    for case in cases:
        kind, _, rest = case.wrong.partition(" ")
        of_kind = (rest, [kind]) if kind in ANSWERED else (case.wrong, [])
        by_section.setdefault(_section(case), {}).setdefault(of_kind[0], []).extend(of_kind[1])
    for section, reasons in by_section.items():
        named = (f"{', '.join(kinds)} {rest}" if kinds else rest for rest, kinds in reasons.items())
        yield f"{'; '.join(named)} ({section})"


def _section(case: Case) -> str:
    """As it is written down; one request is the same in each of §4.1.1 to §4.1.3."""
    if case.section.startswith("RFC"):
        return case.section
    return "§4.1" if case.section in ("4.1.1", "4.1.2", "4.1.3") else f"§{case.section}"


def checks_that_cannot_fail() -> str:
    """The others in Markdown."""
    lines = ["| check | where | why nothing fails it |", "|---|---|---|"]
    for each in NOT_REFUSED:
        section = each.section if each.section.startswith("RFC") else f"§{each.section}"
        lines.append(f"| {each.check} | {section} | {each.reason} |")
    bits = [f"| `{bit.field_name}` | RFC 9810 §5.2.3 | never set: {reason} |" for bit, reason in NEVER.items()]
    return "\n".join(lines + bits) + "\n"


PARTS = {"refusals": table, "not refused": checks_that_cannot_fail}


def page() -> str:
    """docs/cmp.md with the tables as they are."""
    text = PAGE.read_text(encoding="utf-8")
    for part, write in PARTS.items():
        before, mark, rest = text.partition(f"<!-- {part} -->\n")
        text = before + mark + write() + END + rest.partition(END)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
