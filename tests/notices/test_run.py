"""Whole runs against a real SMTP server: who gets a mail, what is recorded, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from kiosk.ca.ledger import Ledger, LedgerAway
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, CertificateState, NoticeState
from kiosk.notices.due import Due
from kiosk.notices.post import Post
from kiosk.notices.run import Run, Summary
from kiosk.notices.settings import NoticeSettings, NoticeSettingsError, Security, SmtpSettings
from tests.ca.bank import on_both
from tests.notices.ledgers import enter, states
from tests.notices.mail_server import PASSWORD, USER, MailServer, MailTls, make_tls, serving
from tests.notices.samples import END, SETTINGS, Clock, days_before

SENT, DEFERRED, REFUSED = NoticeState.SENT, NoticeState.DEFERRED, NoticeState.REFUSED
SKIPPED, UNREACHABLE, SENDING = NoticeState.SKIPPED, NoticeState.UNREACHABLE, NoticeState.SENDING


@dataclass
class Teller:
    """Runs notices, and hears what became of them; waits take no time."""

    book: Ledger
    directory: Path
    server: MailServer
    smtp: dict[str, object] = field(default_factory=dict)
    heard: list[tuple[str, NoticeState, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    connections: int = 0

    @property
    def settings(self) -> NoticeSettings:
        usual: dict[str, object] = {"host": "127.0.0.1", "port": self.server.port, "security": Security.NONE}
        return msgspec.structs.replace(SETTINGS, smtp=SmtpSettings(**(usual | self.smtp)))  # type: ignore[arg-type]

    async def run(self) -> Summary:
        seconds = itertools.count(step=3600)
        async with Post(self.settings, self.directory) as post:
            run = Run(self.book, self.settings, post, self.hear, lambda: next(seconds), self.wait)
            summary = await run.run()
            self.connections = post.connections
        return summary

    def hear(self, due: Due, state: NoticeState, why: str) -> None:
        self.heard.append((due.notice.holder.id, state, why))

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@dataclass
class AwayLedger:
    """A ledger that does not answer so many times, once that has begun."""

    book: Ledger
    times: int
    is_away: bool = False

    def begin(self) -> AbstractContextManager[Connection]:
        if self.is_away and self.times:
            self.times -= 1
            raise LedgerAway("the ledger's database does not answer")
        return self.book.begin()

    def read(self) -> AbstractContextManager[Connection]:
        return self.book.read()

    def now(self, connection: Connection | None = None) -> datetime:
        return self.book.now(connection)


@pytest.fixture
def server() -> MailServer:
    return MailServer()


@pytest.fixture
def teller(book: Ledger, directory: Path, server: MailServer) -> Teller:
    return Teller(book, directory, server)


@on_both
async def test_whoever_is_due_gets_one_mail_in_his_language(teller: Teller, clock: Clock) -> None:
    enter(teller.book, "A", END)
    enter(teller.book, "B", END, language="en")
    enter(teller.book, "C", END + timedelta(days=1))
    async with serving(teller.server):
        summary = await teller.run()
        again = await teller.run()
    assert dict(summary.counts - Counter()) == {SENT: 2}
    assert not again.counts - Counter()
    assert (summary.is_done, again.is_done) == (True, True)
    assert teller.server.recipients == ["A@example.co.jp", "B@example.co.jp"]
    subjects = [str(mail["Subject"]) for _, mail in teller.server.taken]
    assert ["あと30日" in subjects[0], "in 30 days" in subjects[1]] == [True, True]
    assert teller.server.taken[0][1]["Date"].datetime == clock.now
    assert states(teller.book) == [("A", 30, SENT), ("B", 30, SENT)]


async def test_many_mails_go_through_one_connection(teller: Teller) -> None:
    for number in range(7):
        enter(teller.book, f"H{number}", END)
    async with serving(teller.server):
        await teller.run()
    assert (len(teller.server.taken), teller.server.connections, teller.connections) == (7, 1, 1)


async def test_from_the_thirtieth_day_to_the_end_there_are_two_mails(teller: Teller, clock: Clock) -> None:
    enter(teller.book, "A", END)
    told = {}
    async with serving(teller.server):
        for days in range(40, -3, -1):
            clock.now = days_before(days)
            await teller.run()
            await teller.run()
            told[days] = len(teller.server.taken)
    assert {days for days, number in told.items() if number > told.get(days + 1, 0)} == {30, 10}
    assert told[-2] == 2
    assert len({mail["Message-ID"] for _, mail in teller.server.taken}) == 2


@on_both
async def test_after_three_days_down_a_missed_notice_goes_out_once_with_the_true_number(
    teller: Teller, clock: Clock
) -> None:
    enter(teller.book, "A", END)
    async with serving(teller.server):
        clock.now = days_before(27)
        await teller.run()
        clock.now = days_before(26)
        await teller.run()
    assert [str(mail["Subject"])[-7:] for _, mail in teller.server.taken] == ["（あと27日）"]
    with teller.book.read() as connection:
        row = connection.execute(select(NOTICES)).one()
    assert (row.day, row.state, row.days_left, row.tries, row.lease) == (30, SENT, 27, 1, None)


@on_both
async def test_where_both_are_due_only_the_later_goes_out(teller: Teller, clock: Clock) -> None:
    enter(teller.book, "A", END)
    clock.now = days_before(8)
    async with serving(teller.server):
        await teller.run()
        await teller.run()
    assert [str(mail["Subject"])[-6:] for _, mail in teller.server.taken] == ["（あと8日）"]
    assert states(teller.book) == [("A", 10, SENT), ("A", 30, SKIPPED)]


@on_both
async def test_a_notice_that_failed_until_the_next_one_came_is_skipped(teller: Teller, clock: Clock) -> None:
    enter(teller.book, "A", END)
    teller.server.always["A@example.co.jp"] = "450 4.2.1 try later"
    async with serving(teller.server):
        clock.now = days_before(11)
        await teller.run()
        assert states(teller.book) == [("A", 30, DEFERRED)]
        teller.server.always.clear()
        clock.now = days_before(10)
        await teller.run()
    assert states(teller.book) == [("A", 10, SENT), ("A", 30, SKIPPED)]


@pytest.mark.parametrize("state", [CertificateState.REVOKED, CertificateState.SUPERSEDED])
async def test_who_has_renewed_since_the_first_mail_gets_no_second(
    teller: Teller, clock: Clock, state: CertificateState
) -> None:
    enter(teller.book, "A", END)
    async with serving(teller.server):
        await teller.run()
        with teller.book.begin() as connection:
            connection.execute(update(CERTIFICATES).values(state=state))
        clock.now = days_before(10)
        await teller.run()
    assert len(teller.server.taken) == 1


async def test_who_renews_while_the_run_is_on_its_way_gets_no_mail(teller: Teller) -> None:
    first, second = (enter(teller.book, holder, END) for holder in "AB")
    del first

    def renewed(step: str) -> None:
        if step == "taken":
            with teller.book.begin() as connection:
                connection.execute(
                    update(CERTIFICATES).where(CERTIFICATES.c.id == second).values(state=CertificateState.SUPERSEDED)
                )

    teller.server.step = renewed
    async with serving(teller.server):
        await teller.run()
    assert teller.server.recipients == ["A@example.co.jp"]
    assert states(teller.book) == [("A", 30, SENT)]


@on_both
async def test_who_has_no_address_is_reported_and_told_once_there_is_one(teller: Teller) -> None:
    enter(teller.book, "A", END, email=None)
    async with serving(teller.server):
        summary = await teller.run()
        assert teller.heard == [("A", UNREACHABLE, "the holder has no address")]
        assert (summary.is_done, teller.server.connections) == (True, 0)
        assert states(teller.book) == [("A", 30, UNREACHABLE)]
        with teller.book.begin() as connection:
            connection.execute(update(HOLDERS).values(email="new@example.co.jp"))
        await teller.run()
    assert teller.server.recipients == ["new@example.co.jp"]
    assert states(teller.book) == [("A", 30, SENT)]


@on_both
async def test_a_refused_address_is_not_tried_again_and_holds_up_nobody(teller: Teller, clock: Clock) -> None:
    for holder in "ABC":
        enter(teller.book, holder, END)
    teller.server.always["B@example.co.jp"] = "550 5.1.1 no such user"
    async with serving(teller.server):
        summary = await teller.run()
        await teller.run()
        assert teller.server.commands["RCPT"] == 3
        assert dict(summary.counts - Counter()) == {SENT: 2, REFUSED: 1}
        assert states(teller.book) == [("A", 30, SENT), ("B", 30, REFUSED), ("C", 30, SENT)]
        assert ("B", REFUSED, "550 5.1.1 no such user") in teller.heard
        # The next notice is another one.
        clock.now = days_before(10)
        await teller.run()
    assert teller.server.commands["RCPT"] == 6


@on_both
async def test_another_address_than_the_refused_one_is_tried(teller: Teller) -> None:
    enter(teller.book, "A", END)
    teller.server.always["A@example.co.jp"] = "550 5.1.1 no such user"
    async with serving(teller.server):
        await teller.run()
        with teller.book.begin() as connection:
            connection.execute(update(HOLDERS).values(email="right@example.co.jp"))
        await teller.run()
    assert teller.server.recipients == ["right@example.co.jp"]
    assert states(teller.book) == [("A", 30, SENT)]


async def test_what_is_no_address_is_refused_without_asking_the_server(teller: Teller) -> None:
    enter(teller.book, "A", END, email="no address")
    async with serving(teller.server):
        await teller.run()
    assert states(teller.book) == [("A", 30, REFUSED)]
    assert teller.server.commands["MAIL"] == 0


@pytest.mark.parametrize(
    ("answers", "taken", "state", "waits"),
    [
        (["450 4.2.1 greylisted"], 1, SENT, [15]),
        (["450 4.2.1 greylisted"] * 3, 1, SENT, [15, 60, 240]),
        (["450 4.2.1 greylisted"] * 4, 0, DEFERRED, [15, 60, 240]),
        (["421 4.3.2 closing down"], 1, SENT, [15]),
    ],
)
async def test_what_fails_for_the_moment_is_tried_again_after_a_while(
    teller: Teller, answers: list[str], taken: int, state: NoticeState, waits: list[float]
) -> None:
    enter(teller.book, "A", END)
    teller.server.at_recipient["A@example.co.jp"] = list(answers)
    async with serving(teller.server):
        summary = await teller.run()
    assert len(teller.server.taken) == taken
    assert states(teller.book) == [("A", 30, state)]
    assert teller.waits == waits
    assert summary.is_done == (state is SENT)


OBJECTIONS = [
    "554 5.7.1 relay access denied",
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    "550 relay not permitted",
    "550 5.1.8 sender address rejected: domain not found",
    "554 5.3.2 system not accepting mail",
]


@pytest.mark.parametrize("answer", OBJECTIONS)
async def test_what_may_be_our_own_fault_is_asked_once_a_run_and_counts_against_nobody(
    teller: Teller, clock: Clock, answer: str
) -> None:
    for holder in "AB":
        enter(teller.book, holder, END)
        teller.server.always[f"{holder}@example.co.jp"] = answer
    async with serving(teller.server):
        for days in range(30, 20, -1):
            clock.now = days_before(days)
            summary = await teller.run()
            assert not summary.is_done
        assert (teller.waits, teller.server.commands["RCPT"]) == ([], 20)
        assert states(teller.book) == [("A", 30, DEFERRED), ("B", 30, DEFERRED)]
        teller.server.always.clear()
        assert (await teller.run()).is_done
    assert states(teller.book) == [("A", 30, SENT), ("B", 30, SENT)]


@on_both
@pytest.mark.parametrize("answer", [OBJECTIONS[0], OBJECTIONS[2]])
async def test_what_lasts_three_days_while_others_get_theirs_counts_against_the_address(
    teller: Teller, clock: Clock, answer: str
) -> None:
    enter(teller.book, "A", END)
    teller.server.always["A@example.co.jp"] = teller.server.always["new@example.co.jp"] = answer
    became = []
    async with serving(teller.server):
        for days in range(30, 24, -1):
            clock.now = days_before(days)
            enter(teller.book, f"B{days}", END - timedelta(days=30 - days))
            await teller.run()
            became += [state for holder, _, state in states(teller.book) if holder == "A"]
        assert became == [DEFERRED] * 3 + [REFUSED] * 3
        assert teller.server.commands["RCPT"] == 4 + 6
        # Another address begins anew.
        with teller.book.begin() as connection:
            connection.execute(update(HOLDERS).where(HOLDERS.c.id == "A").values(email="new@example.co.jp"))
        assert not (await teller.run()).is_done
    assert ("A", 30, DEFERRED) in states(teller.book)


async def test_what_fails_for_the_moment_is_tried_again_beside_what_is_left_to_the_next_run(teller: Teller) -> None:
    enter(teller.book, "A", END)
    enter(teller.book, "B", END)
    teller.server.always["A@example.co.jp"] = OBJECTIONS[0]
    teller.server.at_recipient["B@example.co.jp"] = ["450 4.2.1 greylisted"]
    async with serving(teller.server):
        summary = await teller.run()
    assert dict(summary.counts - Counter()) == {SENT: 1, DEFERRED: 1}
    assert (teller.waits, teller.server.commands["RCPT"]) == ([15], 3)


async def test_what_one_run_could_not_send_the_next_one_does(teller: Teller) -> None:
    enter(teller.book, "A", END)
    teller.server.at_recipient["A@example.co.jp"] = ["450 not now"] * 4
    async with serving(teller.server):
        assert not (await teller.run()).is_done
        assert (await teller.run()).is_done
    with teller.book.read() as connection:
        row = connection.execute(select(NOTICES)).one()
    assert (row.state, row.tries, row.error) == (SENT, 5, None)


async def test_a_connection_that_is_cut_in_the_middle_of_a_mail_is_made_again(teller: Teller) -> None:
    for holder in "ABC":
        enter(teller.book, holder, END)
    teller.server.at_data = ["250 OK", "cut", "250 OK"]
    async with serving(teller.server):
        summary = await teller.run()
    assert sorted(teller.server.recipients) == ["A@example.co.jp", "B@example.co.jp", "C@example.co.jp"]
    assert summary.is_done
    assert teller.server.commands["half"] == 1


async def test_where_the_server_took_it_and_could_not_say_so_the_mail_comes_again_with_the_same_id(
    teller: Teller,
) -> None:
    enter(teller.book, "A", END)
    teller.server.at_data = ["lose"]
    async with serving(teller.server):
        await teller.run()
    assert len(teller.server.taken) == 2
    assert len({mail["Message-ID"] for _, mail in teller.server.taken}) == 1
    assert states(teller.book) == [("A", 30, SENT)]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("554 5.6.0 I do not like it", DEFERRED),
        ("550 5.1.8 your domain does not exist", DEFERRED),
        ("550 I do not like it", DEFERRED),
        ("552 5.2.2 mailbox full", REFUSED),
        ("550 5.1.1 no such user after all", REFUSED),
        ("451 4.3.0 later", SENT),
    ],
)
async def test_what_a_server_says_at_the_end_of_a_mail(teller: Teller, answer: str, state: NoticeState) -> None:
    enter(teller.book, "A", END)
    teller.server.at_data = [answer] * (1 if answer.startswith("451") else 9)
    async with serving(teller.server):
        await teller.run()
    assert states(teller.book) == [("A", 30, state)]


async def test_a_server_that_is_down_costs_nobody_anything(teller: Teller) -> None:
    enter(teller.book, "A", END)
    async with serving(teller.server):
        pass
    summary = await teller.run()
    assert "cannot be reached" in summary.trouble
    assert states(teller.book) == []
    assert teller.waits == [15, 60, 240]
    async with serving(teller.server):
        assert (await teller.run()).is_done
    assert states(teller.book) == [("A", 30, SENT)]


async def test_a_server_that_cuts_everything_is_left_alone(teller: Teller) -> None:
    for number in range(9):
        enter(teller.book, f"H{number}", END)
    teller.server.at_data = ["cut"] * 99
    async with serving(teller.server):
        summary = await teller.run()
    assert "connection was lost" in summary.trouble
    assert teller.server.commands["half"] == 4 * 3


async def test_a_server_that_refuses_the_sender_ends_the_run(teller: Teller) -> None:
    for holder in "AB":
        enter(teller.book, holder, END)
    teller.server.at_sender = ["550 5.7.1 not you"]
    async with serving(teller.server):
        summary = await teller.run()
    assert "takes no mail from this sender" in summary.trouble
    assert teller.waits == []
    assert states(teller.book) == [("A", 30, DEFERRED)]


async def test_a_slow_server_is_waited_for_and_not_for_ever(teller: Teller) -> None:
    enter(teller.book, "A", END)
    teller.smtp = {"time_limit": 0.05, "tries": 1}

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with server:
        teller.server.port = server.sockets[0].getsockname()[1]
        summary = await teller.run()
    assert "cannot be reached" in summary.trouble
    assert states(teller.book) == []


async def test_no_more_mails_than_the_rate_allows(teller: Teller) -> None:
    for number in range(5):
        enter(teller.book, f"H{number}", END)
    teller.smtp = {"per_minute": 30}
    moments = [0.0, 0.5, 1.0, 60.0, 60.5]
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async with serving(teller.server), Post(teller.settings, teller.directory) as post:
        ticks = iter(moments)
        await Run(teller.book, teller.settings, post, teller.hear, lambda: next(ticks), wait).run()
    # A mail every two seconds: the second has to wait 1.5, the third 3 (it is the turn of second 4).
    assert waited == [1.5, 3.0, 1.5]
    assert len(teller.server.taken) == 5


@on_both
async def test_a_claim_of_somebody_else_is_left_alone_until_it_has_run_out(teller: Teller, clock: Clock) -> None:
    enter(teller.book, "A", END)
    teller.server.at_recipient["A@example.co.jp"] = ["450 x"] * 4
    async with serving(teller.server):
        await teller.run()
        with teller.book.begin() as connection:
            lease = clock.now + timedelta(minutes=3)
            connection.execute(update(NOTICES).values(state=SENDING, lease=lease))
        assert (await teller.run()).counts[SENT] == 0
        clock.now = lease + timedelta(seconds=1)
        assert (await teller.run()).counts[SENT] == 1


@on_both
async def test_a_ledger_that_is_away_when_a_mail_has_gone_out_is_asked_again(teller: Teller) -> None:
    enter(teller.book, "A", END)
    away = AwayLedger(teller.book, 2)
    teller.book = cast(Ledger, away)

    def gone_out(step: str) -> None:
        away.is_away |= step == "taken"

    teller.server.step = gone_out
    async with serving(teller.server):
        summary = await teller.run()
        await teller.run()
    assert (summary.counts[SENT], teller.waits) == (1, [1, 4])
    assert len(teller.server.taken) == 1
    assert states(away.book) == [("A", 30, SENT)]


# --- encryption and login


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> MailTls:
    return make_tls(tmp_path_factory.mktemp("mail"))


def secured(teller: Teller, tls: MailTls, **changes: object) -> Teller:
    password = teller.directory / "password"
    password.touch(0o600)
    password.write_text(f"{PASSWORD}\n")
    usual: dict[str, object] = {"security": Security.STARTTLS, "roots": str(tls.roots)}
    usual |= {"user": USER, "password_file": "password"}
    teller.smtp = usual | changes
    return teller


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it is required, from the first byte
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_it_speaks_tls_and_logs_in(teller: Teller, tls: MailTls, security: Security) -> None:
    enter(teller.book, "A", END)
    secured(teller, tls, security=security)
    async with serving(teller.server, tls=tls.context, implicit=security is Security.TLS, login=True):
        summary = await teller.run()
    assert summary.is_done, summary.trouble
    assert (teller.server.logins, teller.server.encrypted) == ([True], [True])
    assert teller.server.recipients == ["A@example.co.jp"]
    written = [path for path in teller.directory.rglob("*") if path.is_file() and path.name != "password"]
    assert [path for path in written if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in f"{teller!r} {summary!r} {Post(teller.settings, teller.directory)!r}"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it is required, from the first byte
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_without_a_trusted_certificate_hears_nothing(
    teller: Teller, tls: MailTls, security: Security
) -> None:
    enter(teller.book, "A", END)
    secured(teller, tls, security=security, roots="")
    async with serving(teller.server, tls=tls.context, implicit=security is Security.TLS, login=True):
        summary = await teller.run()
    assert "cannot be trusted" in summary.trouble
    assert (teller.server.logins, teller.waits, states(teller.book)) == ([], [], [])


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_whose_certificate_has_ended_hears_nothing(
    teller: Teller, tmp_path_factory: pytest.TempPathFactory, security: Security
) -> None:
    await hears_nothing(teller, make_tls(tmp_path_factory.mktemp("mail"), ends_in=-timedelta(days=1)), security)


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_with_the_certificate_of_another_address_hears_nothing(
    teller: Teller, tls: MailTls, security: Security
) -> None:
    await hears_nothing(teller, tls, security, host="localhost")


async def hears_nothing(teller: Teller, tls: MailTls, security: Security, **changes: object) -> None:
    """A server whose root is trusted, and whose certificate is not."""
    enter(teller.book, "A", END)
    secured(teller, tls, security=security, user="", password_file="", **changes)
    async with serving(teller.server, tls=tls.context, implicit=security is Security.TLS):
        summary = await teller.run()
    assert "cannot be trusted" in summary.trouble
    assert (teller.server.commands["MAIL"], teller.waits, states(teller.book)) == (0, [], [])


async def test_a_server_that_offers_no_encryption_hears_nothing(teller: Teller, tls: MailTls) -> None:
    enter(teller.book, "A", END)
    secured(teller, tls, security=Security.STARTTLS)
    async with serving(teller.server):
        summary = await teller.run()
    assert "does not offer what the settings want" in summary.trouble
    assert (teller.server.commands["MAIL"], teller.waits) == (0, [])


async def test_a_refused_login_is_told_without_the_password(teller: Teller, tls: MailTls) -> None:
    enter(teller.book, "A", END)
    secured(teller, tls)
    (teller.directory / "password").write_text("wrong secret\n")
    async with serving(teller.server, tls=tls.context, login=True):
        summary = await teller.run()
    assert "refuses the login (535): check smtp.user and smtp.password_file" in summary.trouble
    assert "secret" not in f"{summary} {teller.heard}"
    assert states(teller.book) == []


async def test_a_missing_password_file_is_told_before_anybody_is_asked(teller: Teller, tls: MailTls) -> None:
    enter(teller.book, "A", END)
    secured(teller, tls, password_file="nowhere")
    async with serving(teller.server):
        with pytest.raises(NoticeSettingsError, match="nowhere cannot be read"):
            await teller.run()
    assert teller.server.connections == 0
