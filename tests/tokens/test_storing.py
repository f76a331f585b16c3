"""A token that does not keep what it is given: what is tried again, what is given back, and what is left pending."""

from __future__ import annotations

import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kiosk.certificates import Certificate
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.credentials import HolderRule, successor_key_id
from kiosk.errors import Changed, Code, KioskError
from kiosk.journal import Event
from kiosk.pin import Pin
from kiosk.renewal import Renewal
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.storing import check_room
from kiosk.tokens.errors import TokenError
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, TokenKey, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind, KeyOrigin, Room, StoredObject
from tests.bank import Bank, open_bank
from tests.flows.test_enrolment import Standing, Through
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule

FULL = TokenError(FailureKind.FULL, "DeviceMemory")
GENERAL = TokenError(FailureKind.DEVICE, "GeneralError")
REFUSED = TokenError(FailureKind.DEVICE, "AttributeTypeInvalid")
GONE = TokenError(FailureKind.GONE, "DeviceRemoved")
UNAVAILABLE = ctypes.c_ulong(-1).value
"""CK_UNAVAILABLE_INFORMATION."""


class Unwilling(Token):
    """A real token that fails as it is told to, each time it is to keep something."""

    failures: list[TokenError]
    free = Room()
    lets_go = True
    """Whether it removes what it is told to."""

    async def room(self) -> Room:
        return self.free

    async def make_key_pair(
        self,
        kind: KeyKind,
        key_id: bytes,
        label: str,
        origin: KeyOrigin = KeyOrigin.INSIDE,
        *,
        public_label: str | None = None,
    ) -> TokenKey:
        """Also a token that fails has made its key."""
        made = await super().make_key_pair(kind, key_id, label, origin, public_label=public_label)
        if self.failures:
            raise self.failures.pop(0)
        return made

    async def write_certificate(
        self, certificate: Certificate, key_id: bytes, label: str, *, by_label: bool = False
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await super().write_certificate(certificate, key_id, label, by_label=by_label)

    async def remove(self, stored: StoredObject) -> bool:
        return self.lets_go and await super().remove(stored)


class Unreachable(Through):
    """A CA that cannot be told that its certificate is not taken."""

    async def update(self, *asked: object, **options: object) -> Issued:
        return await self._real.update(*asked, **options)  # type: ignore[arg-type]

    async def reject(self, issued: Issued, reason: str) -> None:  # noqa: ARG002
        raise TransferError(TransferFailure.UNREACHABLE, "no route", may_have_arrived=False)


@dataclass
class UnderWay:
    token: Unwilling
    renewal: Renewal
    standing: Standing = field(default_factory=Standing)


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


@asynccontextmanager
async def prepared(bank: Bank, through: type[Through] | None = None) -> AsyncIterator[UnderWay]:
    """A renewal up to the point where its key is to be made."""
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    async with (
        open_services(bank.settings) as services,
        Unwilling(bank.settings.token, process, facts, HolderRule()) as token,
    ):
        await token.log_in(Pin(bytearray(DEMO_PIN, "ascii")))
        token.failures = []
        (old, *_) = (await token.inventory()).credentials
        ca: CmpClient = through(services.ca) if through else services.ca
        standing, record = Standing(), services.journal.begin_visit(facts.serial)
        renewal = Renewal(token, old, replace(services, ca=ca), record, standing)
        await renewal.prepare(ScriptedDesk())
        yield UnderWay(token, renewal, standing)


async def code_of(act: object) -> Code | None:
    with pytest.raises(KioskError) as raised:
        await act  # type: ignore[misc]
    return raised.value.problem.code


@pytest.mark.parametrize("failure", [FULL, GENERAL], ids=lambda each: each.detail)
async def test_a_key_that_cannot_be_removed_again_is_told_as_begun(bank: Bank, failure: TokenError) -> None:
    """And by what was wrong first: that its place is taken comes of that."""
    async with prepared(bank) as at:
        at.token.failures, at.token.lets_go = [failure], False
        assert await code_of(at.renewal.make_key()) is Code.TOKEN_FULL
        assert at.standing.changed is Changed.UNFINISHED


@pytest.mark.tokens
@pytest.mark.parametrize(
    ("failures", "code"),
    [((FULL,), Code.TOKEN_FULL), ((GENERAL, GENERAL), Code.TOKEN_FULL), ((GENERAL, FULL), Code.TOKEN_FULL),
     ((REFUSED, REFUSED), Code.TOKEN_FAILED)],
    ids=lambda each: "+".join(error.detail for error in each) if isinstance(each, tuple) else "",
)  # fmt: skip
async def test_a_certificate_that_is_not_kept_is_given_back(
    bank: Bank, failures: tuple[TokenError, ...], code: Code
) -> None:
    before, (old,) = (await bank.inventory()).objects, bank.states()
    async with prepared(bank) as at:
        await at.renewal.make_key()
        new = await at.renewal.request(ScriptedDesk())
        at.token.failures = list(failures)
        assert await code_of(at.renewal.write()) is code
        assert at.standing.changed is Changed.NOTHING
    assert (await bank.inventory()).objects == before
    assert bank.states() == {old: "valid", new.serial: "revoked"}
    await bank.credential()


async def test_what_has_failed_once_is_done_in_a_fresh_process(bank: Bank) -> None:
    async with prepared(bank) as at:
        used = at.token._process
        at.token.failures = [GENERAL]
        await at.renewal.make_key()
        assert at.token._process is not used
        assert at.standing.changed is Changed.UNFINISHED, "also after what was cleared up"
        await at.renewal.request(ScriptedDesk())
        used = at.token._process
        at.token.failures = [GENERAL]
        await at.renewal.write()
        assert at.token._process is not used
        await at.renewal.prove()
        await at.renewal.confirm(ScriptedDesk())
        await at.renewal.retire_old()
    await bank.credential()
    assert len((await bank.inventory()).objects) == 3, "the key that was made and not answered for is gone"
    assert Event.REJECTING not in bank.events()


@pytest.mark.tokens
@pytest.mark.parametrize(
    ("failures", "code"),
    [((FULL,), Code.TOKEN_FULL), ((GENERAL, GENERAL), Code.TOKEN_FULL), ((REFUSED, REFUSED), Code.TOKEN_FAILED)],
    ids=["full", "general error", "refused"],
)
async def test_a_key_that_is_not_kept_leaves_nothing(bank: Bank, failures: tuple[TokenError, ...], code: Code) -> None:
    before, ledger = (await bank.inventory()).objects, bank.ledger()
    async with prepared(bank) as at:
        at.token.failures = list(failures)
        assert await code_of(at.renewal.make_key()) is code
        assert at.standing.changed is Changed.NOTHING
    assert (await bank.inventory()).objects == before
    assert bank.ledger() == ledger


async def test_a_write_that_is_cut_leaves_the_renewal_pending(bank: Bank) -> None:
    async with prepared(bank) as at:
        await at.renewal.make_key()
        new = await at.renewal.request(ScriptedDesk())
        at.token.failures = [GONE]
        assert await code_of(at.renewal.write()) is Code.TOKEN_TAKEN_OUT
        assert at.standing.changed is Changed.UNFINISHED
    assert bank.states()[new.serial] == "unconfirmed"
    assert (await bank.inventory()).has_key(successor_key_id(at.renewal.old.certificate))


@pytest.mark.tokens
async def test_where_the_ca_cannot_be_told_the_key_stays(bank: Bank) -> None:
    async with prepared(bank, Unreachable) as at:
        await at.renewal.make_key()
        new = await at.renewal.request(ScriptedDesk())
        at.token.failures = [FULL]
        assert await code_of(at.renewal.write()) is Code.TOKEN_FULL
        assert at.standing.changed is Changed.UNFINISHED
    assert bank.states()[new.serial] == "unconfirmed"
    async with prepared(bank) as at:
        await at.renewal.make_key()
        await at.renewal.request(ScriptedDesk())
        at.token.failures = [FULL]
        assert await code_of(at.renewal.write()) is Code.TOKEN_FULL
        assert at.standing.changed is Changed.NOTHING, "also a key that an earlier visit has made"
    assert bank.states()[new.serial] == "revoked"
    assert len((await bank.inventory()).objects) == 3


@pytest.mark.tokens
async def test_a_certificate_that_was_confirmed_meanwhile_is_not_given_up(bank: Bank) -> None:
    """The CA says so, and then the key that it was for stays."""
    async with prepared(bank) as at:
        await at.renewal.make_key()
        new = await at.renewal.request(ScriptedDesk())
        await at.renewal.confirm(ScriptedDesk())
        at.standing.changed = Changed.UNFINISHED
        at.token.failures = [FULL]
        assert await code_of(at.renewal.write()) is Code.TOKEN_FULL
        assert at.standing.changed is Changed.UNFINISHED
    assert bank.states()[new.serial] == "valid"
    assert (await bank.inventory()).has_key(successor_key_id(at.renewal.old.certificate))


async def test_a_software_token_does_not_tell_its_room(bank: Bank) -> None:
    async with await bank.open_token() as token:
        assert await token.room() == Room(None, None)


async def test_the_room_that_a_token_tells_is_read(bank: Bank, tmp_path: Path) -> None:
    module = ActingModule(bank, tmp_path / "acting")
    module.tell_room(5000, 300)
    async with await module.bank.open_token() as token:
        assert await token.room() == Room(public=5000, private=300)
        module.tell_room(0, UNAVAILABLE)
        assert await token.room() == Room(None, None), "0 and CK_UNAVAILABLE_INFORMATION tell nothing"


@pytest.mark.parametrize(("public", "private"), [(255, 4096), (4096, 31)])
async def test_a_visit_with_a_token_that_tells_that_it_is_full_ends_before_any_question(
    bank: Bank, tmp_path: Path, public: int, private: int
) -> None:
    before, ledger = await bank.inventory(), bank.ledger()
    module = ActingModule(bank, tmp_path / "acting")
    module.tell_room(public, private)
    desk = ScriptedDesk()
    outcome = await module.bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.TOKEN_FULL, Changed.NOTHING)
    assert desk.asked == ["pin", "notice", "preprocessing", "problem"]
    assert await bank.inventory() == before
    assert bank.ledger() == ledger


@pytest.mark.parametrize(
    ("room", "kind", "fits"),
    [
        (Room(), KeyKind.RSA_2048, True),
        (Room(256, 1152), KeyKind.RSA_2048, True),
        (Room(256, 1151), KeyKind.RSA_2048, False),
        (Room(None, 1727), KeyKind.RSA_3072, False),
        (Room(255, None), KeyKind.EC_P256, False),
        (Room(256, 32), KeyKind.EC_P256, True),
        (Room(256, 31), KeyKind.EC_P256, False),
    ],
)
def test_what_certainly_does_not_fit_is_not_begun(room: Room, kind: KeyKind, fits: bool) -> None:
    if fits:
        check_room(room, kind)
    else:
        with pytest.raises(KioskError) as raised:
            check_room(room, kind)
        assert raised.value.problem.code is Code.TOKEN_FULL


@pytest.mark.tokens
async def test_a_token_that_tells_that_it_is_full_is_asked_for_nothing(bank: Bank) -> None:
    async with prepared(bank) as at:
        at.token.free = Room(0, 10)
        assert await code_of(at.renewal.save_into(at.token)) is Code.TOKEN_FULL
        at.token.free = Room()
        await at.renewal.make_key()
        at.token.free = Room(4096, 10)
        await at.renewal.save_into(at.token)  # the key is there already
