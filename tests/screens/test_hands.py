"""The whole visit by each of three hands: mouse, keyboard, bare ten-key; from standby to standby, every path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from kiosk.app import Branch, KioskApp
from kiosk.credentials import IdShape
from kiosk.desk import (
    AnotherId,
    CodeQuestion,
    Completion,
    Desk,
    Destination,
    DestinationQuestion,
    EnrolmentIdQuestion,
    Errand,
    HeldId,
    ImportAnnouncement,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    PinQuestion,
    ProblemAnswer,
    RenewalNotice,
    RetirementQuestion,
    SavingStep,
    Standby,
    StandbyBoard,
    Tries,
    TypedIdQuestion,
    WebAccessQuestion,
)
from kiosk.errors import Code, Problem
from kiosk.one_time_code import make
from kiosk.pin import wipe
from screens.frame import Frame, Question
from screens.standby import StandbyScreen
from screens.widgets.choice import Choice
from screens.widgets.id_field import KEYS
from screens.widgets.pin_pad import PadKey
from tests.bank import Bank
from tests.screens.gallery import last_notice
from tests.screens.samples import NOW, certificate, credential, fixed_clock, new_certificate
from tests.screens.stage import for_ever, running, until
from tests.scripted_desk import ScriptedDesk

SIZE = (80, 24)
PIN = "123456"
ID = "TKYM1408054"
CODE = make(lambda size: bytes(range(size))).secret.decode()
AUTHORITY = "Shinkin Internet Banking Intermediate CA"
LONG = 600
PC_STEPS = (SavingStep.KEY, SavingStep.REQUEST, SavingStep.WRITE, SavingStep.PROVE, SavingStep.CONFIRM)


@dataclass
class ScriptedReception:
    """Holds visits in the order of the real conversation, with no token and no CA behind them."""

    problem: Problem | None = None
    """What goes wrong once the PIN has been taken."""
    notice: RenewalNotice = field(default_factory=lambda: RenewalNotice(credential(), 20, NOW))
    nothing_to_renew: bool = False
    """Whether the certificate has expired, so that 電子証明書取得 is the way on."""
    idle: bool = False
    """Whether the customer is asked, at the question where to save, if he is still there."""
    pc: bool = False
    """Whether this PC is offered."""
    visits: int = 0
    outcome: Completion | Problem | None = None
    extended: list[bool] = field(default_factory=list)
    retired: bool | None = None
    """Whether the old credential may go from the USB, once that was asked."""
    errand: Errand = Errand.RENEWAL

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        board.show(Standby.READY)
        await board.touched()
        self.errand = board.errand
        self.visits += 1
        if self.visits > 1:
            await for_ever()

    async def serve(self, desk: Desk) -> None:
        self.outcome = await self.hold(desk)
        if isinstance(self.outcome, Problem):
            await desk.show_problem(self.outcome)
        elif self.outcome:
            await desk.show_completion(self.outcome)
        await desk.ask_take_out(removable=False)

    async def hold(self, desk: Desk) -> Completion | Problem | None:
        """From the PIN to the end, as `kiosk.conversation` asks it."""
        if not await self._logs_in(desk):
            return None
        if self.problem:
            return self.problem
        if self.errand is Errand.ENROLMENT:
            return await self._enrol(desk)
        while self.nothing_to_renew:
            if await desk.show_problem(Problem(Code.EXPIRED), may_enrol=True) is not ProblemAnswer.ENROL:
                return None
            done = await self._enrol(desk)
            if done:
                return done
        if await desk.show_notice(self.notice) is NoticeAnswer.NOW:
            done = await self._renew(desk)
            if done:
                return done
        while await desk.choose_from_menu(MainMenu(credential(), 20, None)) is MenuChoice.RENEW:
            done = await self._renew(desk)
            if done:
                return done
        return None

    async def _logs_in(self, desk: Desk) -> bool:
        refused = False
        while True:
            pin = await desk.ask_pin(PinQuestion("SHINKIN-USB", refused, Tries.PLENTY, shortest=4, longest=8))
            if pin is None:
                return False
            typed = pin.take()
            right = typed == PIN.encode()
            wipe(typed)
            if right:
                return True
            refused = True

    async def _enrol(self, desk: Desk) -> Completion | None:
        while True:
            chosen = await desk.choose_enrolment_id(EnrolmentIdQuestion((HeldId(credential(), -1),)))
            if chosen is None:
                return None
            holder_id: str | None = ID
            if isinstance(chosen, AnotherId):
                holder_id = await desk.ask_enrolment_id(TypedIdQuestion(IdShape(4, 7)))
            if holder_id is None:
                continue
            code = await desk.ask_code(CodeQuestion(holder_id))
            if code is not None and (holder_id, code.secret.decode()) == (ID, CODE):
                return await self._renew(desk, Errand.ENROLMENT)

    async def _renew(self, desk: Desk, errand: Errand = Errand.RENEWAL) -> Completion | None:
        async with desk.preprocessing():
            await asyncio.sleep(0)
        new = new_certificate()
        destination = await self._agreed_destination(desk, errand)
        if destination is None:
            return None
        if destination is Destination.PC:
            return await self._save_into_pc(desk, Completion(destination, new, certificate()))
        async with desk.saving() as progress:
            progress.begin(SavingStep.KEY)
            progress.begin(SavingStep.REQUEST)
        await desk.announce_import(ImportAnnouncement(new, LONG))
        async with desk.saving() as progress:
            for step in (SavingStep.WRITE, SavingStep.PROVE, SavingStep.CONFIRM, SavingStep.RETIRE):
                progress.begin(step)
        await desk.announce_import_complete(ImportAnnouncement(new, LONG))
        return Completion(Destination.USB, new, certificate(), errand=errand)

    async def _save_into_pc(self, desk: Desk, completion: Completion) -> Completion:
        async with desk.saving(PC_STEPS, Destination.PC) as progress:
            for step in PC_STEPS:
                progress.begin(step)
        assert completion.replaced
        self.retired = await desk.confirm_retirement(RetirementQuestion(completion.replaced, LONG))
        return completion

    async def _agreed_destination(self, desk: Desk, errand: Errand) -> Destination | None:
        where = DestinationQuestion({} if self.pc else {Destination.PC: OffReason.NOT_OFFERED})
        asked = asyncio.ensure_future(desk.choose_destination(where))
        if self.idle:
            await asyncio.sleep(0.05)
            self.extended.append(await desk.ask_still_there(LONG))
        destination = await asked
        if not isinstance(destination, Destination):
            return None
        for number in (1, 2):
            if not await desk.confirm_web_access(WebAccessQuestion(number, 2, AUTHORITY, errand=errand)):
                return None
        if destination is Destination.USB and not await desk.announce_key_export():
            return None
        return destination


@pytest.mark.parametrize(
    "desk",
    [
        lambda: ScriptedDesk(pins=[None]),
        lambda: ScriptedDesk(notice=NoticeAnswer.LATER),
        lambda: ScriptedDesk(destination=None),
        lambda: ScriptedDesk(web_access=[False, True]),
        lambda: ScriptedDesk(web_access=[True, False]),
        lambda: ScriptedDesk(key_export=False),
        lambda: ScriptedDesk(notice=NoticeAnswer.LATER, menu=[MenuChoice.RENEW]),
    ],
    ids=["pin", "leave", "destination", "web access 1", "web access 2", "key export", "later"],
)
async def test_the_script_asks_what_the_real_conversation_asks(bank: Bank, desk: Callable[[], ScriptedDesk]) -> None:
    real, scripted = desk(), desk()
    await bank.visit(real)
    await ScriptedReception().hold(scripted)
    assert scripted.asked == [each for each in real.asked if each not in ("completion", "take-out")]


class Hand:
    """How a customer works the kiosk; each subclass has nothing but its own means."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot

    @property
    def screen(self) -> Frame:
        screen = self.pilot.app.screen
        assert isinstance(screen, Frame)
        return screen

    async def press(self, button: str) -> None:
        """Press the button with this id."""
        raise NotImplementedError

    async def type_pin(self, pin: str) -> None:
        """Type the PIN and confirm it."""
        raise NotImplementedError

    async def type_id(self, holder_id: str) -> None:
        """Type an ID and confirm it."""
        raise NotImplementedError

    async def leave_pin(self) -> None:
        """Turn back at the PIN, or at another question where something is typed."""
        raise NotImplementedError

    async def touch(self) -> None:
        """Touch anything."""
        raise NotImplementedError


class Mouse(Hand):
    """A finger on the glass."""

    async def press(self, button: str) -> None:
        await self._click(self.screen.query_one(f"#{button}"))

    async def type_pin(self, pin: str) -> None:
        for digit in pin:
            await self._click_pad(digit)
        await self._click_pad(self.screen.lobby.texts("pin.confirm"))

    async def type_id(self, holder_id: str) -> None:
        for character in holder_id:
            if character.isdigit():
                await self._click_pad(character)
                continue
            key, number = on_telephone(character)
            await self._click_pad(f"{key} {KEYS[key]}")
            await self._click_pad(f"{number} {character}")
        await self._click_pad(self.screen.lobby.texts("pin.confirm"))

    async def _click_pad(self, label: str) -> None:
        await self.pilot.pause()
        await self._click(next(key for key in self.screen.query(PadKey) if key.render().plain == label))

    async def leave_pin(self) -> None:
        await self.press("cancel")

    async def touch(self) -> None:
        await self.pilot.click(offset=(1, 1))

    async def _click(self, widget: Widget) -> None:
        """Press the middle of it, by the cell on the glass, and no other way."""
        x, y, width, height = widget.region
        await self.pilot.click(offset=(x + width // 2, y + height // 2))


class Keyboard(Hand):
    """Tab, arrows, Enter, and digits for the PIN alone."""

    moves = ("tab", "right", "down")
    most_moves = 12

    async def press(self, button: str) -> None:
        for number in range(self.most_moves):
            focused = self.screen.focused
            if focused is not None and focused.id == button:
                await self.pilot.press("enter")
                return
            await self.pilot.press(self.moves[number % len(self.moves)])
        pytest.fail(f"the focus does not come to {button}")

    async def type_pin(self, pin: str) -> None:
        await self.pilot.press(*pin, "enter")

    async def type_id(self, holder_id: str) -> None:
        await self.pilot.press(*holder_id.lower(), "enter")

    async def leave_pin(self) -> None:
        await self.press("cancel")

    async def touch(self) -> None:
        await self.pilot.press("tab")


class TenKey(Hand):
    """0 to 9, Enter and Backspace."""

    async def press(self, button: str) -> None:
        await self._strike(self.screen.query_one(f"#{button}", Choice).digit)

    async def type_pin(self, pin: str) -> None:
        await self._strike(*pin, "enter")

    async def type_id(self, holder_id: str) -> None:
        for character in holder_id:
            struck = (character,) if character.isdigit() else map(str, on_telephone(character))
            await self._strike(*struck)
        await self._strike("enter")

    async def leave_pin(self) -> None:
        await self._strike("backspace", "enter")

    async def touch(self) -> None:
        await self._strike("0")

    async def _strike(self, *keys: str) -> None:
        assert all(key in {*"0123456789", "enter", "backspace"} for key in keys), "this is not on a ten-key"
        await self.pilot.press(*keys)


def on_telephone(letter: str) -> tuple[int, int]:
    """The key on which a letter stands, and its number there."""
    key, letters = next((key, letters) for key, letters in KEYS.items() if letter in letters)
    return key, letters.index(letter) + 1


Deed = Callable[[Hand], Awaitable[None]]


def press(button: str) -> Deed:
    return lambda hand: hand.press(button)


def pin(digits: str) -> Deed:
    return lambda hand: hand.type_pin(digits)


def type_id(holder_id: str) -> Deed:
    return lambda hand: hand.type_id(holder_id)


def leave_pin(hand: Hand) -> Awaitable[None]:
    return hand.leave_pin()


def touch(hand: Hand) -> Awaitable[None]:
    return hand.touch()


def offering_the_pc() -> ScriptedReception:
    return ScriptedReception(pc=True)


Way = list[tuple[str, Deed]]
"""A screen by the name of its class, and what is done there."""

RIGHT_PIN: Way = [("PinScreen", pin(PIN))]
NOW_: Way = [*RIGHT_PIN, ("RenewalNoticeScreen", press("now"))]
LATER: Way = [*RIGHT_PIN, ("RenewalNoticeScreen", press("later"))]
TO_WEB: Way = [("RenewalStartScreen", press("usb"))]
TO_EXPORT: Way = [*TO_WEB, ("WebAccessScreen", press("yes")), ("WebAccessScreen", press("yes"))]
SAVED: Way = [
    *TO_EXPORT,
    ("KeyExportScreen", press("ok")),
    ("CertificateImportScreen", press("ok")),
    ("ImportCompleteScreen", press("ok")),
    ("CompletionUsbScreen", press("close")),
]
SAVED_ON_PC: Way = [
    ("RenewalStartScreen", press("pc")),
    ("WebAccessScreen", press("yes")),
    ("WebAccessScreen", press("yes")),
    ("RetirementScreen", press("keep")),
    ("CompletionPcScreen", press("close")),
]
LEAVE: Way = [("MainMenuScreen", press("leave"))]
OUT: Way = [("TakeOutScreen", press("ok"))]

CHOSEN: Way = [("EnrolChooseIdScreen", press("pick-0")), ("EnrolCodeScreen", pin(CODE))]
TYPED: Way = [
    ("EnrolChooseIdScreen", press("pick-1")),
    ("EnrolIdScreen", type_id(ID)),
    ("EnrolCodeScreen", pin(CODE)),
]
INSTEAD: Way = [*RIGHT_PIN, ("ProblemScreen", press("enrol"))]

PATHS: dict[str, tuple[Callable[[], ScriptedReception], Way, type | None]] = {
    "now": (ScriptedReception, [*NOW_, *SAVED, *OUT], Completion),
    "now, in the last hour": (
        lambda: ScriptedReception(notice=last_notice(timedelta(minutes=59))),
        [*NOW_, *SAVED, *OUT],
        Completion,
    ),
    "later, in the last minute": (
        lambda: ScriptedReception(notice=last_notice(timedelta(seconds=59))),
        [*LATER, ("MainMenuScreen", press("renew")), *SAVED, *OUT],
        Completion,
    ),
    "later": (ScriptedReception, [*LATER, ("MainMenuScreen", press("renew")), *SAVED, *OUT], Completion),
    "PC now": (offering_the_pc, [*NOW_, *SAVED_ON_PC, *OUT], Completion),
    "PC later": (offering_the_pc, [*LATER, ("MainMenuScreen", press("renew")), *SAVED_ON_PC, *OUT], Completion),
    "back at the PIN": (ScriptedReception, [("PinScreen", leave_pin), *OUT], None),
    "back at the notice": (ScriptedReception, [*LATER, *LEAVE, *OUT], None),
    "back at where to save": (ScriptedReception, [*NOW_, ("RenewalStartScreen", press("back")), *LEAVE, *OUT], None),
    "back at web access 1": (ScriptedReception, [*NOW_, *TO_WEB, ("WebAccessScreen", press("no")), *LEAVE, *OUT], None),
    "back at web access 2": (
        ScriptedReception,
        [*NOW_, *TO_EXPORT[:-1], ("WebAccessScreen", press("no")), *LEAVE, *OUT],
        None,
    ),
    "back at key export": (
        ScriptedReception,
        [*NOW_, *TO_EXPORT, ("KeyExportScreen", press("cancel")), *LEAVE, *OUT],
        None,
    ),
    "back, and then all the same": (
        ScriptedReception,
        [*NOW_, ("RenewalStartScreen", press("back")), ("MainMenuScreen", press("renew")), *SAVED, *OUT],
        Completion,
    ),
    "wrong PIN": (ScriptedReception, [("PinScreen", pin("999999")), *NOW_, *SAVED, *OUT], Completion),
    "expired": (lambda: ScriptedReception(nothing_to_renew=True), [*INSTEAD, *CHOSEN, *SAVED, *OUT], Completion),
    "expired, another ID": (
        lambda: ScriptedReception(nothing_to_renew=True),
        [*INSTEAD, *TYPED, *SAVED, *OUT],
        Completion,
    ),
    "back at the ID": (
        lambda: ScriptedReception(nothing_to_renew=True),
        [*INSTEAD, ("EnrolChooseIdScreen", press("back")), ("ProblemScreen", press("ok")), *OUT],
        None,
    ),
    "back at the typed ID, and at the code": (
        lambda: ScriptedReception(nothing_to_renew=True),
        [
            *INSTEAD,
            ("EnrolChooseIdScreen", press("pick-1")),
            ("EnrolIdScreen", leave_pin),
            ("EnrolChooseIdScreen", press("pick-0")),
            ("EnrolCodeScreen", leave_pin),
            *TYPED,
            *SAVED,
            *OUT,
        ],
        Completion,
    ),
    "problem": (
        lambda: ScriptedReception(problem=Problem(Code.KEY_NOT_PROVEN)),
        [*RIGHT_PIN, ("ProblemScreen", press("ok")), *OUT],
        Problem,
    ),
    "idle warning": (
        lambda: ScriptedReception(idle=True),
        [*NOW_, ("IdleWarningScreen", touch), *SAVED, *OUT],
        Completion,
    ),
}


@pytest.mark.parametrize("hand_kind", [Mouse, Keyboard, TenKey])
@pytest.mark.parametrize("path", PATHS)
async def test_by_hand(path: str, hand_kind: type[Hand]) -> None:
    make, way, outcome = PATHS[path]
    reception = make()
    app = KioskApp(reception, Branch("みほん信用金庫", "本店営業部"), fixed_clock, settle_seconds=0.0)
    async with running(app, SIZE) as pilot:
        hand = hand_kind(pilot)
        await until(lambda: isinstance(app.screen, StandbyScreen) and app.screen.query("#begin"))
        await pilot.pause()
        await hand.press("begin")
        for name, deed in way:
            question = await asked(pilot, name)
            await deed(hand)
            await until(lambda question=question: question.is_over)  # type: ignore[misc]
        await until(lambda: isinstance(app.screen, StandbyScreen) and app.screen.query("#begin"))
        assert reception.visits == 1
        assert isinstance(reception.outcome, outcome) if outcome else reception.outcome is None
        assert reception.retired is (False if reception.pc else None)
        assert reception.extended == ([True] if reception.idle else [])


async def asked(pilot: Pilot[None], name: str) -> Question[object]:
    """The question on the screen, once it is this one and waits for an answer."""

    def is_there() -> bool:
        screen = pilot.app.screen
        return type(screen).__name__ == name and isinstance(screen, Question) and not screen.is_over

    try:
        await until(is_there)
    except TimeoutError:
        pytest.fail(f"{name} did not come; there is {pilot.app.screen!r}")
    await pilot.pause()
    question = pilot.app.screen
    assert isinstance(question, Question)
    return question


@pytest.mark.parametrize("hand_kind", [Mouse, Keyboard, TenKey])
async def test_pages_are_turned_by_hand(hand_kind: type[Hand]) -> None:
    """The long texts at the large-text size: every page, and round to the first."""
    app = KioskApp(ScriptedReception(), Branch("みほん信用金庫", "本店営業部"), fixed_clock, settle_seconds=0.0)
    async with running(app, (60, 18)) as pilot:
        hand = hand_kind(pilot)
        await until(lambda: isinstance(app.screen, StandbyScreen) and app.screen.query("#begin"))
        await pilot.pause()
        await hand.press("begin")
        for name, deed in [*NOW_, *SAVED]:
            await asked(pilot, name)
            for more in hand.screen.query("#more").results(Choice):
                labels: list[str] = []
                while more.display and (not labels or more.label != labels[0]):
                    labels.append(more.label)
                    await hand.press("more")
                    await pilot.pause()
                assert len(set(labels)) == len(labels)
            await deed(hand)
        await asked(pilot, "TakeOutScreen")


@pytest.mark.parametrize("hand_kind", [Mouse, Keyboard, TenKey])
async def test_from_standby_to_a_certificate_by_hand(hand_kind: type[Hand]) -> None:
    """電子証明書取得 from the standby screen's own button."""
    reception = ScriptedReception()
    app = KioskApp(reception, Branch("みほん信用金庫", "本店営業部"), fixed_clock, settle_seconds=0.0)
    async with running(app, SIZE) as pilot:
        hand = hand_kind(pilot)
        await until(lambda: isinstance(app.screen, StandbyScreen) and app.screen.query("#begin"))
        await pilot.pause()
        await hand.press("enrol")
        for name, deed in [*RIGHT_PIN, *TYPED, *SAVED, *OUT]:
            question = await asked(pilot, name)
            await deed(hand)
            await until(lambda question=question: question.is_over)  # type: ignore[misc]
        await until(lambda: isinstance(app.screen, StandbyScreen) and app.screen.query("#begin"))
        assert isinstance(reception.outcome, Completion)
        assert reception.outcome.errand is Errand.ENROLMENT
