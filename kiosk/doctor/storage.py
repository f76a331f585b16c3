"""The disk, the journal on it, and who may change or read what."""

from __future__ import annotations

import asyncio
import errno
import glob
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kiosk.audit.reading import JournalUnreadable, opened
from kiosk.doctor.configuration import NOT_TOLD
from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.site import Site

FULL = 20 << 20
"""Bytes of free room below which the kiosk may stop any day: a visit writes about 4 kB, and SQLite wants some more."""
LOW = 500 << 20
"""Bytes below which somebody should look: a year of 100 visits a day takes about 130 MB."""

_ROOM = good("doctor.disk.good")
_LOW = warning("doctor.disk.low")
_FULL = bad("doctor.disk.full")
_READ_ONLY = bad("doctor.disk.read-only")
_NOT_WRITABLE = bad("doctor.disk.not-writable")

_JOURNAL = good("doctor.journal.good")
_NO_JOURNAL = not_applicable("doctor.journal.none")
_SET_ASIDE = warning("doctor.journal.set-aside")
_DAMAGED = bad("doctor.journal.damaged")
_UNREADABLE = bad("doctor.journal.unreadable")

_PERMISSIONS = good("doctor.permissions.good")
_CHANGED_BY_ANYBODY = bad("doctor.permissions.changed-by-anybody")
_READ_BY_OTHERS = bad("doctor.permissions.read-by-others")

_ORDINARY = good("doctor.user.good")
_ROOT = warning("doctor.user.root")


async def _look_at_disk(site: Site) -> Iterable[Finding]:
    if site.known.journal is None:
        return [NOT_TOLD()]
    folder = nearest_folder(site.known.journal)
    fault = await asyncio.to_thread(_write_fault, site, folder, site.known.journal)
    if fault:
        return [fault]
    free = site.free(folder)
    saying = _FULL if free < FULL else _LOW if free < LOW else _ROOM
    return [saying(folder=folder, free=free >> 20)]


def nearest_folder(file: Path) -> Path:
    """The folder of `file`, or the one in which the kiosk would make it."""
    return next(folder for folder in file.absolute().parents if folder.is_dir())


def _write_fault(site: Site, folder: Path, journal: Path) -> Finding | None:
    """What stands against writing there; tried, because rights alone do not tell of everything."""
    try:
        site.write(folder)
        if journal.exists():
            os.close(os.open(journal, os.O_WRONLY))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _FULL(folder=folder, free=0)
        saying = _READ_ONLY if error.errno == errno.EROFS else _NOT_WRITABLE
        return saying(folder=folder, detail=error.strerror)
    return None


async def _look_at_journal(site: Site) -> Iterable[Finding]:
    journal = site.known.journal
    if journal is None:
        return [NOT_TOLD()]
    aside = sorted(journal.parent.glob(f"{glob.escape(journal.name)}.damaged-*Z"))
    return [await asyncio.to_thread(_of_journal, journal), *(_SET_ASIDE(file=each) for each in aside)]


def _of_journal(journal: Path) -> Finding:
    if not journal.exists():
        return _NO_JOURNAL(file=journal)
    try:
        with opened(journal) as reader:
            reader.check_file()
    except JournalUnreadable as error:
        return (_DAMAGED if error.damaged else _UNREADABLE)(file=journal, detail=error)
    return _JOURNAL(file=journal)


async def _look_at_permissions(site: Site) -> Iterable[Finding]:
    """What decides whom the kiosk trusts nobody else may change; what it writes down nobody else may read."""
    known, ca = site.known, site.known.ca
    deciding = [known.file, Path(known.token.module) if known.token else None]
    deciding += [Path(file) for file in (ca.roots, ca.tls_roots, ca.pinned_signers) if file] if ca else []
    kept = list(known.journal.parent.glob(f"{glob.escape(known.journal.name)}*")) if known.journal else []
    if not any(deciding) and not kept:
        return [NOT_TOLD()]
    open_to_all = dict.fromkeys(each for file in deciding if file for each in _changed_by_anybody(file))
    flaws = [_CHANGED_BY_ANYBODY(file=file) for file in open_to_all]
    flaws += [_READ_BY_OTHERS(file=file) for file in kept if _mode(file) & (stat.S_IRWXG | stat.S_IRWXO)]
    return flaws or [_PERMISSIONS()]


def _changed_by_anybody(file: Path) -> Iterable[Path]:
    """The file, or its folder: in one without the sticky bit whoever may write can put another file in its place."""
    folder = file.absolute().parent
    if _mode(file) & stat.S_IWOTH:
        yield file
    if _mode(folder) & stat.S_IWOTH and not _mode(folder) & stat.S_ISVTX:
        yield folder


def _mode(file: Path) -> int:
    """Nobody's, where it cannot be told: that it is missing is told elsewhere."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return 0


async def _look_at_user(site: Site) -> Iterable[Finding]:
    return [_ROOT() if site.user == 0 else _ORDINARY(user=site.user)]


CHECKS = (
    Check("doctor.check.disk", _look_at_disk, (_ROOM, _LOW, _FULL, _READ_ONLY, _NOT_WRITABLE, NOT_TOLD)),
    Check(
        "doctor.check.journal", _look_at_journal, (_JOURNAL, _SET_ASIDE, _DAMAGED, _UNREADABLE, _NO_JOURNAL, NOT_TOLD)
    ),
    Check(
        "doctor.check.permissions",
        _look_at_permissions,
        (_PERMISSIONS, _CHANGED_BY_ANYBODY, _READ_BY_OTHERS, NOT_TOLD),
    ),
    Check("doctor.check.user", _look_at_user, (_ORDINARY, _ROOT)),
)
