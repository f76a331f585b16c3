"""Commands and answers of a smart card (ISO 7816-4 §5.1), short and extended, and the TLV inside them (§5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OK = 0x9000
WRONG_LENGTH = 0x6700
NOT_SATISFIED = 0x6982
BLOCKED = 0x6983
CONDITIONS = 0x6985
NO_CURRENT_FILE = 0x6986
WRONG_DATA = 0x6A80
NOT_SUPPORTED = 0x6A81
FILE_NOT_FOUND = 0x6A82
NO_ROOM = 0x6A84
WRONG_PARAMETERS = 0x6A86
REFERENCE_NOT_FOUND = 0x6A88
FILE_EXISTS = 0x6A89
WRONG_OFFSET = 0x6B00
UNKNOWN_INSTRUCTION = 0x6D00


class Refused(Exception):
    """The card does not carry out a command; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04x}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    instruction: int
    p1: int
    p2: int
    data: bytes
    expected: int
    """Most bytes of an answer; 0 where none is expected."""

    @property
    def parameters(self) -> int:
        """P1 and P2 as one number."""
        return self.p1 << 8 | self.p2


def read_command(raw: bytes) -> Command:
    """Parse a command, of any of the four cases and both lengths.

    Raises:
        Refused: it is malformed.
    """
    if len(raw) < 4:
        raise Refused(WRONG_LENGTH)
    data, expected = _body(raw[4:])
    return Command(raw[1], raw[2], raw[3], data, expected)


def _body(body: bytes) -> tuple[bytes, int]:
    if not body:
        return b"", 0
    width = 2 if body[0] == 0 and len(body) > 1 else 1
    rest = body[1:] if width == 2 else body
    size = int.from_bytes(rest[:width], "big")
    if len(rest) == width:
        return b"", size or 256**width
    data, rest = rest[width : width + size], rest[width + size :]
    if len(data) != size or len(rest) not in (0, width):
        raise Refused(WRONG_LENGTH)
    return data, int.from_bytes(rest, "big") or 256**width if rest else 0


def answer(status: int, data: bytes = b"") -> bytes:
    """What goes back to the reader."""
    return data + status.to_bytes(2, "big")


def read_tlv(data: bytes) -> Mapping[int, bytes]:
    """The data objects in `data`, by tag of one byte.

    Raises:
        Refused: they are malformed.
    """
    found: dict[int, bytes] = {}
    while data:
        tag, size, rest = data[0], data[1:2], data[2:]
        if size in (b"\x81", b"\x82"):
            width = size[0] - 0x80
            size, rest = rest[:width], rest[width:]
        length = int.from_bytes(size, "big")
        if not size or len(rest) < length:
            raise Refused(WRONG_DATA)
        found[tag], data = rest[:length], rest[length:]
    return found


def tlv(tag: int, value: bytes) -> bytes:
    """One data object; tags of one or two bytes."""
    size = len(value)
    length = (
        bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    )
    return tag.to_bytes(2 if tag > 0xFF else 1, "big") + length + value
