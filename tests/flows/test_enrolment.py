"""電子証明書取得: whole conversations against a real CA process and a real SoftHSM token."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.ca import holders, office
from kiosk.ca.authority import load_authority
from kiosk.clock import JAPAN, system_clock
from kiosk.cmp.client import CmpClient, GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import Refused, TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.cmp.peer import Confirming, Peer, Resume
from kiosk.cmp.retry import Retry
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.credentials import HolderKind, HolderRule, IdShape, enrolment_key_id
from kiosk.demo_bank import TOKEN_LABEL, Customer, make_software_token
from kiosk.desk import (
    CodeQuestion,
    Destination,
    EnrolmentIdQuestion,
    Errand,
    MenuChoice,
    NoticeAnswer,
    RenewalNotice,
    SavingStep,
    TypedIdQuestion,
    WebAccessQuestion,
)
from kiosk.enrolment import Enrolment
from kiosk.errors import Changed, Code, KioskError, Problem
from kiosk.journal import Event
from kiosk.one_time_code import make, read
from kiosk.pin import Pin
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.inventory import PENDING_LABEL
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import KeyKind, KeyOrigin, ObjectKind, StoredObject
from tests.bank import Bank, labels_shown, open_bank
from tests.flows.test_conversation import Cut, cut_at
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule
from tests.tokens.mute_key import leave_mute_key

ID = Customer().holder_id
OTHER_CODE = make(bytes).secret.decode()
"""A code whose check digit is right, and that no bank has handed out."""
QUESTIONS = ["preprocessing", "destination", "web-access 1/2", "web-access 2/2", "key-export"]
SAVE = [*QUESTIONS, "key", "request", "import", "write", "prove", "confirm"]
DONE = ["import-complete", "completion"]


@pytest.fixture
async def expired(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer's certificate ended yesterday."""
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        yield bank


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer has a token with nothing on it."""
    async with open_bank(tmp_path / "bank") as bank:
        await make_software_token(bank.directory, bank.settings.token)
        yield bank


def with_code(code: str | None, **options: object) -> ScriptedDesk:
    """A customer who takes the way that the problem screen offers, and types `code`."""
    return ScriptedDesk(enrols=True, enrolment_ids=[ID], codes=[code], **options)  # type: ignore[arg-type]


async def test_expired_and_then_a_new_certificate(expired: Bank) -> None:
    old = await expired.credential()
    desk = with_code(expired.code())
    outcome = await expired.visit(desk)

    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked == ["pin", "problem", "code", *SAVE, "retire", *DONE], "the ID is known and not asked for"
    new = await expired.credential()
    assert new.certificate == outcome.completion.certificate
    assert new.holder == old.holder
    assert new.certificate.subject_der == old.certificate.subject_der
    assert new.key_id == enrolment_key_id(ID, old.certificate)
    assert outcome.completion.replaced == old.certificate
    assert outcome.completion.destination is Destination.USB
    assert outcome.completion.errand is Errand.ENROLMENT
    assert expired.states()[new.certificate.serial] == "valid"
    assert labels_shown(await expired.inventory()) == {new.certificate.common_name}


async def test_a_token_that_makes_no_keys_gets_one(empty: Bank) -> None:
    desk = with_code(empty.code())
    outcome = await empty.with_policy(key_origin=KeyOrigin.EXPORT).visit(desk)
    assert outcome.completion is not None
    questions = [each for each in desk.seen if isinstance(each, WebAccessQuestion)]
    assert {each.origin for each in questions} == {KeyOrigin.EXPORT}
    assert (await empty.credential()).key_id == enrolment_key_id(ID, None)


async def test_an_empty_token_and_the_id_is_typed(empty: Bank) -> None:
    desk = with_code(empty.code())
    outcome = await empty.visit(desk)
    assert outcome.completion is not None
    assert outcome.completion.replaced is None
    assert desk.asked == ["pin", "problem", "enrolment-id-typed", "code", *SAVE, *DONE], "there is nothing to retire"
    assert SavingStep.RETIRE not in desk.steps
    new = await empty.credential()
    assert new.holder.id == ID
    assert new.key_id == enrolment_key_id(ID, None)
    question = next(each for each in desk.seen if isinstance(each, TypedIdQuestion))
    assert question.shape == IdShape(4, 7)


async def test_from_the_standby_screen(expired: Bank) -> None:
    desk = with_code(expired.code())
    outcome = await expired.visit(desk, errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    assert desk.asked == ["pin", "enrolment-id", "code", *SAVE, "retire", *DONE], "no problem screen"
    question = next(each for each in desk.seen if isinstance(each, EnrolmentIdQuestion))
    assert [(each.credential.holder.id, each.days_left) for each in question.ids] == [(ID, -1)]


async def test_from_the_standby_screen_for_another_id(bank: Bank) -> None:
    """A second ID comes onto a token whose first one is in date, and that one is not touched."""
    add_holder(bank, "TKYM1408099")
    first = await bank.credential()
    desk = ScriptedDesk(enrolment_ids=["TKYM1408099"], codes=[bank.code("TKYM1408099")])
    outcome = await bank.visit(desk, errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    assert desk.asked[:4] == ["pin", "enrolment-id", "enrolment-id-typed", "code"]
    held = {each.holder.id: each.certificate for each in (await bank.inventory()).credentials}
    assert held == {ID: first.certificate, "TKYM1408099": outcome.completion.certificate}
    assert [each.credential.holder.id for each in outcome.completion.others] == [ID], "which is due in 20 days"


async def test_the_new_certificate_serves_like_any_other(expired: Bank) -> None:
    await expired.visit(with_code(expired.code()))
    desk = ScriptedDesk()
    outcome = await expired.visit(desk)
    assert (outcome.problem, desk.asked) == (None, ["pin", "menu"])


async def test_next_year_s_key_is_another_one(expired: Bank) -> None:
    """An ID that comes by its certificate in this way twice: the key of the first time is not taken for a begun one."""
    kept = expired.with_policy(expired_credential="keep")
    first = await kept.visit(with_code(kept.code()))
    second = await kept.visit(with_code(kept.code()), errand=Errand.ENROLMENT)
    assert first.completion is not None
    assert second.completion is not None
    assert first.completion.certificate.public_key_der != second.completion.certificate.public_key_der


async def test_the_journal_tells_the_steps_and_no_secret(expired: Bank) -> None:
    code = expired.code()
    await expired.visit(with_code(code))
    assert expired.events() == [
        Event.VISIT_BEGUN,
        Event.ENROLMENT_WANTED,
        Event.PREPROCESSED,
        Event.MAKING_KEY,
        Event.REQUESTING,
        Event.ISSUED,
        Event.WRITING,
        Event.PROVEN,
        Event.CONFIRMING,
        Event.CONFIRMED,
        Event.RETIRING,
        Event.RETIRED,
        Event.COMPLETED,
        Event.VISIT_ENDED,
    ]
    written = expired.journal_bytes()
    for forbidden in (code.encode(), b"123456", b"Shinkin Banks", b"TKYM1408054 1403"):
        assert forbidden not in written


async def test_policy_keeps_the_expired_credential(expired: Bank) -> None:
    old = await expired.credential()
    kept = expired.with_policy(expired_credential="keep")
    desk = with_code(kept.code())
    outcome = await kept.visit(desk)
    assert outcome.completion is not None
    assert "retire" not in desk.asked
    assert old.certificate in [each.certificate for each in (await kept.inventory()).credentials]
    again = ScriptedDesk()
    assert (await kept.visit(again)).problem is None
    assert again.asked == ["pin", "menu"], "the new one is the ID's"


async def test_what_is_asked_says_that_it_is_no_renewal(expired: Bank) -> None:
    desk = with_code(expired.code())
    await expired.visit(desk)
    questions = [each for each in desk.seen if isinstance(each, WebAccessQuestion)]
    assert {each.errand for each in questions} == {Errand.ENROLMENT}
    authority = load_authority(expired.directory / "ca").issuing.common_name
    assert [each.authority for each in questions] == [authority, authority]


async def test_a_wrong_code_and_then_the_right_one(expired: Bank) -> None:
    desk = ScriptedDesk(enrols=True, codes=[OTHER_CODE, expired.code()])
    outcome = await expired.visit(desk)
    assert outcome.completion is not None
    first, second = (each for each in desk.seen if isinstance(each, CodeQuestion))
    assert (first.refused, second.refused) == (False, True)
    assert expired.events().count(Event.CODE_REFUSED) == 1


async def test_a_refused_code_is_not_sent_again(expired: Bank) -> None:
    desk = ScriptedDesk(enrols=True, codes=[OTHER_CODE, OTHER_CODE, OTHER_CODE, None])
    await expired.visit(desk)
    assert desk.asked.count("preprocessing") == 1
    assert failures(expired) == 1


async def test_a_third_wrong_code_ends_the_visit(expired: Bank) -> None:
    token = await expired.inventory()
    wrong = [make(lambda size, fill=fill: bytes([fill]) * size).secret.decode() for fill in range(1, 5)]  # type: ignore[misc]
    desk = ScriptedDesk(enrols=True, codes=[*wrong])
    outcome = await expired.visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CODE_NOT_ACCEPTED
    assert outcome.problem.changed is Changed.NOTHING
    assert desk.codes == wrong[3:], "the fourth code is not asked for"
    assert desk.asked[-1] == "problem"
    assert await expired.inventory() == token


async def test_an_unknown_id_is_told_like_a_wrong_code(empty: Bank) -> None:
    code = empty.code()
    desk = ScriptedDesk(enrols=True, enrolment_ids=["TKYM9999999", None], codes=[code, None])
    await empty.visit(desk)
    questions = [each for each in desk.seen if isinstance(each, CodeQuestion)]
    assert [each.refused for each in questions] == [False, True]


async def test_a_paused_id_has_its_own_words(expired: Bank) -> None:
    code = expired.code()
    for first in range(0, 12, 2):
        wrong = [make(lambda size, fill=fill: bytes([fill + 1]) * size).secret.decode() for fill in (first, first + 1)]  # type: ignore[misc]
        outcome = await expired.visit(ScriptedDesk(enrols=True, codes=[*wrong, None]))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CODE_PAUSED
    assert (await expired.visit(with_code(code))).problem == outcome.problem, "the right one has to wait as well"


async def test_an_expired_code_has_its_own_words(expired: Bank) -> None:
    code = expired.code()
    with closing(sqlite3.connect(expired.directory / "ca" / "ledger.sqlite")) as database, database:
        database.execute("UPDATE codes SET expires_at = made_at")
    token = await expired.inventory()
    outcome = await expired.visit(with_code(code))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CODE_EXPIRED
    assert outcome.problem.changed is Changed.NOTHING
    assert await expired.inventory() == token


async def test_a_code_is_bound_to_the_token_it_was_begun_with(expired: Bank) -> None:
    code = expired.code()
    with pytest.raises(ExceptionGroup):
        await expired.visit(with_code(code, at_step=cut_at(SavingStep.WRITE)))
    await make_software_token(expired.directory, expired.settings.token)
    outcome = await expired.visit(with_code(code))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CODE_BOUND
    assert outcome.problem.changed is Changed.NOTHING
    assert (await expired.inventory()).objects == (), "the key that nobody certifies is gone"


TURNING_BACK: dict[str, Callable[[str], ScriptedDesk]] = {
    "problem": lambda _: ScriptedDesk(),
    "id": lambda _: ScriptedDesk(enrols=True, enrolment_ids=[None]),
    "code": lambda _: with_code(None),
    "destination": lambda code: with_code(code, destination=None),
    "web access 1": lambda code: with_code(code, web_access=[False, True]),
    "web access 2": lambda code: with_code(code, web_access=[True, False]),
    "key export": lambda code: with_code(code, key_export=False),
}


@pytest.mark.parametrize("question", TURNING_BACK)
async def test_turning_back_leaves_token_and_ca_untouched(empty: Bank, question: str) -> None:
    code = empty.code()
    token, ledger = await empty.inventory(), empty.ledger()
    desk = TURNING_BACK[question](code)
    desk.enrolment_ids.append(None)
    outcome = await empty.visit(desk)
    assert outcome.completion is None
    assert outcome.problem == Problem(Code.NO_CERTIFICATE), "and back to where the way began"
    assert outcome.explained
    assert desk.asked[-1] == "problem"
    assert (await empty.inventory(), empty.ledger()) == (token, ledger)
    assert (await empty.visit(with_code(code))).completion is not None, "the code is still good"


async def test_turning_back_from_standby_ends_the_visit(expired: Bank) -> None:
    desk = ScriptedDesk(enrolment_ids=[None])
    outcome = await expired.visit(desk, errand=Errand.ENROLMENT)
    assert (outcome.completion, outcome.problem) == (None, None)
    assert desk.asked == ["pin", "enrolment-id"]


async def test_staff_can_be_called_and_the_way_is_still_there(expired: Bank) -> None:
    desk = with_code(expired.code(), calls=True)
    desk.enrols = False
    outcome = await expired.visit(desk)
    assert outcome.problem is not None
    assert desk.asked == ["pin", "problem", "problem-called"]
    assert Event.STAFF_CALLED in expired.events()


@pytest.mark.parametrize("step", [each for each in SavingStep if each is not SavingStep.RETIRE])
@pytest.mark.parametrize("kind", [KeyKind.EC_P256])
async def test_one_cut_before_any_step_is_finished_by_the_next_visit(
    tmp_path: Path, step: SavingStep, kind: KeyKind
) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1, kind=kind) as bank:
        code = bank.code()
        with pytest.raises(ExceptionGroup) as raised:
            await bank.visit(with_code(code, at_step=cut_at(step)))
        assert raised.group_contains(Cut)
        begun = {each.public for each in (await bank.inventory()).objects if each.kind is ObjectKind.PRIVATE_KEY}

        desk = with_code(code)
        outcome = await bank.visit(desk)
        assert outcome.problem is None
        assert outcome.completion is not None
        new = await bank.credential()
        assert new.certificate == outcome.completion.certificate
        assert bank.states()[new.certificate.serial] == "valid"
        assert list(bank.states().values()).count("valid") == 2, "the expired one, and one new one"
        assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
        question = next(each for each in desk.seen if isinstance(each, CodeQuestion))
        assert question.unfinished is (step is not SavingStep.KEY)
        if step is not SavingStep.KEY:
            private = [each for each in (await bank.inventory()).objects if each.kind is ObjectKind.PRIVATE_KEY]
            assert {each.public for each in private} <= begun, "the same key"


async def test_where_labels_do_not_change_another_certificate_object_names_the_new_one(
    expired: Bank, tmp_path: Path
) -> None:
    acting = ActingModule(expired, tmp_path / "acting")
    acting.keep_labels()
    outcome = await acting.bank.visit(with_code(expired.code()))
    assert outcome.completion is not None
    objects = (await expired.inventory()).objects
    assert {each.kind: each.label for each in objects} == {
        ObjectKind.CERTIFICATE: Customer().common_name,
        ObjectKind.PRIVATE_KEY: ID,
        ObjectKind.PUBLIC_KEY: PENDING_LABEL,
    }
    assert len(objects) == 3

    desk = ScriptedDesk(menu=[MenuChoice.LEAVE])
    assert (await acting.bank.visit(desk)).problem is None
    assert "code" not in desk.asked, "it is not taken for an unfinished one"


async def test_one_cut_before_the_old_one_went_has_ended(expired: Bank) -> None:
    """The CA had acknowledged the certificate: it says so to the new key, and no code is asked for."""
    with pytest.raises(ExceptionGroup):
        await expired.visit(with_code(expired.code(), at_step=cut_at(SavingStep.RETIRE)))
    desk = ScriptedDesk()
    outcome = await expired.visit(desk)
    assert outcome.completion is not None
    assert desk.asked == ["pin", "preprocessing", "completion"]
    assert (await expired.credential()).certificate == outcome.completion.certificate
    assert labels_shown(await expired.inventory()) == {Customer().common_name}


class Through(CmpClient):
    """Passes everything on to the real CA."""

    def __init__(self, real: CmpClient) -> None:
        self._real = real

    @property
    def peer(self) -> Peer:
        return self._real.peer

    async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:
        return await (self._real.general(protector, about=about) if about else self._real.general(protector))

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        return await self._real.update(signer, new_key)

    async def enrol(self, protector: Protector, new_key: SigningKey, subject: bytes | None = None) -> Issued:
        return await self._real.enrol(protector, new_key, subject)

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        await self._real.confirm(issued, sending)

    async def reject(self, issued: Issued, reason: str) -> None:
        await self._real.reject(issued, reason)


class Unacknowledged(Through):
    """The CA hears the confirmation, and its acknowledgement is lost."""

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        await self._real.confirm(issued, sending)
        raise TransferError(TransferFailure.BROKEN_OFF)


async def test_a_lost_acknowledgement_is_made_up_for_without_the_code(empty: Bank) -> None:
    outcome = await empty.visit(with_code(empty.code()), through=Unacknowledged)
    assert outcome.problem is not None
    assert outcome.problem.changed is Changed.STORED
    desk = ScriptedDesk()
    again = await empty.visit(desk)
    assert again.completion is not None
    assert desk.asked == ["pin", "preprocessing", "completion"]
    later = ScriptedDesk()
    await empty.visit(later)
    assert later.asked == ["pin", "menu"]


@pytest.mark.parametrize("errand", [Errand.RENEWAL, Errand.ENROLMENT])
async def test_a_confirmed_certificate_is_not_given_up_for_another_code(empty: Bank, errand: Errand) -> None:
    """Whoever asks for another code, because the first visit ended with a problem, has a good certificate already."""
    await empty.visit(with_code(empty.code()), through=Unacknowledged)
    written = await empty.credential()
    desk = with_code(empty.code())
    outcome = await empty.visit(desk, errand=errand)
    assert outcome.completion is not None
    assert "code" not in desk.asked
    assert (await empty.credential()).certificate == written.certificate == outcome.completion.certificate


class Late(Through):
    """The confirmation is still on its way when the CA is asked whether it has heard it."""

    def __init__(self, real: CmpClient) -> None:
        super().__init__(real)
        self._on_its_way: list[Issued] = []

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        assert sending is not None
        sending()
        self._on_its_way.append(issued)
        raise TransferError(TransferFailure.BROKEN_OFF)

    async def enrol(self, protector: Protector, new_key: SigningKey, subject: bytes | None = None) -> Issued:
        while self._on_its_way:
            await self._real.confirm(self._on_its_way.pop())
        return await super().enrol(protector, new_key, subject)


async def test_a_confirmation_that_arrives_late_is_no_refusal(expired: Bank) -> None:
    """The code is used up by it, and nothing can be asked by that any more."""
    code = expired.code()
    retry = Retry(sleep=lambda _: asyncio.sleep(0))
    outcome = await expired.visit(with_code(code), through=Late, retry=retry)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert (await expired.credential()).certificate == outcome.completion.certificate
    assert expired.states()[outcome.completion.certificate.serial] == "valid"


class KnockedAt(Through):
    """A CA that answers no genm, so that nothing is proven by its being there."""

    @property
    def peer(self) -> Peer:
        return replace(self._real.peer, answers_general=False)

    async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:  # noqa: ARG002
        return GeneralAnswer(
            ca_certificates=(), template=None, message_time=system_clock(), offset=timedelta(), proven=False
        )


@pytest.mark.parametrize("counts", [True, False])
async def test_a_knock_at_the_door_proves_no_confirmation(empty: Bank, counts: bool) -> None:
    """Only where a certificate counts from its issue on it need not be proven that this one was confirmed."""

    class Door(KnockedAt):
        @property
        def peer(self) -> Peer:
            return replace(super().peer, unconfirmed_ends=not counts)

    with pytest.raises(ExceptionGroup):
        await empty.visit(with_code(empty.code(), at_step=cut_at(SavingStep.CONFIRM)))
    token = await empty.inventory()
    outcome = await empty.visit(ScriptedDesk(), through=Door)
    if counts:
        assert outcome.completion is not None
    else:
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_UNDECIDED, Changed.STORED)
        assert await empty.inventory() == token


async def test_a_clock_that_is_wrong_removes_nothing(expired: Bank) -> None:
    """What has expired is told by the kiosk's clock, so it has to be right also where no code is asked for."""

    class Elsewhen(Through):
        async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:
            return replace(await super().general(protector, about=about), offset=timedelta(days=-400))

    with pytest.raises(ExceptionGroup):
        await expired.visit(with_code(expired.code(), at_step=cut_at(SavingStep.RETIRE)))
    token = await expired.inventory()
    outcome = await expired.visit(ScriptedDesk(), through=Elsewhen)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CLOCK_WRONG, Changed.ENROLLED)
    assert await expired.inventory() == token


async def test_one_that_was_cut_leaves_the_certificate_that_is_in_date_in_use(bank: Bank) -> None:
    """Whoever has no code at hand to go on with still has what worked before."""
    old = await bank.credential()
    with pytest.raises(ExceptionGroup):
        await bank.visit(with_code(bank.code(), at_step=cut_at(SavingStep.CONFIRM)), errand=Errand.ENROLMENT)
    desk = ScriptedDesk(codes=[None], notice=NoticeAnswer.LATER, menu=[MenuChoice.LEAVE])
    outcome = await bank.visit(desk)
    assert outcome.problem is None
    assert desk.asked == ["pin", "preprocessing", "code", "notice", "menu"]
    (notice,) = (each for each in desk.seen if isinstance(each, RenewalNotice))
    assert notice.credential == old


async def test_a_ca_that_waits_for_no_confirmation_is_told_nothing(expired: Bank) -> None:
    class Content(Through):
        @property
        def peer(self) -> Peer:
            return replace(self._real.peer, confirming=Confirming.NONE)

    outcome = await expired.visit(with_code(expired.code()), through=Content)
    assert outcome.completion is not None
    assert Event.CONFIRMED in expired.events()
    assert Event.CONFIRMING not in expired.events()


class KeyKnown(Through):
    """Has certified every key by another code."""

    async def enrol(self, protector: Protector, new_key: SigningKey, subject: bytes | None = None) -> Issued:  # noqa: ARG002
        raise Refused(["duplicateCertReq"], proven=True, decided=True)


class Stubborn(Token):
    """Removes nothing."""

    async def remove(self, stored: StoredObject) -> bool:  # noqa: ARG002
        return False


@dataclass
class Standing:
    changed: Changed = Changed.NOTHING


@pytest.mark.parametrize("resume", Resume)
async def test_an_earlier_key_that_cannot_be_removed_is_a_problem_and_no_crash(empty: Bank, resume: Resume) -> None:
    code = empty.code()
    with pytest.raises(ExceptionGroup):
        await empty.visit(with_code(code, at_step=cut_at(SavingStep.REQUEST)))

    class Forgetful(KeyKnown):
        @property
        def peer(self) -> Peer:
            return replace(self._real.peer, resume=resume)

    process = TokenProcess.start(empty.settings.token)
    (facts,) = await find_tokens(process)
    async with (
        open_services(empty.settings) as services,
        Stubborn(empty.settings.token, process, facts, HolderRule()) as token,
    ):
        await token.log_in(Pin(bytearray(DEMO_PIN, "ascii")))
        standing, record = Standing(), services.journal.begin_visit(facts.serial)
        enrolment = Enrolment(token, ID, replace(services, ca=Forgetful(services.ca)), record, standing)
        await enrolment.prepare(read(code), ScriptedDesk())

        async def go_on() -> None:
            await enrolment.make_key()
            await enrolment.request(ScriptedDesk())

        with pytest.raises(KioskError) as raised:
            await go_on()
    assert raised.value.problem.code is Code.TOKEN_FAILED
    assert standing.changed is Changed.ENROLLING
    assert len([each for each in (await empty.inventory()).objects if each.kind is ObjectKind.PRIVATE_KEY]) == 1


class Mute(Through):
    """Says no without proof, as anybody on the way can."""

    async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:  # noqa: ARG002
        raise Refused(["badMessageCheck"], proven=False)


async def test_a_refusal_that_is_not_proven_asks_again_as_well(expired: Bank) -> None:
    desk = ScriptedDesk(enrols=True, codes=[expired.code(), None])
    await expired.visit(desk, through=Mute)
    questions = [each for each in desk.seen if isinstance(each, CodeQuestion)]
    assert [each.refused for each in questions] == [False, True]
    assert "not proven" in expired.journal_bytes().decode(errors="replace")


async def test_a_certificate_for_another_id_is_rejected_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        code = bank.code()
        token = await bank.inventory()
        strict = bank.with_policy(holder_id=r"(?P<id>\d+)$")  # reads the number behind the ID for the ID
        desk = ScriptedDesk(enrolment_ids=[ID], codes=[code])
        outcome = await strict.visit(desk, errand=Errand.ENROLMENT)
        assert outcome.problem is not None
        assert outcome.problem.code is Code.NEW_CERTIFICATE_WRONG
        assert outcome.problem.changed is Changed.NOTHING
        assert sorted((each.kind, each.key_id) for each in (await bank.inventory()).objects) == sorted(
            (each.kind, each.key_id) for each in token.objects
        )
        assert sorted(bank.states().values()) == ["revoked", "valid"]


async def test_a_new_code_for_what_was_cut_takes_a_new_key(expired: Bank) -> None:
    """The old code was replaced, so the key that it was certified for is of no use to anybody."""
    with pytest.raises(ExceptionGroup):
        await expired.visit(with_code(expired.code(), at_step=cut_at(SavingStep.CONFIRM)))
    outcome = await expired.visit(with_code(expired.code()))
    assert outcome.problem is None
    assert outcome.completion is not None
    assert (await expired.credential()).certificate == outcome.completion.certificate
    assert expired.states()[outcome.completion.certificate.serial] == "valid"


async def cut_and_mute(bank: Bank, code: str, step: SavingStep) -> None:
    """電子証明書取得 is cut before `step`; only a private key stays, whose public half nothing tells."""
    with pytest.raises(ExceptionGroup):
        await bank.visit(with_code(code, at_step=cut_at(step)))
    leave_mute_key(bank.settings.token, TOKEN_LABEL, enrolment_key_id(ID, None))


async def whole(bank: Bank) -> str:
    """The serial number of the one certificate, whose key signs and beside which nothing lies."""
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    return (await bank.credential()).certificate.serial


async def test_a_key_that_tells_nothing_makes_room_where_the_code_knows_none(empty: Bank) -> None:
    code = empty.code()
    await cut_and_mute(empty, code, SavingStep.REQUEST)
    outcome = await empty.visit(with_code(code))
    assert (outcome.problem, outcome.completion is None) == (None, False)
    assert empty.states()[await whole(empty)] == "valid"


async def test_where_the_code_had_begun_with_it_another_code_is_the_way_out(empty: Bank) -> None:
    code = empty.code()
    await cut_and_mute(empty, code, SavingStep.WRITE)
    outcome = await empty.visit(with_code(code))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CODE_BOUND, Changed.NOTHING)
    assert (await empty.inventory()).objects == ()
    assert (await empty.visit(with_code(empty.code()))).completion is not None
    states = empty.states()
    assert states.pop(await whole(empty)) == "valid"
    assert "unconfirmed" not in states.values(), "a new code ends what the old one had begun"


async def test_one_whose_certificate_was_confirmed_and_lost_stays_until_a_teller_hands_out_a_code(empty: Bank) -> None:
    code = empty.code()
    assert (await empty.visit(with_code(code))).completion is not None
    leave_mute_key(empty.settings.token, TOKEN_LABEL, enrolment_key_id(ID, None))
    before = await empty.inventory()
    desk = with_code(code)
    desk.codes.append(None)
    desk.enrolment_ids.append(None)
    outcome = await empty.visit(desk)
    assert outcome.completion is None
    assert await empty.inventory() == before, "a code that is used up removes nothing"
    assert (await empty.visit(with_code(empty.code()))).completion is not None
    assert empty.states()[await whole(empty)] == "valid"


async def test_a_certificate_that_was_never_confirmed_asks_for_the_code(empty: Bank) -> None:
    code = empty.code()
    with pytest.raises(ExceptionGroup):
        await empty.visit(with_code(code, at_step=cut_at(SavingStep.CONFIRM)))
    written = [each for each in (await empty.inventory()).objects if each.kind is ObjectKind.CERTIFICATE]
    assert [each.label for each in written] == [PENDING_LABEL]
    desk = ScriptedDesk(codes=[code], menu=[MenuChoice.LEAVE])
    outcome = await empty.visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:3] == ["pin", "preprocessing", "code"], "not the main menu"


async def test_the_new_one_lasts_a_year_and_its_reminder_says_when(expired: Bank) -> None:
    outcome = await expired.visit(with_code(expired.code()))
    assert outcome.completion is not None
    reminder = outcome.completion.reminder
    assert reminder is not None
    assert reminder.holder_id == ID
    left = outcome.completion.certificate.not_after.astimezone(JAPAN).date() - reminder.day
    assert left.days == expired.settings.policy.window_days


async def test_a_customer_who_walks_away_at_the_code_leaves_nothing(expired: Bank) -> None:
    token, ledger = await expired.inventory(), expired.ledger()
    hurried = expired.with_policy(idle_seconds=0.2)
    async with asyncio.timeout(60):
        outcome = await hurried.visit(with_code(None, leaves_at="code"))
    assert (outcome.completion, outcome.problem) == (None, None)
    assert Event.IDLE in expired.events()
    assert (await expired.inventory(), expired.ledger()) == (token, ledger)


def failures(bank: Bank) -> int:
    """How many wrong codes the CA has counted."""
    with closing(sqlite3.connect(f"file:{bank.directory / 'ca' / 'ledger.sqlite'}?mode=ro", uri=True)) as database:
        return sum(count for (count,) in database.execute("SELECT failures FROM tries"))


def add_holder(bank: Bank, holder_id: str) -> None:
    """Enter a holder, as a teller does."""
    customer = Customer(common_name=f"{holder_id} 9999")
    with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
        holders.add(connection, holder_id, HolderKind.USER, customer.subject)
