"""The ledger in PostgreSQL, where others write at the same time.

Here two of everything are in one process, and meet where a test makes them; `tests/interop` has whole CA processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import tomli_w
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from kiosk.ca import crl, database, ledger, opening, promises, succession, transactions, tries
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger, LedgerDamaged
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CRLS, ENDED_TRANSACTIONS, HOLDERS, TRIES, CertificateState
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.requests import write_update
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType, FailInfo
from tests.ca.bank import Bank, certificate_of, new_key, refusal, settle, status_of
from tests.postgres import Postgres, running_postgres

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
QUESTION = write_general([Info(CA_CERTIFICATES)])
_PATIENCE = 60.0
"""Seconds after which a test gives up; nothing here takes as long."""


@pytest.fixture
def kind_of_database() -> str:
    return "postgres"


@pytest.fixture
def other(authority: Authority, bank: Bank, place: Path) -> Iterator[Bank]:
    """The same CA, as another process runs it."""
    with Ledger.open(place) as book:
        second = Bank(authority, book, bank.policy, bank.now)
        second._numbers, second._holders = itertools.count(1_000_000), itertools.count(1_000_000)
        yield second


async def wait_until_locks_are_awaited(server: Postgres, number: int) -> None:
    """Until so many wait for what others have locked."""
    give_up = time.monotonic() + _PATIENCE
    with server.connect() as connection:
        while True:
            (waiting,) = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() or (0,)
            if waiting == number:
                return
            assert time.monotonic() < give_up, f"{waiting} instead of {number} wait"
            await asyncio.sleep(0)


@asynccontextmanager
async def held_back(server: Postgres, book: Ledger, table: str, number: int) -> AsyncIterator[None]:
    """Everything that writes into a table has to wait, and may go on as soon as so many do."""
    with book.begin() as connection:
        connection.exec_driver_sql(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        yield
        await wait_until_locks_are_awaited(server, number)


# --- two who meet -----------------------------------------------------------------------------------------------------


async def test_of_two_holders_who_bring_the_same_key_at_once_one_gets_a_certificate(
    postgres: Postgres, bank: Bank, other: Bank
) -> None:
    key, holders = new_key(), [bank.holder(name="A"), bank.holder(name="B")]
    asked = [
        await each.write(holder, BodyType.KUR, await write_update(holder.certificate, key))
        for each, holder in zip((bank, other), holders, strict=True)
    ]
    async with held_back(postgres, bank.book, "promises", 2):
        both = asyncio.gather(*(each.send(request) for each, request in zip((bank, other), asked, strict=True)))
        await asyncio.sleep(0)
    granted, refused = sorted(await both, key=lambda answer: len(status_of(answer).failures))
    assert certificate_of(granted).public_key == key.public_key
    assert refusal(refused) == (BodyType.KUP, {FailInfo.DUPLICATE_CERT_REQ})
    assert bank.rows() == 1


async def test_of_two_transactions_with_one_id_the_second_is_refused(
    postgres: Postgres, bank: Bank, other: Bank
) -> None:
    for each in (bank, other):
        await each.client.update(each.holder(name="before"), new_key())  # what is forgotten now and then is by now
    holders = [bank.holder(name="A"), bank.holder(name="B")]
    same = b"the same for both"
    asked = []
    for each, holder in zip((bank, other), holders, strict=True):
        body = await write_update(holder.certificate, new_key())
        asked.append(await each.write(holder, BodyType.KUR, body, lambda header: replace(header, transaction_id=same)))
    async with held_back(postgres, bank.book, "transactions", 2):
        both = asyncio.gather(*(each.send(request) for each, request in zip((bank, other), asked, strict=True)))
        await asyncio.sleep(0)
    granted, refused = sorted(await both, key=lambda answer: answer.body_type == BodyType.ERROR)
    assert certificate_of(granted)
    assert refusal(refused) == (BodyType.ERROR, {FailInfo.TRANSACTION_ID_IN_USE})
    assert bank.rows() == 3


async def test_who_asks_while_the_holder_is_decided_about_waits(postgres: Postgres, bank: Bank, other: Bank) -> None:
    holder = bank.holder()
    first = await bank.client.update(holder, new_key())
    request = await other.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
    with bank.book.begin() as connection:
        ledger.lock_holder(connection, bank.entry(holder.certificate).holder)
        asking = asyncio.ensure_future(other.send(request))
        await wait_until_locks_are_awaited(postgres, 1)
        (mine,) = promises.updates_of(connection, bank.entry(holder.certificate).id)
        succession.confirm(connection, mine, bank.entry(first.certificate).id, bank.policy, bank.now)
    assert refusal(await asking) == (BodyType.KUP, {FailInfo.CERT_REVOKED}), "there is a confirmed successor by now"
    assert bank.state(first.certificate) is CertificateState.VALID


# --- what is overdue --------------------------------------------------------------------------------------------------


async def test_who_comes_by_ends_what_is_overdue_but_waits_for_nobody(bank: Bank, other: Bank) -> None:
    busy, idle = [bank.holder(name=name) for name in "AB"]
    begun = [await bank.client.update(each, new_key()) for each in (busy, idle)]
    bank.now = other.now = bank.now + 15 * DAY
    with bank.book.begin() as connection:
        ledger.lock_holder(connection, bank.entry(busy.certificate).holder)
        await other.client.update(other.holder(name="C"), new_key())
        assert [other.state(each.certificate) for each in begun] == [
            CertificateState.UNCONFIRMED,
            CertificateState.REVOKED,
        ]
    await other.client.update(other.holder(name="D"), new_key())
    assert other.state(begun[0].certificate) is CertificateState.REVOKED


async def test_nobody_ends_what_was_put_off_a_moment_ago(bank: Bank, other: Bank) -> None:
    """Between finding an overdue promise and having its holder, that one may have asked again."""
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    later = bank.now + 15 * DAY
    with other.book.begin() as finding:
        finding.execute(select(HOLDERS)).all()
        assert (await bank.client.update(holder, key)).certificate == issued.certificate
        bank.now += DAY
        await bank.client.update(holder, key)
        succession.lapse(finding, later - DAY)
    assert bank.state(issued.certificate) is CertificateState.UNCONFIRMED


# --- the CRL ----------------------------------------------------------------------------------------------------------


def make_crl(bank: Bank) -> crl.Crl:
    with bank.book.begin() as connection:
        return crl.current(connection, bank.authority, bank.policy, bank.now)


async def test_a_list_waits_for_a_revocation_that_is_not_committed(postgres: Postgres, bank: Bank, other: Bank) -> None:
    make_crl(bank)
    first, second = bank.holder(name="A").certificate, bank.holder(name="B").certificate
    bank.revoke(first)
    with bank.book.begin() as connection:
        entry = bank.entry(second)
        ledger.change_state(connection, entry.id, CertificateState.REVOKED, reason="keyCompromise", now=bank.now)
        making = asyncio.ensure_future(asyncio.to_thread(make_crl, other))
        await wait_until_locks_are_awaited(postgres, 1)
    made = await making
    assert made.number == 2
    assert serials(made) == {first.serial_number, second.serial_number}


async def test_a_revocation_waits_for_a_list_that_does_not_have_it(postgres: Postgres, bank: Bank, other: Bank) -> None:
    bank.revoke(bank.holder(name="A").certificate)
    second = bank.holder(name="B").certificate
    with bank.book.begin() as connection:
        made = crl.current(connection, bank.authority, bank.policy, bank.now)
        revoking = asyncio.ensure_future(asyncio.to_thread(other.revoke, second))
        await wait_until_locks_are_awaited(postgres, 1)
    await revoking
    assert second.serial_number not in serials(made)
    assert second.serial_number in serials(make_crl(bank)), "the list was outdated, not just made"


async def test_two_who_need_a_new_list_make_one(postgres: Postgres, bank: Bank, other: Bank) -> None:
    bank.revoke(bank.holder().certificate)
    with bank.book.begin() as connection:
        connection.execute(select(CRLS).with_for_update()).all()
        other.now += SECOND
        both = asyncio.gather(*(asyncio.to_thread(make_crl, each) for each in (other, other)))
        await wait_until_locks_are_awaited(postgres, 2)
    first, second = await both
    assert first == second
    assert first.number == 1


def serials(listed: crl.Crl) -> set[int]:
    return {entry.serial_number for entry in x509.load_der_x509_crl(listed.der)}


# --- tries ------------------------------------------------------------------------------------------------------------


async def test_tries_at_the_same_time_all_count(postgres: Postgres, bank: Bank, other: Bank) -> None:
    policy = Policy(most_tries=4)

    def attempt(book: Ledger) -> bool:
        try:
            with book.begin() as connection:
                tries.count(connection, b"somebody", policy, bank.now)
        except Refusal:
            return False
        return True

    assert attempt(bank.book)
    with bank.book.begin() as connection:
        connection.execute(select(TRIES).with_for_update()).all()
        every = asyncio.gather(*(asyncio.to_thread(attempt, each.book) for each in (bank, other) * 3))
        await wait_until_locks_are_awaited(postgres, 6)
    assert sorted(await every) == [False] * 3 + [True] * 3


async def test_who_forgets_waits_for_nobody(bank: Bank) -> None:
    """What others have at that moment is theirs to forget, or is needed still."""
    old, now = [b"one", b"two"], bank.now + 2 * DAY
    with bank.book.begin() as connection:
        for each in old:
            tries.count(connection, each, bank.policy, bank.now)
            transactions.remember_ended(connection, each, bank.now)
    with bank.book.begin() as busy:
        busy.execute(select(TRIES).where(TRIES.c.reference == old[0]).with_for_update()).all()
        busy.execute(select(ENDED_TRANSACTIONS).where(ENDED_TRANSACTIONS.c.id == old[0]).with_for_update()).all()
        with bank.book.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
            tries.count(connection, b"three", bank.policy, now)
            transactions.forget(connection, bank.policy, now)
            left = connection.execute(select(TRIES.c.reference).order_by(TRIES.c.reference)).scalars().all()
            assert left == [b"one", b"three"]
            assert connection.execute(select(ENDED_TRANSACTIONS.c.id)).scalars().all() == [b"one"]


# --- the clock --------------------------------------------------------------------------------------------------------


@contextmanager
def with_its_clock(server: Postgres, directory: Path, ahead: timedelta) -> Iterator[Ledger]:
    """A ledger in a database whose clock is not this machine's."""
    with server.database() as url:
        settle(directory, url)
        with Ledger.open(directory) as book:
            with book.begin() as connection:
                connection.exec_driver_sql("CREATE SCHEMA elsewhere")
                connection.exec_driver_sql(
                    "CREATE FUNCTION elsewhere.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                    f"$$ SELECT pg_catalog.clock_timestamp() + interval '{ahead.total_seconds()} seconds' $$"
                )
            settle(directory, f"{url}&options=-csearch_path%3Delsewhere,pg_catalog,public")
        with Ledger.open(directory) as book:
            yield book


async def test_time_is_that_of_the_database(postgres: Postgres, authority: Authority, tmp_path: Path) -> None:
    ahead = 100 * DAY
    with with_its_clock(postgres, tmp_path, ahead) as book:
        begun = datetime.now(UTC)
        assert begun <= book.now() - ahead <= datetime.now(UTC)
        bank = Bank(authority, book)
        bank.book, bank.now = book, book.now()
        bank.obey(Policy())
        holder = bank.holder(days_left=20)
        issued = await bank.client.update(holder, new_key())
        assert begun <= issued.certificate.not_before + bank.policy.back_dating - ahead + SECOND
        with book.read() as connection:
            (promise,) = promises.updates_of(connection, bank.entry(holder.certificate).id)
        assert begun <= promise.made_at - ahead <= datetime.now(UTC)
        assert promise.deadline - promise.made_at == bank.policy.confirmation
        told = (await bank.ask(holder, BodyType.GENM, QUESTION)).header.message_time
        assert told is not None
        assert begun <= told - ahead + SECOND
        bank.now = datetime.now(UTC)
        assert refusal(await bank.ask(holder, BodyType.GENM, QUESTION)) == (BodyType.ERROR, {FailInfo.BAD_TIME})


# --- when it does not answer ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """A server that tests stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def shaken(mortal: Postgres, authority: Authority, tmp_path: Path) -> Iterator[Bank]:
    with mortal.database() as url:
        settle(tmp_path, url)
        with Ledger.open(tmp_path) as book:
            yield Bank(authority, book)


async def post(bank: Bank, request: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/pkixcmp"}
    return await bank.http.post("http://ca.invalid/.well-known/cmp", content=request, headers=headers)


async def test_it_may_be_away_and_come_back(shaken: Bank, mortal: Postgres) -> None:
    holder, key = shaken.holder(), new_key()
    issued = await shaken.client.update(holder, key)
    request = await shaken.write(holder, BodyType.KUR, await write_update(holder.certificate, key))
    mortal.stop()
    try:
        answer, health = await post(shaken, request), await shaken.http.get("http://ca.invalid/health")
    finally:
        mortal.start()
    for each in (answer, health):
        assert (each.status_code, int(each.headers["retry-after"]) > 0) == (503, True)
    assert (await post(shaken, request)).status_code == 200, "nothing of it has been remembered"
    assert (await shaken.http.get("http://ca.invalid/health")).status_code == 200
    again = await shaken.client.update(holder, key)
    assert again.certificate == issued.certificate
    await shaken.client.confirm(again)


async def test_its_end_in_the_middle_of_a_decision_undoes_it(shaken: Bank, mortal: Postgres) -> None:
    holder = shaken.holder()
    request = await shaken.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
    with mortal.connect(database_of(shaken)) as beside, beside.transaction():
        beside.execute("LOCK TABLE transactions IN SHARE ROW EXCLUSIVE MODE")
        asking = asyncio.ensure_future(post(shaken, request))
        await wait_until_locks_are_awaited(mortal, 1)
        beside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'kiosk ca' AND pid <> pg_backend_pid()"
        )
        assert (await asking).status_code == 503
    assert (shaken.issued(), shaken.rows()) == (1, 0)
    assert (await post(shaken, request)).status_code == 200
    assert (shaken.issued(), shaken.rows()) == (2, 1)


def database_of(bank: Bank) -> str:
    with bank.book.read() as connection:
        name: str = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    return name


async def test_who_is_overtaken_again_and_again_is_asked_to_come_again(bank: Bank) -> None:
    """A trigger undoes every promise as if another transaction had always come first."""
    holder = bank.holder()
    request = await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
    with bank.book.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE attempts")
        connection.exec_driver_sql(
            "CREATE FUNCTION overtake() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM nextval('attempts'); RAISE serialization_failure; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER overtaken BEFORE INSERT ON promises EXECUTE FUNCTION overtake()")
    try:
        answer = await post(bank, request)
        assert answer.status_code == 503
        with bank.book.begin() as connection:
            assert connection.exec_driver_sql("SELECT last_value FROM attempts").scalar_one() == 5
    finally:
        with bank.book.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION overtake CASCADE")
            connection.exec_driver_sql("DROP SEQUENCE attempts")
    assert (await post(bank, request)).status_code == 200
    assert bank.rows() == 1


# --- where it is ------------------------------------------------------------------------------------------------------


def test_it_is_durable_even_where_a_database_is_not(postgres: Postgres, tmp_path: Path) -> None:
    kept = {}
    with postgres.database() as url:
        for asked in ("off", "local", "on"):
            settle(tmp_path, f"{url}&options=-csynchronous_commit%3D{asked}")
            with Ledger.open(tmp_path) as book, book.begin() as connection:
                kept[asked] = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    assert kept == {"off": "on", "local": "local", "on": "on"}


def test_a_machine_that_is_gone_is_noticed_and_the_url_may_say_when(postgres: Postgres, tmp_path: Path) -> None:
    told = []
    with postgres.database() as url:
        for each in (url, f"{url}&connect_timeout=60&application_name=other"):
            settle(tmp_path, each)
            with Ledger.open(tmp_path) as book, book.begin() as connection:
                told.append(connection.connection.driver_connection.info.get_parameters())  # type: ignore[union-attr]
    assert [each["connect_timeout"] for each in told] == ["5", "60"]
    assert {(each["application_name"], each["keepalives_idle"]) for each in told} == {("kiosk ca", "10")}


def test_two_processes_that_begin_at_once_make_one_ledger(postgres: Postgres, tmp_path: Path) -> None:
    with postgres.database() as url, ThreadPoolExecutor() as pool:
        settle(tmp_path, url)
        books = list(pool.map(lambda _: Ledger.open(tmp_path), range(4)))
        for book in books:
            with book.begin() as connection:
                assert connection.execute(select(CRLS.c.number)).scalars().all() == [0]
            book.close()


SECRET = "correct-horse"
URLS = {
    "nobody there": f"postgresql://kiosk:{SECRET}@127.0.0.1:1/ledger",
    "a password elsewhere": f"postgresql://127.0.0.1:1/ledger?user=kiosk&password={SECRET}",
    "no such option": f"postgresql://kiosk:{SECRET}@127.0.0.1:1/ledger?speed=high",
    "no port": f"postgresql://kiosk:{SECRET}@127.0.0.1:x/ledger",
    "another database": f"mysql://kiosk:{SECRET}@localhost/ledger",
    "another driver": f"postgresql+asyncpg://kiosk:{SECRET}@localhost/ledger",
    "no URL": SECRET,
    "nothing": "",
}


@pytest.mark.parametrize("name", URLS)
def test_no_password_is_told_where_it_cannot_be_opened(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settle(tmp_path, URLS[name])
    for open_ in (Ledger.open, Ledger.open_beside, opening.upgrade):
        with pytest.raises(LedgerDamaged) as caught:
            open_(tmp_path)
        told = "".join(traceback.format_exception(caught.value))
        assert SECRET not in told
        assert "ledger" in str(caught.value)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "written", ["", "url = 1", 'urll = "x"', "url =", "\xff", 'url = "postgresql:///x"\nspeed = 1', "[url]"]
)
def test_a_file_that_is_not_understood_is_named(written: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.toml").write_bytes(written.encode("latin-1"))
    with pytest.raises(LedgerDamaged, match=r"ledger\.toml is not understood"):
        Ledger.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.toml"]


@given(url=st.text())
def test_whatever_stands_for_a_url_is_understood_or_refused(url: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "ledger.toml").write_text(tomli_w.dumps({"url": url}))
        with contextlib.suppress(LedgerDamaged):
            understood = database.configured_url(Path(place))
            assert understood is not None
            assert understood.drivername == "postgresql+psycopg"


def test_a_ledger_in_sqlite_is_not_forgotten_for_an_empty_database(postgres: Postgres, tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    with postgres.database() as url:
        settle(tmp_path, url)
        with pytest.raises(LedgerDamaged, match=r"ledger\.sqlite"):
            Ledger.open(tmp_path)
        (tmp_path / "ledger.sqlite").unlink()
        Ledger.open(tmp_path).close()


# --- what PostgreSQL does not take ------------------------------------------------------------------------------------


async def test_a_reference_with_a_nul_is_nobodys(bank: Bank) -> None:
    code = replace(bank.newcomer(), reference=b"TKYM\0")
    answer = await bank.ask(code, BodyType.GENM, QUESTION)
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_MESSAGE_CHECK})


@pytest.mark.parametrize("number", [0, -1, 2**31 - 1, 2**31, 10**30])
def test_a_request_with_a_number_that_no_row_has_does_not_wait(bank: Bank, number: int) -> None:
    with bank.book.begin() as connection:
        assert not succession.decide(connection, number, approve=True, now=bank.now)
