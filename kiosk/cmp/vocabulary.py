"""The numbers of CMP by name: message types, states, failures and object identifiers."""

from __future__ import annotations

from enum import IntEnum

PVNO = 2
"""The protocol version spoken first, cmp2000 (RFC 9810 §7)."""
PVNO_2021 = 3
"""cmp2021: where a `certConf` names its hash (RFC 9810 §5.3.18, §7)."""
VERSIONS = (PVNO, PVNO_2021)
"""The protocol versions understood."""

CONTENT_TYPE = "application/pkixcmp"
"""Of every request and answer (RFC 9811 §3.4)."""

NONCE_LENGTH = 16
"""Bytes of a nonce and of a transaction id (RFC 9483 §3.1: 128 bits)."""


class BodyType(IntEnum):
    """The alternatives of PKIBody that are spoken here (RFC 9810 §5.1.2)."""

    IR = 0
    IP = 1
    CR = 2
    CP = 3
    P10CR = 4
    KUR = 7
    KUP = 8
    RR = 11
    RP = 12
    PKICONF = 19
    GENM = 21
    GENP = 22
    ERROR = 23
    CERTCONF = 24
    POLLREQ = 25
    POLLREP = 26


ANSWERS = {
    BodyType.IR: BodyType.IP,
    BodyType.CR: BodyType.CP,
    BodyType.P10CR: BodyType.CP,
    BodyType.KUR: BodyType.KUP,
    BodyType.RR: BodyType.RP,
    BodyType.GENM: BodyType.GENP,
    BodyType.CERTCONF: BodyType.PKICONF,
}
"""Which body answers which, where nothing stands in the way."""

PKCS10_REQUEST_ID = -1
"""The certReqId of a request in PKCS #10, which has none of its own (RFC 9810 §5.3.4)."""


class Status(IntEnum):
    """PKIStatus (RFC 9810 §5.2.3)."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3


class FailInfo(IntEnum):
    """The bits of PKIFailureInfo, by their number (RFC 9810 §5.2.3)."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERT_ID = 4
    BAD_DATA_FORMAT = 5
    WRONG_AUTHORITY = 6
    INCORRECT_DATA = 7
    MISSING_TIME_STAMP = 8
    BAD_POP = 9
    CERT_REVOKED = 10
    CERT_CONFIRMED = 11
    WRONG_INTEGRITY = 12
    BAD_RECIPIENT_NONCE = 13
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADD_INFO_NOT_AVAILABLE = 17
    BAD_SENDER_NONCE = 18
    BAD_CERT_TEMPLATE = 19
    SIGNER_NOT_TRUSTED = 20
    TRANSACTION_ID_IN_USE = 21
    UNSUPPORTED_VERSION = 22
    NOT_AUTHORIZED = 23
    SYSTEM_UNAVAIL = 24
    SYSTEM_FAILURE = 25
    DUPLICATE_CERT_REQ = 26

    @property
    def field_name(self) -> str:
        """The name RFC 9810 gives the bit: `badTime` for BAD_TIME."""
        first, *others = self.name.lower().split("_")
        return first + "".join(_LETTERS.get(word, word.capitalize()) for word in others)


_LETTERS = {"pop": "POP"}

CMC_CA = "1.3.6.1.5.5.7.3.27"
"""id-kp-cmcCA: whoever holds this purpose may answer for the CA (RFC 6402 §2.10, RFC 9810 §4.5)."""
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
"""id-kp-clientAuth: a customer's certificate is for logging in with (RFC 5280 §4.2.1.12)."""

CRL_REASON = "2.5.29.21"
"""id-ce-cRLReasons: why a certificate is revoked (RFC 5280 §5.3.1)."""
OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"
"""id-regCtrl-oldCertID: the certificate that a key update replaces (RFC 4211 §6.5)."""
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
"""extensionRequest: the attribute of PKCS #10 that asks for extensions (RFC 2985 §5.4.2)."""
ALGORITHM_CONTROL = "1.3.6.1.5.5.7.5.1.11"
"""id-regCtrl-algId: a kind of key the CA takes (RFC 9810 §5.3.19.16)."""
RSA_LENGTH_CONTROL = "1.3.6.1.5.5.7.5.1.12"
"""id-regCtrl-rsaKeyLen: a length of RSA keys the CA takes, in bits (RFC 9810 §5.3.19.16)."""

IMPLICIT_CONFIRM = "1.3.6.1.5.5.7.4.13"
"""id-it-implicitConfirm: a certificate that needs no certConf (RFC 9810 §5.1.1.1)."""
CONFIRM_WAIT_TIME = "1.3.6.1.5.5.7.4.14"
"""id-it-confirmWaitTime: until when the CA waits for certConf (RFC 9810 §5.1.1.2)."""
CURRENT_CRL = "1.3.6.1.5.5.7.4.6"
"""id-it-currentCRL (RFC 9810 §5.3.19.6)."""
CA_CERTIFICATES = "1.3.6.1.5.5.7.4.17"
"""id-it-caCerts (RFC 9810 §5.3.19.14)."""
REQUEST_TEMPLATE = "1.3.6.1.5.5.7.4.19"
"""id-it-certReqTemplate (RFC 9810 §5.3.19.16)."""
CRL_STATUS_LIST = "1.3.6.1.5.5.7.4.22"
"""id-it-crlStatusList: asks for a CRL newer than one that is known (RFC 9810 §5.3.19.17)."""
CRLS = "1.3.6.1.5.5.7.4.23"
"""id-it-crls: what answers that (RFC 9810 §5.3.19.17)."""

EC_PUBLIC_KEY = "1.2.840.10045.2.1"
P256 = "1.2.840.10045.3.1.7"
