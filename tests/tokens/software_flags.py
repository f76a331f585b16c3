"""Flags in the file of a software token, as a card would show them."""

from __future__ import annotations

import struct
from pathlib import Path

from pkcs11 import TokenFlag

_FLAGS_ATTRIBUTE = struct.pack(">Q", 0x80000000 + 0x5348 + 3)
"""CKA_OS_TOKENFLAGS of SoftHSM, as its files have it; a type and then the number follow."""


def raise_flag(tokens: Path, flag: TokenFlag) -> None:
    """Set `flag` of the one token below `tokens`; SoftHSM passes on what its file says."""
    (path,) = tokens.glob("*/token.object")
    content = path.read_bytes()
    at = content.index(_FLAGS_ATTRIBUTE) + 16
    (flags,) = struct.unpack(">Q", content[at : at + 8])
    path.write_bytes(content[:at] + struct.pack(">Q", flags | flag) + content[at + 8 :])
