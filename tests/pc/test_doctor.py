"""What `kiosk doctor` says of this PC's certificate database, where softoken is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from kiosk.doctor import pc
from kiosk.doctor.examination import examine
from kiosk.doctor.site import Known, Site
from tests.bank import Bank
from tests.pc.test_reasons import make_database, never_set_up


async def said(bank: Bank, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    site = Site(Known(pc=bank.settings.pc), folder, user=os.geteuid())
    return [finding.saying.text async for _, finding in examine(site, pc.CHECKS)]


async def test_a_database_that_can_be_used(bank: Bank, tmp_path: Path) -> None:
    make_database(bank, "--empty-password")
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.good"]


async def test_one_with_which_nobody_can_log_in(bank: Bank, tmp_path: Path) -> None:
    make_database(bank, "--empty-password")
    assert await said(bank.with_pc(user_is_holder=False), tmp_path / "doctor") == ["doctor.pc.no-login"]


async def test_one_with_a_password(bank: Bank, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    make_database(bank, "-f", str(file))
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.locked"]


async def test_one_that_cannot_be_written(bank: Bank, tmp_path: Path) -> None:
    make_database(bank, "--empty-password")
    bank.database.chmod(0o500)
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.read-only"]
    bank.database.chmod(0o700)


async def test_nothing_is_made_by_looking(bank: Bank, tmp_path: Path) -> None:
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.will-be-made"]
    assert not bank.database.exists()


async def test_an_empty_folder_is_where_it_will_be_made(bank: Bank, tmp_path: Path) -> None:
    bank.database.mkdir(parents=True)
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.will-be-made"]
    changed = bank.with_pc(user_is_holder=False)
    assert await said(changed, tmp_path / "doctor") == ["doctor.pc.will-be-made", "doctor.pc.no-login"]
    assert list(bank.database.iterdir()) == []


async def test_nothing_will_be_made_where_nothing_can_be_written(bank: Bank, tmp_path: Path) -> None:
    bank.database.parent.mkdir(parents=True, exist_ok=True)
    bank.database.parent.chmod(0o500)
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.read-only"]
    bank.database.parent.chmod(0o700)


async def test_files_without_content_are_no_database(bank: Bank, tmp_path: Path) -> None:
    """Nor would the kiosk make one there."""
    with never_set_up(bank):
        assert await said(bank, tmp_path / "doctor") == ["doctor.pc.no-database"]
