"""What RFC 9483 has whoever answers requests check, read through section by section, in our own words.

Each check is shown by the rows of `tests.ca.refusals` that say it in its section, or cannot fail here, which
`NOT_REFUSED` has with the reason. A row that belongs to no check is a bound of the house's own, and stands in `OWN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kiosk.cmp.vocabulary import FailInfo
from tests.ca import refusals as r
from tests.ca.refusals import Case, Said

F = FailInfo


@dataclass(frozen=True)
class Check:
    """One check of the RFC."""

    section: str
    what: str
    said: tuple[Said, ...] = ()
    """What this CA says to whoever fails it."""
    bits: frozenset[FailInfo] = frozenset()
    """Those that the RFC names; a MAY (§3.5, §3.6.4). Empty where it names none."""
    unlike: str = ""
    """Why another bit than the named is set."""
    cannot_fail: str = ""
    """The `check` of `NOT_REFUSED` that has the reason."""

    def rows(self) -> Sequence[Case]:
        """The requests that fail it."""
        return [case for case in r.CASES if case.said in self.said and case.section == self.section]


def _check(section: str, what: str, *said: Said, bits: tuple[FailInfo, ...] = (), unlike: str = "") -> Check:
    return Check(section, what, said, frozenset(bits), unlike)


def _cannot_fail(section: str, what: str, check: str) -> Check:
    return Check(section, what, cannot_fail=check)


_HEADER = (
    _cannot_fail("3.1", "version 3 only where it is needed", "version 3 where 2 would do"),
    _check("3.1", "under a MAC the sender's common name is the reference of the secret", r.NO_SENDER),
    _cannot_fail("3.1", "under a MAC there is a sender", "an empty sender under a MAC"),
    _cannot_fail("3.1", "the recipient is the CA, or empty", "recipient"),
    _check("3.1", "under a MAC the senderKID is the reference of the secret", r.NO_REFERENCE),
    _cannot_fail("3.1", "under a signature the senderKID is the certificate's", "no senderKID under a signature"),
    _check("3.1", "a transaction id has 128 random bits", r.NO_ID),
    _check("3.1", "a first message has no recipNonce", r.NO_RECIPIENT_NONCE),
    _check("3.1", "the value of implicitConfirm is NULL", r.IMPLICIT_IS_NULL),
    _cannot_fail("3.1", "implicitConfirm is for requests only", "implicitConfirm where it is prohibited"),
    _check("3.1", "confirmWaitTime excludes implicitConfirm", r.ONE_OF_THE_TWO),
    _check("3.1", "the value of confirmWaitTime is a GeneralizedTime", r.WAIT_IS_TIME),
    _cannot_fail(
        "3.1", "certProfile names one profile, in requests only", "freeText, recipKID, certProfile, unknown generalInfo"
    ),
)

_PROTECTION = (
    _check("3.2", "there is a protection, and its algorithm is given", r.NO_PROTECTION),
    _check("3.3", "extraCerts begin with the certificate that protects the message", r.NOT_OURS),
    _cannot_fail("3.3", "its chain follows", "no root, no chain in extraCerts"),
    _cannot_fail("3.3", "further certificates, in any order, are borne with", "other certificates after the first"),
)

_GENERIC = (
    _check("3.5", "the whole message has the syntax", r.NO_MESSAGE, r.UNREADABLE, bits=(F.BAD_DATA_FORMAT,)),
    _check("3.5", "version 2 or 3", r.VERSION, bits=(F.UNSUPPORTED_VERSION,)),
    _check("3.5", "there is a transaction id", r.NO_ID, bits=(F.BAD_DATA_FORMAT,)),
    _check("3.5", "the type is one that is answered", r.NOT_ANSWERED, bits=(F.BAD_REQUEST,)),
    _check(
        "3.5",
        "the type fits the state of the transaction",
        r.NO_TRANSACTION,
        r.NOTHING_ISSUED,
        bits=(F.BAD_REQUEST,),
    ),
    _check("3.5", "there is a senderNonce of 128 bits or more", r.NO_NONCE, bits=(F.BAD_SENDER_NONCE,)),
    _check("3.5", "the recipNonce is the last senderNonce", r.NONCE, bits=(F.BAD_RECIPIENT_NONCE,)),
    _check("3.5", "the protection verifies", r.WRONG),
    _check("3.5", "a MAC protects only what it may", r.TO_BE_SIGNED, bits=(F.WRONG_INTEGRITY,)),
    _check("3.5", "the senderKID is that of the key", r.NOT_THE_KEY_ID, bits=(F.BAD_MESSAGE_CHECK,)),
    _check("3.5", "the algorithm is accepted, and goes with the key", r.NO_ALGORITHM, bits=(F.BAD_ALG,)),
    _check(
        "3.5",
        "the protecting certificate is trusted: in date, of this CA, confirmed",
        r.NOT_OURS,
        r.NEVER_CONFIRMED,
        r.NOT_YET,
        r.EXPIRED,
        bits=(F.SIGNER_NOT_TRUSTED,),
    ),
    _cannot_fail("3.5", "a path leads from it to a trust anchor", "path of the signer's certificate"),
    _check("3.5", "it may sign, where it says what it may", r.NOT_FOR_SIGNATURES, bits=(F.SIGNER_NOT_TRUSTED,)),
    _check(
        "3.5",
        "its status is checked",
        r.REVOKED,
        bits=(F.BAD_ALG, F.BAD_MESSAGE_CHECK, F.SIGNER_NOT_TRUSTED),
        unlike="RFC 9810 §5.2.3 has certRevoked, by which a client knows that no retry helps",
    ),
    _check("3.5", "under a signature the sender is the subject", r.NOT_THE_SUBJECT, bits=(F.BAD_MESSAGE_CHECK,)),
    _check("3.5", "the messageTime is close to ours", r.TIME, bits=(F.BAD_TIME,)),
    _cannot_fail("3.6.1", "an error is sent by no client", "a client's error in its own transaction"),
    _check("3.6.4", "a system behind is there", r.CA_EXPIRED, r.CA_ENDS, bits=(F.SYSTEM_UNAVAIL,)),
    _check("3.6.4", "a system behind works", r.FAULT, bits=(F.SYSTEM_FAILURE,)),
)

_REQUESTS = (
    *(
        _check(section, f"{kind} has one request, and its certReqId is 0", r.ONE_REQUEST, r.REQUEST_ID)
        for section, kind in (("4.1.1", "ir"), ("4.1.2", "cr"), ("4.1.3", "kur"))
    ),
    *(
        _check(
            section,
            f"the template of {kind} has version 3 if any, and a key that can be certified",
            r.CHOSEN,
            r.NO_KEY,
            r.NO_KIND,
            bits=(F.BAD_CERT_TEMPLATE,),
        )
        for section, kind in (("4.1.1", "ir"), ("4.1.2", "cr"), ("4.1.3", "kur"))
    ),
    *(
        _check(
            section,
            f"the key of {kind} is in no other certificate, where policy wants that (§3.6.4)",
            r.KNOWN_KEY,
            bits=(F.BAD_CERT_TEMPLATE,),
            unlike="RFC 9810 §5.2.3 has duplicateCertReq, by which a client knows that another key is needed",
        )
        for section, kind in (("4.1.1", "ir"), ("4.1.2", "cr"), ("4.1.3", "kur"))
    ),
    _cannot_fail("4.1.1", "there is a subject, in the field or in subjectAltName", "no subject in a template"),
    _cannot_fail("4.1.1", "its extensions are granted or not", "extensions and validity in a template"),
    _check("4.1.2", "the certificate that asks is one of this PKI, and good", r.NOT_GOOD, r.OUT_OF_DATE),
    _check(
        "4.1.3",
        "the certificate to be updated is not revoked, and what protects the kur",
        r.REVOKED,
        r.ANOTHER_OLD,
        bits=(F.BAD_CERT_ID,),
        unlike="RFC 9810 §5.2.3 has certRevoked for one that is revoked",
    ),
    _cannot_fail("4.1.3", "oldCertId names it, if there is one", "no oldCertId in a kur"),
    _check("4.1.4", "PKCS #10 is of version 0", r.UNREADABLE),
    _check("4.1.4", "PKCS #10 brings a key that can be certified", r.NO_KEY, r.NO_KIND, bits=(F.BAD_CERT_TEMPLATE,)),
    _check("4.1.5", "all messages of a transaction are protected by the same secret", r.WRONG),
    _check("4.1.5", "the secret is good for this request", r.CODE_EXPIRED, r.CODE_BOUND, r.CODE_GONE),
    _cannot_fail("4.1.5", "parameters of the MAC stay the same", "other parameters of the MAC in a further message"),
    _check("4.1.6", "a key is made by whoever asks, or here", r.NO_KEY),
    _check("5.1", "a first message has an unused transaction id", r.USED_ID, bits=(F.TRANSACTION_ID_IN_USE,)),
    _check("5.1.1", "possession of the key is proven", r.NO_POP, bits=(F.BAD_POP,)),
    _check("5.1.1", "raVerified is said by an RA", r.BY_NO_RA, bits=(F.NOT_AUTHORIZED,)),
    _check("5.1.1", "the subject is whoever asks", r.NOT_THE_HOLDER, r.NOT_THE_OLD, bits=(F.NOT_AUTHORIZED,)),
)

_CONFIRMATIONS = (
    _check("4.1.1", "certConf is about the one certificate, by its certReqId", r.ONE_CONFIRMATION),
    _cannot_fail("4.1.1", "certConf has one CertStatus", "a certConf for no certificate"),
    _check("4.1.1", "hashAlg comes in version 3, and is accepted", r.HASH_IN_3, r.NO_HASH),
    _check("4.1.1", "certConf says accepted or rejection", r.YES_OR_NO),
    _cannot_fail("4.1.1", "its positive status is accepted", "grantedWithMods in a certConf"),
    _check("4.1.1", "a failInfo comes with a rejection only", r.CONTRADICTION),
    _check(
        "4.1.1",
        "certConf is by whoever has asked, with the same credentials",
        r.ANOTHER_BEGAN,
        bits=(F.NOT_AUTHORIZED,),
    ),
    _check("4.1.1", "a certConf that does not come in time counts as a rejection", r.TOO_LATE),
    _check("4.1.1", "no certConf follows a rejection", r.NO_TRANSACTION, r.ENDED),
    _check("5.1.2", "no certConf follows implicit confirmation", r.CONFIRMED),
    _check("5.1.2", "the hash is that of the certificate", r.ANOTHER_HASH, bits=(F.BAD_CERT_ID,)),
)

_REVOCATIONS = (
    _cannot_fail(
        "4.2", "the certificate to be revoked protects the rr", "an rr by another certificate than the revoked one"
    ),
    _check("4.2", "the certificate that protects it is good", r.NOT_GOOD, r.NEVER_CONFIRMED, r.OUT_OF_DATE),
    _check("4.2", "rr is about one certificate", r.ONE_CERTIFICATE),
    _check("4.2", "it gives serial number and issuer", r.NO_SERIAL),
    _check("4.2", "its reason is one of RFC 5280, and one", r.NO_REASON, r.UNREADABLE),
    _cannot_fail("4.2", "there is a reason", "no reason in an rr"),
    _check("5.1.3", "the certificate exists, and is of this CA", r.NO_SUCH, bits=(F.BAD_CERT_ID,)),
    _check("5.1.3", "it is neither revoked nor expired", r.REVOKED_ALREADY, r.EXPIRED_ALREADY, bits=(F.CERT_REVOKED,)),
)

_VALUE = "a value in a genm that should have none"

_OTHERS = (
    _check("4.3", "genm asks for something that is told", r.TEN_QUESTIONS, r.NOT_TOLD),
    _cannot_fail("4.3", "genm asks for one thing", "several questions in a genm"),
    _cannot_fail("4.3.1", "nothing goes along with a question for CA certificates", _VALUE),
    _check("4.3.2", "an update of the root is told (optional, §7.1)", r.NOT_TOLD),
    _cannot_fail("4.3.3", "nothing goes along with a question for the template", _VALUE),
    _check("4.3.4", "one CRL is asked for, by a source known here", r.ONE_CRL, r.UNREADABLE),
    _check("4.4", "pollReq is about what waits, by its certReqId", r.ONE_ID, r.NOT_WAITING, r.NO_TRANSACTION),
    _check("4.4", "pollReq is by whoever has asked, with the same credentials", r.ANOTHER_BEGAN),
    _check("4.4", "pollReq returns the last senderNonce", r.NONCE, bits=(F.BAD_RECIPIENT_NONCE,)),
    _check("4.4", "what was waited for is refused in the answer to the request", r.TELLER_REFUSED, r.UNDECIDED),
    _cannot_fail("5.2.2", "a nested message is by an RA", "a nested message"),
    _cannot_fail("5.3", "requests for others are by an RA", "added protection, requests for others"),
    _cannot_fail("6", "a transaction that nobody goes on with is closed", "a transaction that nobody goes on with"),
    _cannot_fail("6", "the media type is application/pkixcmp", "another media type"),
    _check("6.1", "the label of the path is that of the operation", r.MISPLACED),
)

CHECKS = (*_HEADER, *_PROTECTION, *_GENERIC, *_REQUESTS, *_CONFIRMATIONS, *_REVOCATIONS, *_OTHERS)

OWN = {
    r.UNREADABLE: "an old certificate that is named twice contradicts itself",
    r.PAUSES: "a one-time code is short: guessing is slowed down",
    r.ANOTHER_BEGAN: "a client's error, which RFC 9810 §5.3.21 allows",
    r.NO_TRANSACTION: "a client's error",
    r.ENDED: "a client's error",
    r.ONE_REQUEST: "as of a request by a signature",
    r.NOT_THIS_CA: "RFC 4211 §5: the issuer is the CA",
    r.NEVER_CONFIRMED: "as of every other message",
    r.NOT_GOOD: "as of every other message",
    r.SUCCEEDED: "one confirmed successor",
    r.SUCCESSOR_REVOKED: "one confirmed successor",
    r.ONLY_BY_KUR: "RFC 4211 §6.5",
    r.EARLY: "a renewal has its window",
    r.TOO_MANY_KEYS: "bounds what one holder can fill",
    r.TOO_MANY_CERTIFICATES: "bounds what one holder can fill",
    r.TELLER_REFUSED: "asked for anew what a teller has said no to",
    r.NO_ADDITIONAL: "policy",
    r.REVOKED: "revoked while its confirmation was waited for",
    r.NEW_REVOKED: "revoked while its confirmation was waited for",
    r.OLD_REVOKED: "revoked while its confirmation was waited for",
    r.REPLACED: "another certificate was issued for the same key",
    r.CONFIRMED: "a second certConf, or an opposite one",
}
"""What is said in a section of the RFC without a check of its own there, and why."""
