"""What tokens, CAs and whoever tells of revocation raise, as codes of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kiosk.cmp.errors import (
    OUT_OF_ORDER,
    UNAVAILABLE,
    AnswerWaits,
    CmpError,
    Distrust,
    Fault,
    MalformedMessage,
    Refused,
    TransferError,
    TransferFailure,
    UntrustedAnswer,
)
from kiosk.errors import Code, KioskError
from kiosk.revocation.status import StatusError, StatusNotTrusted
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.pc import PcFault
from kiosk.tokens.wire import FailureKind, StoreKind

_TOKEN_CODES = {
    FailureKind.MODULE: Code.MODULE_UNUSABLE,
    FailureKind.GONE: Code.TOKEN_TAKEN_OUT,
    FailureKind.SWAPPED: Code.TOKEN_SWAPPED,
    FailureKind.SEVERAL: Code.TOO_MANY_TOKENS,
    FailureKind.PIN_LOCKED: Code.PIN_LOCKED,
    FailureKind.PIN_NOT_SET: Code.PIN_NOT_SET,
    FailureKind.PIN_TO_BE_CHANGED: Code.PIN_NOT_SET,
    FailureKind.FULL: Code.TOKEN_FULL,
    FailureKind.OCCUPIED: Code.NO_FREE_SLOT,
    FailureKind.WRITING_FORBIDDEN: Code.WRITING_NOT_SET_UP,
    FailureKind.PAD_TIMED_OUT: Code.PAD_TIMED_OUT,
    FailureKind.PAD_CANCELLED: Code.PAD_CANCELLED,
    FailureKind.PAD_WANTED: Code.PAD_NOT_ENOUGH,
    FailureKind.PAD_NOT_ENOUGH: Code.PAD_NOT_ENOUGH,
    FailureKind.UNSUITABLE: Code.NO_SUITABLE_KEY_KIND,
}

_PC_CODES = {
    PcFault.ROOT: Code.PC_AS_ROOT,
    PcFault.SOFTWARE_MISSING: Code.PC_SOFTWARE_MISSING,
    PcFault.NO_DATABASE: Code.PC_NO_DATABASE,
    PcFault.IN_USE: Code.PC_IN_USE,
    PcFault.READ_ONLY: Code.PC_READ_ONLY,
}
"""Any other fault is K-15."""

_TRANSFER_CODES = {
    TransferFailure.UNREACHABLE: Code.CA_NOT_REACHED,
    TransferFailure.BROKEN_OFF: Code.CA_NOT_REACHED,
    TransferFailure.TLS: Code.CONNECTION_NOT_TRUSTED,
    TransferFailure.HANDSHAKE: Code.CONNECTION_NOT_TRUSTED,
    TransferFailure.OUT_OF_DATE: Code.CONNECTION_OUT_OF_DATE,
    TransferFailure.TIME_OUT: Code.CA_TOO_SLOW,
    TransferFailure.BUSY: Code.CA_BUSY,
    TransferFailure.STATUS: Code.CA_OUT_OF_ORDER,
    TransferFailure.CONTENT_TYPE: Code.CA_OUT_OF_ORDER,
    TransferFailure.TOO_LARGE: Code.CA_OUT_OF_ORDER,
}

_REFUSAL_CODES = {
    "certRevoked": Code.CERTIFICATE_NOT_ACCEPTED,
    "signerNotTrusted": Code.CERTIFICATE_NOT_ACCEPTED,
    "notAuthorized": Code.CERTIFICATE_NOT_ACCEPTED,
    "badTime": Code.CLOCK_WRONG,
}
"""By failInfo (RFC 9810 §5.2.3); what else is proven is C-01."""
_NOT_GRANTED = "notAuthorized"
"""With which a CA, once it has looked at a request, says no to that and not to the certificate: so does a teller."""
_ABOUT_ITSELF = frozenset({UNAVAILABLE, OUT_OF_ORDER})
"""With which a CA speaks of itself, and not of the customer."""

_NEW_CERTIFICATE_WRONG = {reason for reason in Distrust if reason.name.startswith("CERTIFICATE_")}


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn what tokens and CAs raise inside the block into `KioskError`."""
    try:
        yield
    except (TokenError, TokenHangs, TokenProcessDied) as error:
        raise token_problem(error) from error
    except CmpError as error:
        raise ca_problem(error) from error


def token_problem(error: TokenError | TokenHangs | TokenProcessDied) -> KioskError:
    """The problem behind a failed request to a token, or to this PC's certificate database."""
    if error.store is StoreKind.PC:
        return KioskError(Code.PC_STORE_FAILED, f"{type(error).__name__}: {error}")
    match error:
        case TokenHangs():
            return KioskError(Code.TOKEN_HANGS, str(error))
        case TokenProcessDied():
            return KioskError(Code.TOKEN_FAILED, "the token process ended")
        case TokenError():
            return KioskError(_TOKEN_CODES.get(error.kind, Code.TOKEN_FAILED), error.detail)


def pc_problem(fault: PcFault, detail: str = "") -> KioskError:
    """The problem behind a certificate database that cannot be used."""
    return KioskError(_PC_CODES.get(fault, Code.PC_UNUSABLE), detail)


def ca_problem(error: Fault) -> KioskError:
    """The problem behind a failed exchange with the CA."""
    match error:
        case TransferError():
            return KioskError(_TRANSFER_CODES[error.kind], str(error))
        case UntrustedAnswer() if error.reason in _NEW_CERTIFICATE_WRONG:
            return KioskError(Code.NEW_CERTIFICATE_WRONG, error.reason.value)
        case UntrustedAnswer():
            return KioskError(Code.ANSWER_NOT_TRUSTED, error.reason.value)
        case AnswerWaits():
            return KioskError(Code.WAITS_FOR_APPROVAL)
        case Refused():
            return KioskError(_code_of(error), str(error) if error.proven else f"unproven: {error}")
        case MalformedMessage():
            return KioskError(Code.ANSWER_NOT_UNDERSTOOD, str(error))
        case _:
            return KioskError(Code.REFUSED_BY_CA, type(error).__name__)


def _code_of(refused: Refused) -> Code:
    """A CA that says that it cannot answer now is believed without proof, as HTTP is: that changes nothing.

    One that cannot although it has looked at the request itself will not be able to in a moment either.
    """
    if refused.fail_info and refused.fail_info <= _ABOUT_ITSELF:
        return Code.CA_BUSY if refused.is_passing else Code.CA_OUT_OF_ORDER
    if not refused.proven:
        return Code.REFUSAL_NOT_PROVEN
    if refused.decided and _NOT_GRANTED in refused.fail_info:
        return Code.REFUSED_BY_CA
    codes = (_REFUSAL_CODES[name] for name in sorted(refused.fail_info) if name in _REFUSAL_CODES)
    return next(codes, Code.REFUSED_BY_CA)


def fault_problem(fault: Fault) -> KioskError:
    """The problem behind whatever came of asking the CA, or of asking who tells of revocation."""
    return status_problem(fault) if isinstance(fault, StatusError) else ca_problem(fault)


def status_problem(error: StatusError) -> KioskError:
    """The problem where nobody has told whether a certificate is revoked, or nobody who can be believed."""
    is_told = isinstance(error, StatusNotTrusted)
    return KioskError(Code.STATUS_NOT_TRUSTED if is_told else Code.STATUS_NOT_TOLD, str(error))
