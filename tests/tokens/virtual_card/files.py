"""The card's file system: directories and transparent files, each with its own access conditions (ISO 7816-4 §7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from tests.tokens.virtual_card.apdu import (
    FILE_EXISTS,
    FILE_NOT_FOUND,
    NO_CURRENT_FILE,
    NO_ROOM,
    NOT_SATISFIED,
    WRONG_DATA,
    WRONG_OFFSET,
    Refused,
    tlv,
)

MASTER = 0x3F00

_DIRECTORY, _TRANSPARENT = 0x38, 0x01

_FREE, _BY_PIN = 0x00, 0x90
"""Security condition bytes; 0xFF, and whatever else there may be, is never satisfied."""


class Act(IntEnum):
    """What is done to a file: the place of its security condition in the eight bytes IsoApplet keeps for a file."""

    DELETE_ITSELF = 1
    CREATE_DIRECTORY = 5
    UPDATE = 6
    CREATE_FILE = 6
    READ = 7


@dataclass
class File:
    """A directory, which has `children`, or a transparent file, which has `content`."""

    id: int
    name: bytes
    """Of a directory that is an application; else empty."""
    security: bytes
    content: bytearray | None = None
    children: dict[int, File] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        return self.content is None

    def control_information(self) -> bytes:
        """What SELECT answers (ISO 7816-4 §7.4, table 12)."""
        kind = bytes([_DIRECTORY if self.content is None else _TRANSPARENT])
        size = 0 if self.content is None else len(self.content)
        parts = tlv(0x80, size.to_bytes(2, "big")) + tlv(0x82, kind) + tlv(0x83, self.id.to_bytes(2, "big"))
        if self.name:
            parts += tlv(0x84, self.name)
        if self.security:
            parts += tlv(0x86, self.security)
        return tlv(0x6F, parts + tlv(0x8A, b"\x05"))

    def size(self) -> int:
        """Bytes of content in it and below it."""
        return len(self.content or b"") + sum(each.size() for each in self.children.values())

    def copy(self) -> File:
        """A file with the same content, and no part in common with this one."""
        children = {number: each.copy() for number, each in self.children.items()}
        content = None if self.content is None else bytearray(self.content)
        return File(self.id, self.name, self.security, content, children)


@dataclass
class FileSystem:
    """All files, and which of them is selected."""

    capacity: int
    """Bytes of content that fit in all files together."""
    master: File = field(default_factory=lambda: File(MASTER, b"", b""))
    _path: list[File] = field(default_factory=list)
    """From the master file to the directory that is selected; empty before anything is."""
    _current: File | None = None

    def copy(self) -> FileSystem:
        """The same files, nothing selected."""
        return FileSystem(self.capacity, self.master.copy())

    def deselect(self) -> None:
        """As after a reset."""
        self._path, self._current = [self.master], self.master

    @property
    def directory(self) -> File:
        """The directory that is selected."""
        return self._path[-1]

    def select_by_path(self, numbers: list[int], *, from_master: bool) -> File:
        """Go along `numbers`, and select where they lead."""
        path = [self.master] if from_master else list(self._path)
        selected = path[-1]
        for number in numbers:
            below = path[-1].children.get(number)
            if below is None or (selected is not path[-1]):
                raise Refused(FILE_NOT_FOUND)
            selected = below
            if below.is_directory:
                path.append(below)
        self._path, self._current = path, selected
        return selected

    def select_by_id(self, number: int) -> File:
        """The master file, the directory itself, its parent, or what lies in it (ISO 7816-4 §7.2)."""
        if number == MASTER:
            return self.select_by_path([], from_master=True)
        for depth, each in enumerate(reversed(self._path)):
            if each.id == number and depth < 2:
                self._path = self._path[: len(self._path) - depth]
                self._current = each
                return each
        return self.select_by_path([number], from_master=False)

    def select_parent(self) -> File:
        """The directory above."""
        if len(self._path) > 1:
            self._path.pop()
        self._current = self._path[-1]
        return self._current

    def select_by_name(self, name: bytes) -> File:
        """The application of this name."""
        for path in _all_directories([self.master]):
            if path[-1].name == name:
                self._path, self._current = path, path[-1]
                return path[-1]
        raise Refused(FILE_NOT_FOUND)

    def create(self, parameters: Mapping[int, bytes], *, verified: bool) -> None:
        """Make the file that `parameters` describe, in the directory, and select it."""
        number, kind = int.from_bytes(parameters.get(0x83, b""), "big"), parameters.get(0x82, b"")
        if not number or not kind:
            raise Refused(WRONG_DATA)
        is_directory = kind[0] == _DIRECTORY
        self._demand(self.directory, Act.CREATE_DIRECTORY if is_directory else Act.CREATE_FILE, verified=verified)
        if number in self.directory.children:
            raise Refused(FILE_EXISTS)
        size = int.from_bytes(parameters.get(0x80) or parameters.get(0x81, b""), "big")
        if not is_directory and self.master.size() + size > self.capacity:
            raise Refused(NO_ROOM)
        content = None if is_directory else bytearray(size)
        made = File(number, parameters.get(0x84, b""), parameters.get(0x86, b""), content)
        self.directory.children[number] = made
        self.select_by_path([number], from_master=False)

    def delete(self, number: int | None, *, verified: bool) -> None:
        """Remove a file of the directory, or what is selected."""
        if number is not None:
            self.select_by_id(number)
        going = self._current
        if going is None or going is self.master:
            raise Refused(NO_CURRENT_FILE)
        self._demand(going, Act.DELETE_ITSELF, verified=verified)
        if going.is_directory:
            self._path.pop()
        del self.directory.children[going.id]
        self._current = self.directory

    def read(self, offset: int, size: int, *, verified: bool) -> bytes:
        """Bytes of the selected file."""
        return bytes(self._content(Act.READ, offset, verified=verified)[offset : offset + size])

    def update(self, offset: int, data: bytes, *, verified: bool) -> None:
        """Write over bytes of the selected file."""
        content = self._content(Act.UPDATE, offset + len(data), verified=verified)
        content[offset : offset + len(data)] = data

    def _content(self, act: Act, end: int, *, verified: bool) -> bytearray:
        if self._current is None or self._current.content is None:
            raise Refused(NO_CURRENT_FILE)
        self._demand(self._current, act, verified=verified)
        if end > len(self._current.content):
            raise Refused(WRONG_OFFSET)
        return self._current.content

    def _demand(self, file: File, act: Act, *, verified: bool) -> None:
        condition = file.security[act] if len(file.security) > act else _FREE
        if condition != _FREE and not (condition == _BY_PIN and verified):
            raise Refused(NOT_SATISFIED)


def _all_directories(path: list[File]) -> Iterator[list[File]]:
    yield path
    for each in path[-1].children.values():
        if each.is_directory:
            yield from _all_directories([*path, each])
