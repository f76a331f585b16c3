"""What a full-length `make soak` promises: a million spoiled inputs, by these tests."""

from __future__ import annotations

import os
from collections.abc import Iterable

GIVE_SPOILED_INPUT = (
    "tests/test_any_bytes.py",
    "tests/ca/test_mutation.py",
    "tests/audit/test_any_file.py",
    "tests/ca/test_ocsp.py",
    "tests/revocation/test_answers.py",
)
LEAST_INPUTS = 1_000_000
FULL_LENGTH = 5000
"""What `make soak` takes for KIOSK_SOAK where nobody says otherwise."""


def is_whole(files: Iterable[str]) -> bool:
    """Whether all of these tests are run, at full length; a shorter soak promises no number."""
    return int(os.environ.get("KIOSK_SOAK", "0")) >= FULL_LENGTH and set(GIVE_SPOILED_INPUT) <= set(files)
