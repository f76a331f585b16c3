"""The one-time code with which a holder gets a first certificate (電子証明書取得): 16 random digits and a check digit.

The check digit is H. M. Damm's (2004): it finds every single wrong digit and every two neighbours swapped, so that a
slip of the finger is told at the keyboard and never costs a try at the CA.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

RANDOM_DIGITS = 16
LENGTH = RANDOM_DIGITS + 1
"""Digits in all, the check digit last."""

_GROUP_STARTS = (0, 4, 8, 12)
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212\u30fc]+")
"""Spaces, hyphens, dashes, the minus sign, and the ー of a keyboard left in Japanese."""
_RANDOM_BYTES = 32
"""Far more than 16 digits need, so that no digit is likelier than another by more than 2 to the power of -200."""

# The totally anti-symmetric quasigroup of order 10 that Damm's thesis gives: row, interim digit; column, next digit.
_QUASIGROUP = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)


class Mistake(Enum):
    """What is wrong with a code as it was typed."""

    CHARACTERS = "characters"
    """Something else than digits, spaces and hyphens."""
    LENGTH = "length"
    CHECK_DIGIT = "check-digit"


class MistypedCode(ValueError):
    """What was typed is no code. The message has none of it."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.value)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """A code whose check digit is right; whether any CA knows it is another matter. Made by `make` and `read`."""

    secret: bytes = field(repr=False)
    """All 17 digits in ASCII: the shared secret of message authentication."""

    @property
    def grouped(self) -> str:
        """As it is printed for the holder: `1234 5678 9012 34567`."""
        digits = self.secret.decode("ascii")
        ends = (*_GROUP_STARTS[1:], LENGTH)
        return " ".join(digits[start:end] for start, end in zip(_GROUP_STARTS, ends, strict=True))


def make(random: Callable[[int], bytes]) -> OneTimeCode:
    """A new code; `random` gives as many unpredictable bytes as it is asked for."""
    number = int.from_bytes(random(_RANDOM_BYTES), "big") % 10**RANDOM_DIGITS
    digits = f"{number:0{RANDOM_DIGITS}d}"
    return OneTimeCode(f"{digits}{_check_digit(digits)}".encode("ascii"))


def read(text: str) -> OneTimeCode:
    """A code as somebody typed it: full-width digits, spaces and hyphens are borne with.

    Raises:
        MistypedCode: it is none.
    """
    digits = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text))
    if not all(each in "0123456789" for each in digits):
        raise MistypedCode(Mistake.CHARACTERS)
    if len(digits) != LENGTH:
        raise MistypedCode(Mistake.LENGTH)
    # With its check digit at the end the whole comes out as 0.
    if _check_digit(digits) != "0":
        raise MistypedCode(Mistake.CHECK_DIGIT)
    return OneTimeCode(digits.encode("ascii"))


def _check_digit(digits: str) -> str:
    interim = "0"
    for each in digits:
        interim = _QUASIGROUP[int(interim)][int(each)]
    return interim
