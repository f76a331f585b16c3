from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from kiosk.ca import holders, ledger
from kiosk.ca.authority import Authority
from kiosk.ca.enrolment import enrol
from kiosk.ca.ledger import Ledger, LedgerDamaged, LedgerInUse, LedgerOutdated
from kiosk.ca.migrations import REVISION
from kiosk.ca.passphrase import PASSPHRASE_FILE
from kiosk.ca.schema import CERTIFICATES, PROMISES, CertificateState, PromiseKind, PromiseState
from kiosk.credentials import HolderKind
from tests.ca.bank import START, Bank, new_key, subject


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Ledger.open(tmp_path), pytest.raises(LedgerInUse, match=str(tmp_path)):
        Ledger.open(tmp_path)
    Ledger.open(tmp_path).close()


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is a letter, not a database" * 100)
    for _ in range(2):
        with pytest.raises(LedgerDamaged, match=r"ledger\.sqlite"):
            Ledger.open(tmp_path)


def test_every_answer_is_durable(bank: Bank) -> None:
    with bank.book.begin() as connection:
        settings = [connection.execute(text(f"PRAGMA {each}")).scalar_one() for each in ("journal_mode", "synchronous")]
        enforced = connection.execute(text("PRAGMA foreign_keys")).scalar_one()
    assert (settings, enforced) == (["wal", 2], 1)


def test_a_failed_transaction_has_not_happened(bank: Bank) -> None:
    certificate = bank.authority.issue(subject(), new_key().public_key, START, START + timedelta(days=1))

    def fail() -> None:
        with bank.book.begin() as connection:
            holders.ensure(connection, "nobody", HolderKind.USER, subject())
            ledger.record(connection, certificate, holder="nobody", state=CertificateState.VALID, now=START)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert bank.issued() == 0


@pytest.mark.parametrize("state", [PromiseState.CONFIRMED, PromiseState.ISSUED])
def test_the_database_itself_forbids_two_successors(bank: Bank, state: PromiseState) -> None:
    old, *new = [bank.entry(bank.holder().certificate).id for _ in range(3)]
    times = dict.fromkeys(("deadline", "made_at", "changed_at"), START)
    common = {
        "kind": PromiseKind.UPDATE,
        "by_certificate": old,
        "state": state,
        "key": b"key",
        "approved": False,
    } | times
    rows = [common | {"new": number, "key_hash": bytes([number]) * 32} for number in new]

    def enter() -> None:
        with bank.book.begin() as connection:
            connection.execute(insert(PROMISES), rows)

    with pytest.raises(IntegrityError):
        enter()
    assert bank.rows() == 0


def test_enrolment_enters_a_holder_and_outlives_the_process(authority: Authority, tmp_path: Path) -> None:
    for path in authority.directory.iterdir():
        if path.suffix in {".pem", ".key"} or path.name == PASSPHRASE_FILE:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    certificate = enrol(
        tmp_path,
        subject=subject(),
        public_key=new_key().public_key,
        not_before=START - timedelta(days=300),
        not_after=START + timedelta(days=20),
        holder_id="TKYM1408054",
        kind="administrator",
        clock=lambda: START,
    )
    with Ledger.open(tmp_path) as book, book.begin() as connection:
        entry = ledger.find(connection, certificate.fingerprint)
    assert entry is not None
    assert (entry.holder, entry.state, entry.certificate) == ("TKYM1408054", CertificateState.VALID, certificate)


def test_times_come_back_in_utc(bank: Bank) -> None:
    bank.holder()
    with bank.book.begin() as connection:
        moment = connection.execute(CERTIFICATES.select()).one().made_at
    assert moment == START
    assert moment.utcoffset() == timedelta()


def test_a_demo_begins_anew_where_another_version_was(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as book, book.begin() as connection:
        holders.ensure(connection, "somebody", HolderKind.USER, subject())
    ledger.discard_outdated(tmp_path)
    with Ledger.open(tmp_path) as book, book.begin() as connection:
        assert holders.find(connection, "somebody") is not None
        connection.execute(REVISION.update().values(number="9999"))
    with pytest.raises(LedgerOutdated, match="another version"):
        Ledger.open(tmp_path)
    ledger.discard_outdated(tmp_path)
    with Ledger.open(tmp_path) as book, book.begin() as connection:
        assert holders.find(connection, "somebody") is None


def test_it_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with Ledger.open(tmp_path) as book, book.begin() as connection:
            holders.ensure(connection, "somebody", HolderKind.USER, subject())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("ledger*")}
    finally:
        os.umask(mask)
    assert modes.keys() >= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.lock"}
    assert set(modes.values()) == {0o600}


def test_what_the_database_said_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(LedgerDamaged, match="file is not a database"):
        Ledger.open(tmp_path)


def test_whatever_fails_while_it_is_opened_gives_the_lock_back(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").symlink_to(tmp_path / "nowhere" / "ledger.sqlite")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            Ledger.open(tmp_path)
    (tmp_path / "nowhere").mkdir()
    Ledger.open(tmp_path).close()
