"""The chain over the journal's lines: each carries the SHA-256 of itself and of the link before it.

So a line that was changed, taken out or put in between is found. It has no key: whoever can write the file can also
write the chain anew, and lines cut off at the end leave no gap. Against both helps a link that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

BEGINNING = ""
"""The link before the first line of a journal."""


def link(before: str, number: int, fields: Sequence[str]) -> str:
    """The link of line `number` with these fields behind the link `before`: 64 digits, lower-case hex."""
    return hashlib.sha256(msgspec.json.encode([before, number, *fields])).hexdigest()
