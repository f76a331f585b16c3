"""What `kiosk doctor` says of this PC's certificate database, where softoken is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from kiosk.doctor import pc
from kiosk.doctor.examination import examine
from kiosk.doctor.site import Known, Site
from tests.bank import Bank
from tests.pc.test_reasons import make_database


async def said(bank: Bank, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    site = Site(Known(pc=bank.settings.pc), folder, user=os.geteuid())
    return [finding.saying.text async for _, finding in examine(site, pc.CHECKS)]


async def test_a_database_that_can_be_used(bank: Bank, tmp_path: Path) -> None:
    make_database(bank, "--empty-password")
    assert await said(bank, tmp_path / "doctor") == ["doctor.pc.good"]


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
