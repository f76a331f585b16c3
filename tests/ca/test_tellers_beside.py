"""Tellers' commands upon a ledger in PostgreSQL, while a CA process or another teller is at work in it."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from kiosk.ca import audit, holders, ledger
from kiosk.ca.authority import load_authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.schema import CERTIFICATES, CertificateState, PromiseKind
from kiosk.cmp.requests import write_update
from kiosk.cmp.vocabulary import BodyType
from tests.ca.bank import Bank, new_key
from tests.ca.limits import limits_at
from tests.ca.office import fail, records, run
from tests.ca.test_postgres import wait_until_locks_are_awaited
from tests.postgres import Postgres

DAY = timedelta(days=1)


@pytest.fixture
def kind_of_database() -> str:
    return "postgres"


@pytest.fixture
def office(office_template: Path, place: Path, tmp_path: Path) -> Path:
    """The directory of a CA whose ledger is in PostgreSQL."""
    directory = tmp_path / "ca"
    shutil.copytree(office_template, directory, ignore=shutil.ignore_patterns("ledger.*"))
    shutil.copy(place / "ledger.toml", directory)
    return directory


@pytest.fixture
def bank(office: Path) -> Iterator[Bank]:
    """A process of that CA, ten days ago."""
    with Ledger.open(office) as book:
        yield Bank(load_authority(office), book, now=datetime.now(UTC) - 10 * DAY)


async def test_who_approves_holds_nothing_while_he_waits_for_a_holder(
    postgres: Postgres, bank: Bank, office: Path
) -> None:
    """Not the CRL either, though something is overdue: the process that has the holder may be about to need it."""
    first, second = bank.holder(name="A"), bank.holder(name="B")
    bank.obey(Policy(approval=frozenset({PromiseKind.UPDATE})))
    await bank.ask(first, BodyType.KUR, await write_update(first.certificate, new_key()))
    bank.obey(Policy(confirmation=DAY))
    begun = await bank.client.update(second, new_key())
    (waiting,) = records(office, "approve", "--list")
    with bank.book.begin() as connection:
        mine = bank.entry(first.certificate)
        ledger.lock_holder(connection, mine.holder)
        approving = asyncio.ensure_future(asyncio.to_thread(run, office, "approve", str(waiting["number"])))
        await wait_until_locks_are_awaited(postgres, 1)
        ledger.change_state(connection, mine.id, CertificateState.REVOKED, reason="keyCompromise", now=bank.now)
    assert await approving == f"{waiting['number']} is approved\n"
    assert bank.state(begun.certificate) is CertificateState.REVOKED


def test_an_export_is_whole_though_somebody_is_entered_between_its_statements(bank: Bank, office: Path) -> None:
    bank.holder(name="A")
    entered: list[str] = []

    def enter(*told: object) -> None:
        if not entered and any("FROM holders" in str(each) or "FROM certificates" in str(each) for each in told):
            entered.append("begun")
            entered.append(bank.holder(name="B").certificate.serial)

    event.listen(Engine, "after_cursor_execute", enter)
    try:
        exported = records(office, "export", "certificates")
    finally:
        event.remove(Engine, "after_cursor_execute", enter)
    assert len(entered) == 2
    assert {each["holder"] for each in exported} >= {"holder-1"}


async def test_of_two_who_retire_a_certificate_one_has_done_it(postgres: Postgres, bank: Bank, office: Path) -> None:
    one = bank.entry(bank.holder(name="A").certificate)
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(issuer=b"elsewhere"))
        audited = len(audit.lines(connection))
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(state=CertificateState.REVOKED))
        retiring = asyncio.ensure_future(
            asyncio.to_thread(fail, office, "certificate", "retire", one.certificate.serial)
        )
        await wait_until_locks_are_awaited(postgres, 1)
    assert "no valid certificate" in await retiring
    with bank.book.read() as connection:
        assert len(audit.lines(connection)) == audited


@pytest.mark.parametrize("what", ["holder", "certificate"])
async def test_an_import_undoes_nothing_that_another_teller_has_just_entered(
    what: str, postgres: Postgres, bank: Bank, office: Path
) -> None:
    """Of columns that the file does not tell it has to know what they are by the time it writes."""
    run(office, "holder", "add", "KNOWN", "--kind", "user", "--email", "old@example.jp")
    told = {"id": "KNOWN", "kind": "user", "name": "見本太郎"}
    if what == "certificate":
        told["certificate"] = base64.b64encode(bank.holder(name="KNOWN").certificate.der).decode()
        with bank.book.begin() as connection:
            connection.execute(CERTIFICATES.update().values(holder="KNOWN"))
    file = office / "file.csv"
    file.write_text(",".join(told) + "\n" + ",".join(told.values()) + "\n")
    with bank.book.begin() as connection:
        known = holders.get(connection, "KNOWN")
        holders.change_all(connection, [replace(known, email="new@example.jp")])
        importing = asyncio.ensure_future(asyncio.to_thread(run, office, what, "import", str(file), "--update"))
        await wait_until_locks_are_awaited(postgres, 1)
    await importing
    (found,) = records(office, "holder", "show", "KNOWN")
    assert (found["name"], found["email"]) == ("見本太郎", "new@example.jp")


LONG = {
    "holder import": ("holder", "import", "holders.csv"),
    "holder import, tried": ("holder", "import", "holders.csv", "--dry-run"),
    "certificate import": ("certificate", "import", "certificates.csv"),
    "certificate import, tried": ("certificate", "import", "certificates.csv", "--dry-run"),
    "holder export": ("holder", "export"),
    "holder list": ("holder", "list"),
    "export": ("export",),
    "list": ("list",),
}


@pytest.mark.parametrize("name", LONG)
def test_what_is_made_of_a_whole_file_or_ledger_may_take_minutes(
    name: str, bank: Bank, office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends a session that does nothing for ten seconds: as long as it takes to read 50,000 rows."""
    exported = records(office, "export") if bank.holder(name="A") else []
    (office / "holders.csv").write_text("id,kind\nNEW,user\n")
    (office / "certificates.csv").write_text(f"id,certificate\nholder-1,{exported[0]['certificate']}\n")
    monkeypatch.chdir(office)
    with limits_at("SELECT holders.", "SELECT certificates.", "INSERT INTO holders", "INSERT INTO audit") as limits:
        run(office, *LONG[name])
    assert limits == {("statement_timeout", "10min"), ("idle_in_transaction_session_timeout", "10min")}
