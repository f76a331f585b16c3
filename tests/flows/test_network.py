"""Faults of the way to the CA, in whole visits: got over where that is safe, and told where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from kiosk.cmp.client import CmpClient, GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import CmpError, Refused, TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.cmp.peer import Peer, Resume
from kiosk.cmp.retry import Retry
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.demo_bank import DemoBank
from kiosk.desk import Errand, SavingStep, Waiting
from kiosk.errors import Changed, Code, Problem
from kiosk.journal import Event
from kiosk.problems import ca_problem
from kiosk.texts import Texts
from tests.bank import Bank, open_bank
from tests.flows.test_conversation import cut_at
from tests.scripted_desk import ScriptedDesk

T = TypeVar("T")
F = TransferFailure
BEFORE, AFTER = "before", "after"
"""Whether a fault hits the request, or the answer to one that the CA has heard."""


@dataclass
class Way(CmpClient):
    """The real CA, behind a way on which faults wait for each kind of message."""

    real: CmpClient
    faults: Mapping[str, list[tuple[str, CmpError]]]
    asked: list[str] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return self.real.peer

    async def general(self, protector: Protector, **about: object) -> GeneralAnswer:
        return await self._meet("general", lambda: self.real.general(protector, **about))  # type: ignore[arg-type]

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        return await self._meet("update", lambda: self.real.update(signer, new_key))

    async def enrol(self, protector: Protector, new_key: SigningKey, subject: bytes | None = None) -> Issued:
        return await self._meet("enrol", lambda: self.real.enrol(protector, new_key, subject))

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        await self._meet("confirm", lambda: self.real.confirm(issued, sending))

    async def _meet(self, kind: str, ask: Callable[[], Awaitable[T]]) -> T:
        met = self.asked.count(kind)
        self.asked.append(kind)
        when, fault = dict(enumerate(self.faults.get(kind, ()))).get(met, ("", None))
        if fault and when == BEFORE:
            raise fault
        answer = await ask()
        if fault:
            raise fault
        return answer


def fault(kind: TransferFailure = F.BROKEN_OFF, *, arrived: bool = True) -> TransferError:
    return TransferError(kind, "as a test has it", may_have_arrived=arrived)


@dataclass
class Lobby:
    """One kiosk of the bank, whose clock only its pauses move."""

    bank: Bank
    slept: list[float] = field(default_factory=list)
    way: Way | None = None

    def behind(self, faults: Mapping[str, Sequence[tuple[str, CmpError]]]) -> Callable[[CmpClient], CmpClient]:
        def through(real: CmpClient) -> CmpClient:
            self.way = Way(real, {kind: list(each) for kind, each in faults.items()})
            return self.way

        return through

    def without_promises(self) -> Lobby:
        """The same, with settings that say that the CA promises nothing."""
        ca = msgspec.structs.replace(self.bank.settings.ca, resume=Resume.NEW_KEY)
        return Lobby(Bank(DemoBank(self.bank.directory, msgspec.structs.replace(self.bank.settings, ca=ca))))

    @property
    def retry(self) -> Retry:
        return Retry(uniform=lambda _, most: most, sleep=self._sleep, monotonic=lambda: sum(self.slept))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    @property
    def asked(self) -> list[str]:
        assert self.way is not None
        return self.way.asked


@pytest.fixture
def lobby(bank: Bank) -> Lobby:
    return Lobby(bank)


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Lobby]:
    """Where nothing but a code is at hand: the customer's certificate has expired."""
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        yield Lobby(bank)


async def test_faults_before_and_after_every_message_are_got_over(lobby: Lobby) -> None:
    faults = {
        "general": [(BEFORE, fault(F.BUSY)), (AFTER, fault(F.TIME_OUT)), (BEFORE, fault(F.UNREACHABLE, arrived=False))],
        "update": [(BEFORE, fault()), (AFTER, fault())],
        "confirm": [(BEFORE, fault(F.HANDSHAKE, arrived=False)), (AFTER, fault())],
    }
    desk = ScriptedDesk()
    outcome = await lobby.bank.visit(desk, through=lobby.behind(faults), retry=lobby.retry)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert lobby.asked == [*["general"] * 4, *["update"] * 3, "confirm", "confirm", "update", "confirm"]
    assert (await lobby.bank.credential()).certificate == outcome.completion.certificate
    assert sorted(lobby.bank.states().values()) == ["superseded", "valid"]
    assert [each.is_busy for each in desk.pauses_seen] == [True, *[False] * 6]
    assert not desk.is_pausing, "whoever is asked again is told so"
    assert lobby.bank.events().count(Event.ASKING_AGAIN) == 7


async def test_a_ca_that_stays_away_is_given_up_in_the_time_there_is(lobby: Lobby) -> None:
    before = await lobby.bank.inventory()
    faults = {"general": [(BEFORE, fault(F.BUSY))] * 100}
    outcome = await lobby.bank.visit(ScriptedDesk(), through=lobby.behind(faults), retry=lobby.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CA_BUSY, Changed.NOTHING)
    assert sum(lobby.slept) < lobby.retry.total
    assert await lobby.bank.inventory() == before


async def test_a_key_whose_first_request_may_have_arrived_is_kept(lobby: Lobby) -> None:
    """Though the last try has certainly not left: the CA may have a row for the key."""
    gone = fault(F.UNREACHABLE, arrived=False)
    faults = {"update": [(AFTER, fault()), *[(BEFORE, gone)] * 100]}
    outcome = await lobby.bank.visit(ScriptedDesk(), through=lobby.behind(faults), retry=lobby.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CA_NOT_REACHED, Changed.UNFINISHED)
    again = await lobby.bank.visit(ScriptedDesk())
    assert again.completion is not None
    assert sorted(lobby.bank.states().values()) == ["superseded", "valid"], "one successor, for the one key"


async def test_a_key_whose_requests_have_certainly_not_left_is_not_kept(lobby: Lobby) -> None:
    before = await lobby.bank.inventory()
    faults = {"update": [(BEFORE, fault(F.UNREACHABLE, arrived=False)) for _ in range(100)]}
    outcome = await lobby.bank.visit(ScriptedDesk(), through=lobby.behind(faults), retry=lobby.retry)
    assert outcome.problem is not None
    assert outcome.problem.changed is Changed.NOTHING
    assert await lobby.bank.inventory() == before


@pytest.mark.parametrize("message", ["update", "confirm"])
async def test_a_ca_without_promises_is_not_asked_again_by_itself(lobby: Lobby, message: str) -> None:
    lobby = lobby.without_promises()
    way = lobby.behind({message: [(BEFORE, fault())]})
    outcome = await lobby.bank.visit(ScriptedDesk(), through=way, retry=lobby.retry)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CA_NOT_REACHED
    assert lobby.asked.count(message) == 1
    assert lobby.slept == []


@pytest.mark.parametrize("message", ["general", "update", "confirm"])
async def test_a_ca_without_promises_is_asked_again_where_nothing_has_left(lobby: Lobby, message: str) -> None:
    lobby = lobby.without_promises()
    way = lobby.behind({message: [(BEFORE, fault(F.UNREACHABLE, arrived=False))]})
    outcome = await lobby.bank.visit(ScriptedDesk(), through=way, retry=lobby.retry)
    assert outcome.completion is not None
    assert lobby.asked.count(message) == 2


@pytest.mark.parametrize(("arrived", "changed"), [(False, Changed.UNFINISHED), (True, Changed.STORED)])
async def test_a_certificate_is_told_as_stored_once_the_ca_may_have_heard_of_that(
    lobby: Lobby, arrived: bool, changed: Changed
) -> None:
    way = lobby.behind({"confirm": [(BEFORE, fault(arrived=arrived))] + [(BEFORE, fault(arrived=False))] * 100})
    outcome = await lobby.bank.visit(ScriptedDesk(), through=way, retry=lobby.retry)
    assert outcome.problem is not None
    assert outcome.problem.changed is changed
    assert (await lobby.bank.visit(ScriptedDesk(), retry=lobby.retry)).completion is not None


@pytest.mark.parametrize("gives_up_at", ["pause", "answer"])
async def test_until_the_request_the_customer_may_stop_waiting(lobby: Lobby, gives_up_at: str) -> None:
    """In a pause, or while the CA thinks; the token stays as it was, and its process serves the rest of the visit."""
    before, ledger = await lobby.bank.inventory(), lobby.bank.ledger()
    desk = ScriptedDesk()

    class Thinks(Way):
        async def general(self, protector: Protector, **about: object) -> GeneralAnswer:
            await super().general(protector, **about)
            desk.gives_up.set()
            await asyncio.Event().wait()
            raise AssertionError

    def through(real: CmpClient) -> CmpClient:
        faults: dict[str, list[tuple[str, CmpError]]] = {"general": [(BEFORE, fault(F.BUSY))] * 100}
        return Thinks(real, {}) if gives_up_at == "answer" else Way(real, faults)

    def give_up(_: Waiting) -> None:
        desk.gives_up.set()

    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    desk.at_pause = give_up
    outcome = await lobby.bank.visit(desk, through=through, retry=replace(lobby.retry, sleep=for_ever))
    assert (outcome.problem, outcome.completion) == (None, None)
    assert desk.asked[-2:] == ["preprocessing", "menu"]
    assert Event.TURNED_BACK in lobby.bank.events()
    assert (await lobby.bank.inventory(), lobby.bank.ledger()) == (before, ledger)


def unavailable(*, proven: bool = True, decided: bool = False) -> Refused:
    return Refused({"systemUnavail"}, proven=proven, decided=decided)


async def test_a_ca_that_is_not_available_is_asked_again_whatever_it_was_asked(lobby: Lobby) -> None:
    """Also where it has done what it was asked before it said so: an `error` decides nothing."""
    faults = {
        "general": [(BEFORE, unavailable()), (BEFORE, unavailable(proven=False))],
        "update": [(BEFORE, unavailable()), (AFTER, unavailable())],
        "confirm": [(AFTER, unavailable())],
    }
    desk = ScriptedDesk()
    outcome = await lobby.bank.visit(desk, through=lobby.behind(faults), retry=lobby.retry)
    assert (outcome.problem, outcome.completion is None) == (None, False)
    assert lobby.asked == [*["general"] * 3, *["update"] * 3, "confirm", "update", "confirm"]
    assert [each.is_busy for each in desk.pauses_seen] == [True] * 5
    assert sorted(lobby.bank.states().values()) == ["superseded", "valid"]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (unavailable(), Code.CA_BUSY),
        (unavailable(decided=True), Code.CA_OUT_OF_ORDER),
        (Refused({"systemFailure"}, proven=True), Code.CA_OUT_OF_ORDER),
    ],
    ids=["unavailable", "unavailable for this request", "failed"],
)
async def test_a_ca_that_stays_so_is_told_as_that_and_not_as_a_refusal(
    lobby: Lobby, refused: Refused, code: Code
) -> None:
    faults = {"update": [(BEFORE, refused)] * 100}
    outcome = await lobby.bank.visit(ScriptedDesk(), through=lobby.behind(faults), retry=lobby.retry)
    assert outcome.problem is not None
    assert outcome.problem.code is code
    asked_again = lobby.asked.count("update") > 1
    assert asked_again == (code is Code.CA_BUSY)
    assert outcome.problem.changed is (Changed.NOTHING if refused.decided else Changed.UNFINISHED)
    assert (await lobby.bank.visit(ScriptedDesk(), retry=lobby.retry)).completion is not None
    assert sorted(lobby.bank.states().values()) == ["superseded", "valid"]


async def test_a_ca_without_promises_is_not_asked_again_though_it_says_that_it_was_not_available(lobby: Lobby) -> None:
    lobby = lobby.without_promises()
    way = lobby.behind({"update": [(BEFORE, unavailable())]})
    outcome = await lobby.bank.visit(ScriptedDesk(), through=way, retry=lobby.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, lobby.asked.count("update")) == (Code.CA_BUSY, 1)


async def test_a_code_that_pauses_is_not_tried_again(counter: Lobby) -> None:
    """`systemUnavail` to whoever shows only a code: too many wrong ones have been tried."""
    way = counter.behind({"general": [(BEFORE, unavailable(proven=False))]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, counter.asked) == (Code.CODE_PAUSED, ["general"])


async def test_a_ca_that_knows_the_code_and_is_not_available_has_not_paused_it(counter: Lobby) -> None:
    """The teller is not to wait for a pause that there is not."""
    busy = Refused({"systemUnavail"}, proven=True, by_secret=True)
    way = counter.behind({"general": [(BEFORE, busy)]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, counter.asked) == (Code.CA_BUSY, ["general"])


async def test_a_no_of_a_ca_that_has_not_taken_the_code_does_not_say_that_it_has_expired(counter: Lobby) -> None:
    """`notAuthorized` by a CA that signs its no, and shows nothing of the secret: the teller is to read that no."""
    way = counter.behind({"general": [(BEFORE, Refused({"notAuthorized"}, proven=True))]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.REFUSED_BY_CA, Changed.NOTHING)


async def test_a_ca_that_is_not_available_to_a_taken_code_is_asked_again(counter: Lobby) -> None:
    way = counter.behind({"enrol": [(AFTER, unavailable())], "confirm": [(BEFORE, unavailable())]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.completion is not None
    assert counter.asked == ["general", "enrol", "enrol", "confirm", "general", "enrol", "confirm"]


def with_code(code: str) -> ScriptedDesk:
    return ScriptedDesk(enrols=True, codes=[code])


async def test_an_enrolment_gets_over_faults_too(counter: Lobby) -> None:
    faults = {
        "general": [(BEFORE, fault(F.BUSY))],
        "enrol": [(BEFORE, fault()), (AFTER, fault())],
        "confirm": [(BEFORE, fault())],
    }
    code = counter.bank.code()
    outcome = await counter.bank.visit(with_code(code), through=counter.behind(faults), retry=counter.retry)
    assert outcome.problem is None
    assert outcome.completion is not None
    asked = ["general", "general", "enrol", "enrol", "enrol", "confirm", "general", "enrol", "confirm"]
    assert counter.asked == asked, "whether it was heard is asked by the new certificate, and then by the code"


@pytest.mark.parametrize(("arrived", "changed"), [(False, Changed.ENROLLING), (True, Changed.STORED)])
async def test_a_code_may_be_used_up_once_the_ca_may_have_heard(
    counter: Lobby, arrived: bool, changed: Changed
) -> None:
    way = counter.behind({"confirm": [(BEFORE, fault(arrived=arrived))] + [(BEFORE, fault(arrived=False))] * 100})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.problem is not None
    assert outcome.problem.changed is changed


async def test_an_enrolment_whose_acknowledgement_was_lost_needs_no_code_any_more(counter: Lobby) -> None:
    way = counter.behind({"confirm": [(AFTER, fault())]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.completion is not None
    assert counter.asked == ["general", "enrol", "confirm", "general"]
    assert outcome.completion.errand is Errand.ENROLMENT


async def test_a_key_that_is_known_already_is_given_up_once(counter: Lobby) -> None:
    """Also where a lost answer leaves it open whether the CA has heard of the second key."""
    code, known = counter.bank.code(), Refused(["duplicateCertReq"], proven=True, decided=True)
    cut_off = with_code(code)
    cut_off.at_step = cut_at(SavingStep.REQUEST)
    with pytest.raises(ExceptionGroup):
        await counter.bank.visit(cut_off)
    way = counter.behind({"enrol": [(BEFORE, known), (BEFORE, fault()), (BEFORE, known)]})
    outcome = await counter.bank.visit(with_code(code), through=way, retry=counter.retry)
    assert counter.asked == ["general", "enrol", "enrol", "enrol"]
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.REFUSED_BY_CA, Changed.ENROLLING)
    assert counter.bank.events().count(Event.REMOVING_KEY) == 1


async def test_a_code_is_not_tried_twice_because_an_answer_was_lost(counter: Lobby) -> None:
    way = counter.behind({"general": [(AFTER, fault(F.TIME_OUT))]})
    outcome = await counter.bank.visit(with_code(counter.bank.code()), through=way, retry=counter.retry)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CA_TOO_SLOW
    assert counter.asked == ["general"]


async def test_whoever_stops_waiting_with_a_code_is_led_back(counter: Lobby) -> None:
    desk = with_code(counter.bank.code())
    desk.at_pause = lambda _: desk.gives_up.set()

    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    way = counter.behind({"general": [(BEFORE, fault(F.BUSY))]})
    outcome = await counter.bank.visit(desk, through=way, retry=replace(counter.retry, sleep=for_ever))
    assert outcome.completion is None
    assert desk.asked[-2:] == ["preprocessing", "problem"], "where he came from"


def test_every_way_in_which_http_fails_has_its_code() -> None:
    assert {kind: ca_problem(TransferError(kind)).problem.code for kind in F} == {
        F.UNREACHABLE: Code.CA_NOT_REACHED,
        F.BROKEN_OFF: Code.CA_NOT_REACHED,
        F.TIME_OUT: Code.CA_TOO_SLOW,
        F.TLS: Code.CONNECTION_NOT_TRUSTED,
        F.HANDSHAKE: Code.CONNECTION_NOT_TRUSTED,
        F.OUT_OF_DATE: Code.CONNECTION_OUT_OF_DATE,
        F.BUSY: Code.CA_BUSY,
        F.STATUS: Code.CA_OUT_OF_ORDER,
        F.CONTENT_TYPE: Code.CA_OUT_OF_ORDER,
        F.TOO_LARGE: Code.CA_OUT_OF_ORDER,
    }


@pytest.mark.parametrize("language", ["ja", "en"])
def test_who_looks_after_an_expired_server_is_told_to_look_at_the_clock_first(language: str) -> None:
    texts = Texts(language)
    expired, untrusted = (Problem(each) for each in (Code.CONNECTION_OUT_OF_DATE, Code.CONNECTION_NOT_TRUSTED))
    assert texts.of_problem(expired, "customer") == texts.of_problem(untrusted, "customer")
    assert texts.of_problem(expired, "teller") != texts.of_problem(untrusted, "teller")
