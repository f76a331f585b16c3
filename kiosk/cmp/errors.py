"""What can go wrong between the kiosk and a CA, each kind with its own type.

No message carries a secret. Text that came from a server is data: bounded, free of control characters, never markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum

LONGEST_TEXT = 200
"""Characters kept of what a server says."""


class Fault(Exception):
    """Nothing came of asking; whether to ask again it tells itself."""

    is_passing: bool = False
    """Whether it may be gone a moment later."""
    may_have_arrived: bool = True
    """False only where the request certainly never left."""
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, if it says so; any number from 0 on."""


class CmpError(Fault):
    """Any failure of a CMP exchange."""


class TransferFailure(Enum):
    """How HTTP failed."""

    UNREACHABLE = "unreachable"
    TLS = "tls"
    """The server could not show that it is the one."""
    HANDSHAKE = "handshake"
    """No TLS came about: bytes that are none, or none that both sides speak."""
    OUT_OF_DATE = "out-of-date"
    """The server's certificate has ended, or has not begun, by this machine's clock."""
    TIME_OUT = "time-out"
    BROKEN_OFF = "broken-off"
    BUSY = "busy"
    """Too much to do, or whoever stands in front of the CA does not get through to it; it may be otherwise soon."""
    STATUS = "status"
    CONTENT_TYPE = "content-type"
    TOO_LARGE = "too-large"


_PASSING = frozenset(
    {
        TransferFailure.UNREACHABLE,
        TransferFailure.HANDSHAKE,
        TransferFailure.TIME_OUT,
        TransferFailure.BROKEN_OFF,
        TransferFailure.BUSY,
    }
)
"""What may be otherwise a moment later; a wrong server or a wrong answer will be the same again."""


class TransferError(CmpError):
    """No CMP message came back over HTTP (RFC 9811)."""

    def __init__(
        self,
        kind: TransferFailure,
        detail: str = "",
        *,
        may_have_arrived: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{kind.value}: {detail}" if detail else kind.value)
        self.kind = kind
        self.is_passing = kind in _PASSING
        self.may_have_arrived = may_have_arrived
        self.retry_after = retry_after


class MalformedMessage(CmpError):
    """These bytes are no CMP message, or one of a form this house cannot read."""


class Distrust(Enum):
    """The check that an answer failed (RFC 9483 §3.5, and the house's own rules)."""

    VERSION = "version"
    UNPROTECTED = "unprotected"
    ALGORITHM = "algorithm"
    MAC_UNASKED = "mac-unasked"
    SIGNER_MISSING = "signer-missing"
    SIGNER_PURPOSE = "signer-purpose"
    SIGNER_KEY_USAGE = "signer-key-usage"
    SIGNER_PATH = "signer-path"
    SENDER = "sender"
    SENDER_KEY_ID = "sender-key-id"
    PROTECTION = "protection"
    TRANSACTION = "transaction"
    RECIPIENT_NONCE = "recipient-nonce"
    SENDER_NONCE = "sender-nonce"
    TIME_MISSING = "time-missing"
    TIME = "time"
    BODY_TYPE = "body-type"
    INFO = "info"
    CRL = "crl"
    STATUS = "status"
    CHECK_AFTER = "check-after"
    REQUEST_ID = "request-id"
    CA_PUBS = "ca-pubs"
    CERTIFICATE_MISSING = "certificate-missing"
    CERTIFICATE_UNREADABLE = "certificate-unreadable"
    CERTIFICATE_KEY = "certificate-key"
    CERTIFICATE_SUBJECT = "certificate-subject"
    CERTIFICATE_AUTHORITY = "certificate-authority"
    CERTIFICATE_KEY_USAGE = "certificate-key-usage"
    CERTIFICATE_PURPOSE = "certificate-purpose"
    CERTIFICATE_VALIDITY = "certificate-validity"
    CERTIFICATE_END = "certificate-end"
    CERTIFICATE_PATH = "certificate-path"


class UntrustedAnswer(CmpError):
    """An answer came that does not count."""

    def __init__(self, reason: Distrust, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


UNAVAILABLE = "systemUnavail"
"""With which a CA says that it cannot look at anything now (failInfo, RFC 9810 §5.2.3): the 503 of CMP."""
OUT_OF_ORDER = "systemFailure"
"""With which it says that it has failed: the 500 of CMP."""


class Refused(CmpError):
    """The CA said no.

    Only a `proven` refusal comes from the CA: anyone on the way can write an unprotected one (RFC 9483 §3.6). And only
    one that was also `decided` says that nothing came of the request: an `error` may answer another copy of it.
    """

    def __init__(
        self,
        fail_info: Iterable[str] = (),
        text: str = "",
        *,
        proven: bool,
        decided: bool = False,
        by_secret: bool = False,
        message_time: datetime | None = None,
    ) -> None:
        self.fail_info = frozenset(fail_info)
        """Names as in RFC 9810 §5.2.3, `badTime` for one."""
        self.text = text
        """What the CA says, for staff: bounded, control characters removed."""
        self.proven = proven
        self.decided = decided
        """The CA has looked at the request itself and said no to it, in the body that answers it (`kup`).

        False for an `error`: it may come before the request was looked at, or after it was granted.
        """
        self.by_secret = by_secret
        """Protected by the secret that protected the request: whoever says no knows it, so it was the right one."""
        self.message_time = message_time
        """The CA's time where it said one; to be believed only when `proven`."""
        self.is_passing = self.fail_info == {UNAVAILABLE} and not decided
        super().__init__(", ".join(sorted(self.fail_info)) or "no reason given")


class AnswerWaits(CmpError):
    """The CA took the request, and has not decided in the time there was (status `waiting`, RFC 9483 §4.4).

    Nothing is lost: the request stays with the CA.
    """

    def __init__(self, check_after: int | None = None) -> None:
        super().__init__("waiting" if check_after is None else f"waiting, {check_after} s more")
        self.check_after = check_after
        """In how many seconds the CA wants to be asked again, if it says so."""


class NotRejectable(CmpError):
    """The CA cannot be told that a certificate is not taken: it is confirmed already, or no certConf is known."""


def bounded_text(parts: Iterable[str]) -> str:
    """What a server says, made safe to keep: one line of at most `LONGEST_TEXT` characters."""
    joined = " ".join(parts)[: LONGEST_TEXT * 4]
    printable = "".join(character if character.isprintable() else " " for character in joined)
    return printable.strip()[:LONGEST_TEXT]
