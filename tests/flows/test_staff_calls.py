"""係員を呼ぶ, with a receiver on a real socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kiosk.clock import system_clock
from kiosk.errors import Code
from kiosk.journal import Event, Journal
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import Settings, SettingsError
from kiosk.tokens.process import ModuleSettings
from tests.bank import Bank
from tests.flows.test_reception import Board, front_desk_of
from tests.scripted_desk import ScriptedDesk


@dataclass
class Receiver:
    """Whoever sits in the back office: keeps what was posted, and answers with `status`."""

    status: int = 204
    silent: bool = False
    wakes: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the silence."""
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    calls: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.heads.append(head)
        self.calls.append(msgspec.json.decode(await reader.readexactly(length), type=dict[str, str]))
        if self.silent:
            await self.wakes.wait()
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0, ssl=tls)
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/help"
    try:
        yield receiver
    finally:
        server.close()


def calling(bank: Bank, url: str, roots: str = "") -> Settings:
    """The bank's kiosk without a module, so that every visit ends in a problem."""
    branch = msgspec.structs.replace(bank.settings.branch, branch="本店", kiosk="3", help_url=url, help_tls_roots=roots)
    return msgspec.structs.replace(bank.settings, branch=branch, token=ModuleSettings("/nonexistent/module.so"))


async def call_from_problem(settings: Settings) -> ScriptedDesk:
    desk = ScriptedDesk(calls=True)
    async with front_desk_of(settings) as front_desk:
        await front_desk.serve(desk)
    return desk


def entries(bank: Bank) -> list[tuple[str, str, str]]:
    with Journal(Path(bank.settings.journal)) as journal:
        staff = (Event.STAFF_CALLED, Event.STAFF_NOT_REACHED)
        return [(each.event, each.code, each.detail) for each in journal.entries() if each.event in staff]


async def test_a_call_from_a_problem_says_which_kiosk_which_code_and_when(bank: Bank) -> None:
    async with listening(Receiver()) as receiver:
        desk = await call_from_problem(calling(bank, receiver.url))
    assert desk.asked == ["problem", "problem-called"]
    (call,) = receiver.calls
    assert (set(call), call["kiosk"], call["code"]) == ({"kiosk", "code", "time"}, "本店 3", "T-03")
    assert abs(datetime.fromisoformat(call["time"]) - system_clock()) < timedelta(minutes=1)
    assert b"application/json" in receiver.heads[0]
    assert entries(bank) == [(Event.STAFF_CALLED, Code.MODULE_UNUSABLE, "")]


async def test_without_an_address_the_journal_alone_is_told(bank: Bank) -> None:
    await call_from_problem(calling(bank, ""))
    assert entries(bank) == [(Event.STAFF_CALLED, Code.MODULE_UNUSABLE, "")]


async def test_a_call_from_standby(bank: Bank) -> None:
    board = Board()
    async with listening(Receiver()) as receiver:
        settings = msgspec.structs.replace(calling(bank, receiver.url), token=bank.settings.token)
        async with front_desk_of(settings) as front_desk:
            waiting = asyncio.create_task(front_desk.wait_for_customer(board))
            board.call.set()
            async with asyncio.timeout(10):
                while not receiver.calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert not waiting.done(), "a call begins no visit"
            waiting.cancel()
    assert receiver.calls[0]["code"] == ""


async def test_a_receiver_that_refuses_is_noted_and_nothing_else(bank: Bank) -> None:
    async with listening(Receiver(status=500)) as receiver:
        desk = await call_from_problem(calling(bank, receiver.url))
    assert desk.asked == ["problem", "problem-called"]
    assert entries(bank)[1:] == [(Event.STAFF_NOT_REACHED, Code.MODULE_UNUSABLE, "HTTPStatusError")]


async def test_nobody_listening_is_noted(bank: Bank) -> None:
    await call_from_problem(calling(bank, "http://127.0.0.1:1/"))
    assert entries(bank)[1:] == [(Event.STAFF_NOT_REACHED, Code.MODULE_UNUSABLE, "ConnectError")]


async def test_a_silent_receiver_is_given_up(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.staff_calls.TIME_LIMIT", 0.2)
    async with listening(Receiver(silent=True)) as receiver:
        await call_from_problem(calling(bank, receiver.url))
        assert receiver.calls
    assert entries(bank)[1:] == [(Event.STAFF_NOT_REACHED, Code.MODULE_UNUSABLE, "TimeoutError")]


async def test_its_tls_trust_is_its_own(bank: Bank, tmp_path: Path) -> None:
    tls, root = tls_server(tmp_path)
    async with listening(Receiver(), tls) as receiver:
        await call_from_problem(calling(bank, receiver.url, str(root)))
        assert len(receiver.calls) == 1
        await call_from_problem(calling(bank, receiver.url, bank.settings.ca.tls_roots))
        await call_from_problem(calling(bank, receiver.url))
        assert len(receiver.calls) == 1
    assert [event for event, _, _ in entries(bank)].count(Event.STAFF_NOT_REACHED) == 2


async def test_a_missing_file_of_roots_is_named_at_the_start(bank: Bank) -> None:
    with pytest.raises(SettingsError, match=r"branch\.help_tls_roots"):
        async with open_services(calling(bank, "https://localhost/", "/nonexistent.pem")):
            pass


def tls_server(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's own certificate, which is its root as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "help")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
    builder = builder.not_valid_before(system_clock() - timedelta(days=1))
    builder = builder.not_valid_after(system_clock() + timedelta(days=1)).public_key(key.public_key())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(address, critical=False).sign(key, SHA256())
    root, both = directory / "root.pem", directory / "both.pem"
    root.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(private + root.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, root


async def stand_by(settings: Settings, until: Callable[[], bool]) -> None:
    """A kiosk that nobody comes to, until so much is true."""
    async with front_desk_of(settings) as front_desk:
        await stand_by_at(front_desk, until)


async def stand_by_at(front_desk: FrontDesk, until: Callable[[], bool]) -> None:
    waiting = asyncio.create_task(front_desk.wait_for_customer(Board()))
    async with asyncio.timeout(20):
        while not until():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    waiting.cancel()


async def test_a_damaged_journal_is_told_until_it_has_reached_somebody_and_then_no_more(bank: Bank) -> None:
    told = (Event.STAFF_CALLED, Code.JOURNAL_DAMAGED, "")
    Path(bank.settings.journal).write_bytes(b"no database" * 1000)
    nobody = calling(bank, "http://127.0.0.1:1/")
    await stand_by(nobody, lambda: len(entries(bank)) == 2)
    assert entries(bank) == [told, (Event.STAFF_NOT_REACHED, Code.JOURNAL_DAMAGED, "ConnectError")]
    async with listening(Receiver()) as receiver:
        await stand_by(calling(bank, receiver.url), lambda: len(receiver.calls) == 1)
        assert receiver.calls[0]["code"] == Code.JOURNAL_DAMAGED
        with Journal(Path(bank.settings.journal)) as journal:
            assert not journal.has_damage_to_tell()
        board = Board()
        async with front_desk_of(calling(bank, receiver.url)) as front_desk:
            waiting = asyncio.create_task(front_desk.wait_for_customer(board))
            board.call.set()  # a call for which standby is asked after it has looked at the journal
            async with asyncio.timeout(20):
                while len(receiver.calls) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            waiting.cancel()
    assert [call["code"] for call in receiver.calls[1:]] == [""]


async def test_a_call_under_way_has_reached_nobody_yet(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(bank.settings.journal).write_bytes(b"no database" * 1000)
    looks, shorten = 0, Journal.remove_older_than

    def counted(journal: Journal, days: int, zone: ZoneInfo) -> int:
        nonlocal looks
        looks += 1
        return shorten(journal, days, zone)

    monkeypatch.setattr(Journal, "remove_older_than", counted)
    async with (
        listening(Receiver(status=500, silent=True)) as receiver,
        front_desk_of(calling(bank, receiver.url)) as front_desk,
    ):
        await stand_by_at(front_desk, lambda: len(receiver.calls) == 1 and looks == 1)
        await stand_by_at(front_desk, lambda: looks == 2)
        receiver.wakes.set()
        await front_desk.close()
        await stand_by_at(front_desk, lambda: len(receiver.calls) == 2)
    assert {call["code"] for call in receiver.calls} == {Code.JOURNAL_DAMAGED}


def test_a_journal_that_follows_no_damaged_one_has_nothing_to_tell(bank: Bank) -> None:
    with Journal(Path(bank.settings.journal)) as journal:
        journal.append("", Event.CRASHED, "", "", "", "", "ended by SIGKILL")
        assert not journal.has_damage_to_tell()
