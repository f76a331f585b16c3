"""The catalogue of problems: every way a visit can end badly, with a stable code.

The letter tells where to look: T token, C certification authority, N network, K kiosk, P the bank's policy. What
happened, what the customer does and what the teller does are texts (`problem.T-02.happened`, `.customer`, `.teller`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol


class Code(StrEnum):
    """Stable codes; a number once given is never given to anything else (tests/test_codes_given.py has them all)."""

    TOKEN_TAKEN_OUT = "T-02"
    MODULE_UNUSABLE = "T-03"
    TOKEN_HANGS = "T-04"
    TOKEN_FAILED = "T-05"
    TOO_MANY_TOKENS = "T-06"
    TOKEN_SWAPPED = "T-07"
    TOKEN_FORGOTTEN = "T-08"
    TOKEN_BLANK = "T-09"
    PIN_LOCKED = "T-10"
    PIN_REFUSED_TOO_OFTEN = "T-11"
    PIN_LAST_TRY = "T-12"
    PIN_NOT_SET = "T-13"
    PAD_TIMED_OUT = "T-14"
    PAD_CANCELLED = "T-15"
    PAD_NOT_ENOUGH = "T-16"
    NO_CERTIFICATE = "T-20"
    KEY_NOT_PROVEN = "T-22"
    CERTIFICATE_NOT_OURS = "T-23"
    NO_SUITABLE_KEY_KIND = "T-24"
    SUCCESSOR_NOT_READABLE = "T-25"
    TOKEN_FULL = "T-26"
    NO_FREE_SLOT = "T-27"
    NEW_CREDENTIAL_NOT_PROVEN = "T-30"
    OLD_CREDENTIAL_NOT_REMOVED = "T-31"
    WRITING_NOT_SET_UP = "T-40"

    REFUSED_BY_CA = "C-01"
    CERTIFICATE_NOT_ACCEPTED = "C-02"
    ANSWER_NOT_TRUSTED = "C-04"
    ANSWER_NOT_UNDERSTOOD = "C-05"
    NEW_CERTIFICATE_WRONG = "C-06"
    WAITS_FOR_APPROVAL = "C-07"
    REFUSAL_NOT_PROVEN = "C-08"
    SUCCESSOR_UNDECIDED = "C-09"
    CODE_NOT_ACCEPTED = "C-10"
    CODE_PAUSED = "C-11"
    CODE_BOUND = "C-12"
    CODE_EXPIRED = "C-13"
    CERTIFICATE_UNKNOWN = "C-14"
    STATUS_NOT_TRUSTED = "C-15"
    UNFINISHED_ELSEWHERE = "C-16"

    CA_NOT_REACHED = "N-01"
    CA_TOO_SLOW = "N-02"
    CONNECTION_NOT_TRUSTED = "N-03"
    CA_OUT_OF_ORDER = "N-04"
    STATUS_NOT_TOLD = "N-05"
    CA_BUSY = "N-06"
    CONNECTION_OUT_OF_DATE = "N-07"

    CLOCK_WRONG = "K-01"
    JOURNAL_NOT_WRITABLE = "K-02"
    KIOSK_CRASHED = "K-03"
    JOURNAL_DAMAGED = "K-04"
    PC_STORE_FAILED = "K-10"
    PC_CREDENTIAL_NOT_PROVEN = "K-11"
    PC_NO_DATABASE = "K-12"
    PC_IN_USE = "K-13"
    PC_SOFTWARE_MISSING = "K-14"
    PC_UNUSABLE = "K-15"
    PC_UNPROTECTED = "K-16"
    PC_PASSWORD_REFUSED_TOO_OFTEN = "K-17"
    PC_NO_CERTIFICATE = "K-18"
    PC_AS_ROOT = "K-19"
    PC_CERTIFICATE_EXPIRED = "K-20"
    PC_READ_ONLY = "K-21"
    UNEXPECTED = "K-99"

    NOT_RENEWABLE_YET = "P-01"
    EXPIRED = "P-02"


class Changed(Enum):
    """What the customer's certificate looks like after a problem."""

    NOTHING = "nothing"
    """Nothing was changed anywhere."""
    UNFINISHED = "unfinished"
    """A renewal has begun and can be finished at any kiosk; the old certificate works."""
    STORED = "stored"
    """The new certificate is on the token, but the CA's acknowledgement did not come: either may be the valid one."""
    UNFINISHED_ON_PC = "unfinished-on-pc"
    """As `UNFINISHED`, but the new key is in this PC, and so only here it can be finished."""
    STORED_ON_PC = "stored-on-pc"
    """As `STORED`, but on this PC."""
    STORED_FROM_PC = "stored-from-pc"
    """As `STORED`, but the old certificate is in this PC, and so only here it can be finished."""
    ENROLLING = "enrolling"
    """電子証明書取得 has begun and can be finished at any kiosk with the same code."""
    ENROLLED = "enrolled"
    """電子証明書取得 is done: the new certificate is proven and confirmed; only tidying up did not succeed."""
    RENEWED = "renewed"
    """The new certificate is stored, proven and confirmed; only tidying up did not succeed."""


class Standing(Protocol):
    """What a visit has to know at every instant, also when it is cut."""

    changed: Changed


@dataclass(frozen=True, slots=True)
class Problem:
    """What the problem screen shows and the journal keeps. Neither field carries a secret or a name."""

    code: Code
    changed: Changed = Changed.NOTHING
    detail: str = ""
    """For staff and journal only: the kind of fault in an engineer's words."""


class KioskError(Exception):
    """A problem on its way to the problem screen."""

    def __init__(self, code: Code, detail: str = "", changed: Changed = Changed.NOTHING) -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.problem = Problem(code, changed, detail)
