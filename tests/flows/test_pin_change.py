"""暗証番号変更 from the main menu, and the PIN that must be changed before anything else."""

from __future__ import annotations

import pytest
from pkcs11 import TokenFlag

from kiosk.desk import CertificateDetails, LastTryAnswer, MenuChoice, NoticeAnswer, PinPurpose, PinQuestion, Unfit
from kiosk.errors import Changed, Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenError
from kiosk.tokens.wire import FailureKind
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens.software_flags import raise_flag

NEW = "65432109"
CHANGE = ["pin-present", "pin-new", "pin-new-again"]


def changing(*pins: str | None, menu: tuple[MenuChoice, ...] = (MenuChoice.CHANGE_PIN,)) -> ScriptedDesk:
    return ScriptedDesk(pins=[DEMO_PIN, *pins], notice=NoticeAnswer.LATER, menu=list(menu))


async def opens(bank: Bank, typed: str) -> bool:
    """Whether the token takes this PIN, asked in a process of its own."""
    try:
        async with await bank.open_token(pin=typed):
            return True
    except TokenError as error:
        if error.kind is FailureKind.PIN_WRONG:
            return False
        raise


def questions(desk: ScriptedDesk, purpose: PinPurpose) -> list[PinQuestion]:
    return [each for each in desk.seen if isinstance(each, PinQuestion) and each.purpose is purpose]


async def test_the_new_pin_opens_the_token_and_the_old_one_no_more(bank: Bank) -> None:
    desk = changing(DEMO_PIN, NEW, NEW)
    outcome = await bank.visit(desk)
    assert outcome.problem is None
    assert desk.asked == ["pin", "notice", "menu", *CHANGE, "pin-changed", "menu"]
    assert await opens(bank, NEW)
    assert not await opens(bank, DEMO_PIN)
    assert Event.PIN_CHANGED in bank.events()
    for secret in (DEMO_PIN, NEW):
        assert secret.encode() not in bank.journal_bytes()


async def test_a_renewal_after_the_change_proves_with_the_new_pin(bank: Bank) -> None:
    """The fresh process of the proof is lent the PIN that the token has accepted last."""
    desk = changing(DEMO_PIN, NEW, NEW, menu=(MenuChoice.CHANGE_PIN, MenuChoice.RENEW))
    assert (await bank.visit(desk)).completion is not None
    assert await opens(bank, NEW)


async def test_a_wrong_present_pin_is_told_as_such_and_changes_nothing(bank: Bank) -> None:
    desk = changing("999999", NEW, NEW, DEMO_PIN, NEW, NEW)
    assert (await bank.visit(desk)).problem is None
    first, second = questions(desk, PinPurpose.PRESENT)
    assert (first.refused, second.refused) == (False, True)
    assert bank.events().count(Event.PIN_REFUSED) == 1
    assert await opens(bank, NEW)


async def test_wrong_present_pins_end_the_visit_before_the_token_locks(bank: Bank) -> None:
    desk = changing("1111", NEW, NEW, "2222", NEW, NEW, "3333", NEW, NEW)
    desk.last_tries = [LastTryAnswer.YES]
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PIN_REFUSED_TOO_OFTEN, Changed.NOTHING)
    assert await opens(bank, DEMO_PIN)


async def test_two_different_new_pins_cost_no_try(bank: Bank) -> None:
    desk = changing(DEMO_PIN, NEW, "65432100", NEW, NEW)
    await bank.visit(desk)
    assert [each.unfit for each in questions(desk, PinPurpose.NEW)] == [None, Unfit.UNEQUAL]
    assert len(questions(desk, PinPurpose.PRESENT)) == 1
    assert await opens(bank, NEW)


async def test_the_same_pin_again_is_no_new_one(bank: Bank) -> None:
    desk = changing(DEMO_PIN, DEMO_PIN, NEW, NEW)
    await bank.visit(desk)
    assert [each.unfit for each in questions(desk, PinPurpose.NEW)] == [None, Unfit.UNCHANGED]
    assert await opens(bank, NEW)


async def test_a_new_pin_the_token_does_not_want_is_told(bank: Bank) -> None:
    """SoftHSM takes four characters and more; a policy that allows three meets that."""
    desk = changing(DEMO_PIN, "123", "123", DEMO_PIN, NEW, NEW)
    assert (await bank.with_policy(pin_shortest=3).visit(desk)).problem is None
    assert [each.unfit for each in questions(desk, PinPurpose.PRESENT)] == [None, Unfit.NOT_TAKEN]
    assert await opens(bank, NEW)


@pytest.mark.parametrize("typed", [(None,), (DEMO_PIN, None), (DEMO_PIN, NEW, None)])
async def test_giving_up_changes_nothing_and_leads_back_to_the_menu(bank: Bank, typed: tuple[str | None, ...]) -> None:
    desk = changing(*typed)
    assert (await bank.visit(desk)).problem is None
    assert desk.asked[-1] == "menu"
    assert await opens(bank, DEMO_PIN)


async def test_a_pin_that_must_be_changed_first_is_changed_and_the_visit_goes_on(bank: Bank) -> None:
    raise_flag(bank.directory / "tokens", TokenFlag.USER_PIN_TO_BE_CHANGED)
    desk = ScriptedDesk(pins=[DEMO_PIN, NEW, NEW])
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:5] == [*CHANGE, "pin-changed", "notice"]
    assert questions(desk, PinPurpose.PRESENT)[0].required
    assert await opens(bank, NEW)


async def test_a_change_that_is_required_can_be_left(bank: Bank) -> None:
    raise_flag(bank.directory / "tokens", TokenFlag.USER_PIN_TO_BE_CHANGED)
    desk = ScriptedDesk(pins=[None])
    outcome = await bank.visit(desk)
    assert (outcome.completion, outcome.problem) == (None, None)
    assert desk.asked == ["pin-present"]


async def test_all_pins_are_overwritten_wherever_the_change_ends(bank: Bank) -> None:
    held: list[bytearray] = []

    class Desk(ScriptedDesk):
        async def ask_pin(self, question: PinQuestion) -> Pin | None:
            await self._see("pin", question)
            typed = self.pins.pop(0)
            if typed is None:
                return None
            held.append(bytearray(typed, "ascii"))
            return Pin(held[-1])

    pins = [DEMO_PIN, "999999", NEW, NEW, DEMO_PIN, NEW, "65432100", DEMO_PIN, NEW, None]
    desk = Desk(pins=list(pins), notice=NoticeAnswer.LATER, menu=[MenuChoice.CHANGE_PIN])
    await bank.visit(desk)
    assert len(held) == len(pins) - 1
    assert not any(any(each) for each in held)


async def test_details_tell_the_certificate_and_who_issued_it(bank: Bank) -> None:
    credential = await bank.credential()
    desk = ScriptedDesk(notice=NoticeAnswer.LATER, menu=[MenuChoice.DETAILS])
    await bank.visit(desk)
    assert desk.asked[-3:] == ["menu", "details", "menu"]
    details = next(each for each in desk.seen if isinstance(each, CertificateDetails))
    assert details.credential == credential
    assert details.days_left == 20
    assert details.authority == "Demo Issuing CA"


async def test_no_pin_is_kept_where_the_change_cannot_be_written_down(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, typed = VisitRecord.note, list[Pin]()

    async def fails_to(record: VisitRecord, event: Event, **told: str) -> None:
        if event is Event.CHANGING_PIN:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE)
        await note(record, event, **told)

    class Remembers(ScriptedDesk):
        async def ask_pin(self, question: PinQuestion) -> Pin | None:
            pin = await super().ask_pin(question)
            assert pin is not None
            typed.append(pin)
            return pin

    monkeypatch.setattr(VisitRecord, "note", fails_to)
    menu = [MenuChoice.CHANGE_PIN]
    outcome = await bank.visit(Remembers(pins=[DEMO_PIN, DEMO_PIN, NEW, NEW], notice=NoticeAnswer.LATER, menu=menu))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.JOURNAL_NOT_WRITABLE
    assert len(typed) == 4
    for each in typed:
        with pytest.raises(RuntimeError, match="handed over"):
            each.take()
