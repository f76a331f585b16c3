"""What cannot be taken back is in the journal before it is done: read at the very moment of each act."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from kiosk.cmp.client import CmpClient
from kiosk.credentials import successor_key_id
from kiosk.desk import MenuChoice, NoticeAnswer
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.items import PENDING_LABEL
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.flows.test_conversation import Counterfeit
from tests.flows.test_enrolment import with_code
from tests.scripted_desk import ScriptedDesk

LASTING = (
    wire.MakeKeyPair,
    wire.ImportKeyPair,
    wire.WriteCertificate,
    wire.Remove,
    wire.Relabel,
    wire.ChangePin,
    wire.ChangePinAtPad,
)
"""The requests after which a token is another one than before."""


class Witness:
    """Notes each act, with the line of the journal that is on the disk while it begins."""

    def __init__(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        self.acts: list[tuple[str, str]] = []
        self._journal = bank.settings.journal
        call = TokenProcess.call

        async def seen(process: TokenProcess, request: wire.Request, *rest: object, **named: object) -> object:
            if isinstance(request, LASTING):
                self.sees(type(request).__name__)
            return await call(process, request, *rest, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(TokenProcess, "call", seen)

    def sees(self, act: str) -> None:
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as database:
            (event,) = database.execute("SELECT event FROM journal ORDER BY number DESC LIMIT 1").fetchone()
        if (act, event) not in self.acts:
            self.acts.append((act, event))


class Watched:
    """The CA, before which a witness stands."""

    def __init__(self, real: CmpClient, witness: Witness) -> None:
        self._real = real
        self._witness = witness

    def __getattr__(self, name: str) -> object:
        act: object = getattr(self._real, name)
        if name in {"update", "enrol", "confirm", "reject"}:
            self._witness.sees(name)
        return act


def through(witness: Witness) -> Callable[[CmpClient], CmpClient]:
    return lambda real: cast("CmpClient", Watched(real, witness))


async def test_a_renewal(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(bank, monkeypatch)
    assert (await bank.visit(ScriptedDesk(), through=through(witness))).completion
    assert witness.acts == [
        ("MakeKeyPair", Event.MAKING_KEY),
        ("update", Event.REQUESTING),
        ("WriteCertificate", Event.WRITING),
        ("confirm", Event.CONFIRMING),
        ("Relabel", Event.RETIRING),
        ("Remove", Event.RETIRING),
    ]


async def test_a_renewal_that_comes_to_nothing(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(bank, monkeypatch)
    outcome = await bank.visit(ScriptedDesk(), through=lambda real: through(witness)(Counterfeit(real)))
    assert outcome.problem
    assert witness.acts == [
        ("MakeKeyPair", Event.MAKING_KEY),
        ("update", Event.REQUESTING),
        ("reject", Event.REJECTING),
        ("Remove", Event.REMOVING_KEY),
    ]


async def test_a_change_of_the_pin(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(bank, monkeypatch)
    desk = ScriptedDesk(
        pins=[DEMO_PIN, DEMO_PIN, "65432109", "65432109"], notice=NoticeAnswer.LATER, menu=[MenuChoice.CHANGE_PIN]
    )
    await bank.visit(desk)
    assert witness.acts == [("ChangePin", Event.CHANGING_PIN)]


async def test_a_cleaning(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await bank.open_token() as token:
        wanted = successor_key_id((await bank.credential()).certificate)
        await token.make_key_pair(KeyKind.EC_P256, wanted, PENDING_LABEL)
        (private,) = (each for each in (await token.inventory()).objects if _is_private(each, wanted))
        assert await token.remove(private)
    witness = Witness(bank, monkeypatch)
    await bank.visit(ScriptedDesk(notice=NoticeAnswer.LATER))
    assert witness.acts == [("Remove", Event.CLEANING)]


def _is_private(stored: wire.StoredObject, key_id: bytes) -> bool:
    return (stored.kind, stored.key_id) == (wire.ObjectKind.PRIVATE_KEY, key_id)


@pytest.fixture
async def expired(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        yield bank


async def test_an_enrolment(expired: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(expired, monkeypatch)
    assert (await expired.visit(with_code(expired.code()), through=through(witness))).completion
    assert witness.acts == [
        ("MakeKeyPair", Event.MAKING_KEY),
        ("enrol", Event.REQUESTING),
        ("WriteCertificate", Event.WRITING),
        ("confirm", Event.CONFIRMING),
        ("Relabel", Event.CONFIRMED),
        ("Remove", Event.RETIRING),
    ]
