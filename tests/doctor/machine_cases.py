"""Settings, databases, languages, disks and permissions that are not as they should be."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kiosk.doctor.site import Known, Site, known_from
from kiosk.journal import Journal
from kiosk.settings import BranchSettings
from kiosk.tokens.pc import PcSettings
from tests.doctor.cases import House, case


@case("doctor.settings.bad")
async def broken_settings(house: House) -> AsyncIterator[Site]:
    file = house.folder / "kiosk.toml"
    file.write_text("journal = 3\n")
    yield house.site(known_from(file))


def with_pc(house: House, **settings: object) -> Site:
    told = {"offered": True, "database": str(house.folder / "nssdb")} | settings
    return house.site(Known(pc=PcSettings(**told)))  # type: ignore[arg-type]


def make_database(house: House) -> Path:
    folder = house.folder / "nssdb"
    folder.mkdir()
    subprocess.run(["certutil", "-N", "-d", f"sql:{folder}", "--empty-password"], check=True)
    return folder


@case("doctor.pc.root")
async def root(house: House) -> AsyncIterator[Site]:
    site = with_pc(house)
    site.user = 0
    yield site


@case("doctor.pc.software-missing")
async def software_missing(house: House) -> AsyncIterator[Site]:
    site = with_pc(house)
    site.pc_libraries = ()
    yield site


@case("doctor.pc.no-database")
async def no_database(house: House) -> AsyncIterator[Site]:
    yield with_pc(house)


@case("doctor.pc.in-use")
async def in_use(house: House) -> AsyncIterator[Site]:
    with closing(sqlite3.connect(make_database(house) / "key4.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield with_pc(house)


@case("doctor.pc.unusable")
async def unusable(house: House) -> AsyncIterator[Site]:
    (make_database(house) / "key4.db").write_bytes(b"no database" * 1000)
    yield with_pc(house)


@case("doctor.languages.incomplete")
async def incomplete(house: House) -> AsyncIterator[Site]:
    site = house.site()
    site.catalogues = lambda: {"ja": {"yes": "はい", "no": "いいえ"}, "en": {"yes": "Yes", "no": ""}}
    yield site


@case("doctor.languages.none")
async def no_texts(house: House) -> AsyncIterator[Site]:
    def fail() -> dict[str, dict[str, str]]:
        raise OSError

    site = house.site()
    site.catalogues = fail
    yield site


@case("doctor.languages.unknown")
async def unknown_language(house: House) -> AsyncIterator[Site]:
    yield house.site(Known(branch=BranchSettings(language="tlh")))


@case("doctor.zone.none")
async def no_zone(house: House) -> AsyncIterator[Site]:
    def fail(name: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(name)

    site = house.site()
    site.zone = fail
    yield site


@case("doctor.encoding.other")
async def other_encoding(house: House) -> AsyncIterator[Site]:
    site = house.site()
    site.environment = {"LC_ALL": "ja_JP.EUC-JP", "LANG": "C.UTF-8"}
    yield site


def with_journal(house: House) -> Site:
    folder = house.folder / "journal"
    folder.mkdir(mode=0o700, exist_ok=True)
    return house.site(Known(journal=folder / "journal.sqlite"))


def failing(number: int) -> Callable[[Path], None]:
    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number), str(folder))

    return fail


@case("doctor.disk.low")
async def low(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    site.free = lambda _: 499 << 20
    yield site


@case("doctor.disk.full")
async def full(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    site.write = failing(errno.ENOSPC)
    yield site


@case("doctor.disk.read-only")
async def read_only(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    site.write = failing(errno.EROFS)
    yield site


@case("doctor.disk.not-writable")
async def not_writable(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    assert site.known.journal
    site.known.journal.mkdir()
    yield site


@case("doctor.journal.set-aside")
async def set_aside(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    assert site.known.journal
    site.known.journal.write_bytes(b"no database" * 1000)
    Journal(site.known.journal).close()
    yield site


@case("doctor.journal.damaged")
async def damaged(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    assert site.known.journal
    site.known.journal.write_bytes(b"no database" * 1000)
    yield site


@case("doctor.journal.unreadable")
async def unreadable(house: House) -> AsyncIterator[Site]:
    """A database of somebody else."""
    site = with_journal(house)
    assert site.known.journal
    with closing(sqlite3.connect(site.known.journal)) as database:
        database.execute("CREATE TABLE another (number)")
    yield site


@case("doctor.permissions.changed-by-anybody")
async def changed_by_anybody(house: House) -> AsyncIterator[Site]:
    file = house.folder / "kiosk.toml"
    file.touch()
    file.chmod(0o666)
    yield house.site(Known(file=file))


@case("doctor.permissions.read-by-others")
async def read_by_others(house: House) -> AsyncIterator[Site]:
    site = with_journal(house)
    assert site.known.journal
    Journal(site.known.journal).close()
    site.known.journal.chmod(0o640)
    yield site


@case("doctor.user.root")
async def root_user(house: House) -> AsyncIterator[Site]:
    site = house.site()
    site.user = 0
    yield site
