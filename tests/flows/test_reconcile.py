"""What earlier visits have left, told by the token: gone on with by one question, or cleaned up (design decision 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kiosk.ca import office, promises
from kiosk.ca.ledger import find_serial, issuer_hash, record
from kiosk.ca.promises import Asker
from kiosk.ca.revoking import put_on_crl
from kiosk.ca.schema import CertificateState, PromiseKind, PromiseState
from kiosk.certificates import Certificate, PublicKey, read_certificate
from kiosk.cmp.client import GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import Refused, TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.cmp.retry import Retry
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.credentials import enrolment_key_id, successor_key_id
from kiosk.demo_bank import Customer, DemoBank
from kiosk.desk import (
    CleaningQuestion,
    Errand,
    HeldId,
    IdQuestion,
    MainMenu,
    MenuChoice,
    ResumptionQuestion,
    SavingStep,
)
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import PENDING_LABEL
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, KeyKind, ObjectKind, StoredObject
from tests.bank import Bank, child_processes, open_bank
from tests.flows.test_conversation import cut_at
from tests.flows.test_enrolment import Through, add_holder
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule

NEW = "65432109"
SAVE = [
    "preprocessing",
    "key",
    "request",
    "import",
    "write",
    "prove",
    "confirm",
    "retire",
    "import-complete",
    "completion",
]
GOES_ON = {
    # cut before : what the next visit asks and does
    SavingStep.REQUEST: ["pin", "resumption", *SAVE],
    SavingStep.WRITE: ["pin", "resumption", *SAVE],
    SavingStep.PROVE: ["pin", "resumption", *SAVE],
    SavingStep.CONFIRM: ["pin", "resumption", *SAVE],
    SavingStep.RETIRE: ["pin", "resumption", "preprocessing", "retire", "completion"],
}


async def cut(bank: Bank, step: SavingStep, desk: ScriptedDesk | None = None) -> None:
    """A visit whose kiosk ends before this step."""
    desk = desk or ScriptedDesk()
    desk.at_step = cut_at(step)
    with pytest.raises(ExceptionGroup):
        await bank.visit(desk)


def elsewhere(bank: Bank) -> Bank:
    """Another kiosk, whose journal is empty."""
    journal = str(bank.directory / "elsewhere.sqlite")
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, journal=journal)))


def cut_off(bank: Bank) -> Bank:
    """A kiosk that cannot reach the CA."""
    nowhere = msgspec.structs.replace(bank.settings.ca, url="https://127.0.0.1:1/.well-known/cmp")
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=nowhere)))


async def whole(bank: Bank) -> Certificate:
    """The one certificate of the token, whose key signs, and beside which nothing lies."""
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    return (await bank.credential()).certificate


@pytest.mark.parametrize("step", GOES_ON)
async def test_one_question_and_no_other_twice(bank: Bank, step: SavingStep) -> None:
    await cut(bank, step)
    desk = ScriptedDesk()
    outcome = await elsewhere(bank).visit(desk)
    assert outcome.completion is not None
    assert desk.asked == GOES_ON[step]
    (question,) = (each for each in desk.seen if isinstance(each, ResumptionQuestion))
    assert question.written == (step in (SavingStep.PROVE, SavingStep.CONFIRM, SavingStep.RETIRE))
    assert bank.states()[(await whole(bank)).serial] == "valid"
    assert elsewhere(bank).events().count(Event.RESUMED) == 1


def signing_wrongly(patched: pytest.MonkeyPatch) -> None:
    """From now on what every token signs is something else."""
    sign = Token.sign

    async def wrongly(token: Token, key_id: bytes, public: PublicKey, message: bytes, *, pss: bool = False) -> bytes:
        return await sign(token, key_id, public, message[::-1], pss=pss)

    patched.setattr(Token, "sign", wrongly)


@pytest.mark.parametrize("begun", [False, True])
async def test_whose_key_signs_wrongly_is_served_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    if begun:
        await cut(bank, SavingStep.WRITE)
    signing_wrongly(monkeypatch)
    desk = ScriptedDesk()
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, desk.asked) == (Code.KEY_NOT_PROVEN, ["pin", "problem"])


async def test_a_new_key_that_signs_wrongly_is_not_confirmed(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await bank.credential()
    with monkeypatch.context() as patched:

        def begin(step: SavingStep) -> None:
            if step is SavingStep.PROVE:
                signing_wrongly(patched)

        outcome = await bank.visit(ScriptedDesk(at_step=begin))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.NEW_CREDENTIAL_NOT_PROVEN, Changed.UNFINISHED)
    assert sorted(bank.states().values()) == ["unconfirmed", "valid"]
    async with await bank.open_token() as token:
        assert await token.proves(old)


async def test_who_does_not_go_on_now_can_by_the_menu_without_being_asked_again(bank: Bank) -> None:
    await cut(bank, SavingStep.WRITE)
    token, ledger = await bank.inventory(), bank.ledger()
    desk = ScriptedDesk(resumes=False)
    assert (await bank.visit(desk)).completion is None
    assert desk.asked == ["pin", "resumption", "menu"]
    (menu,) = (each for each in desk.seen if isinstance(each, MainMenu))
    assert menu.unfinished
    assert (await bank.inventory(), bank.ledger()) == (token, ledger)

    desk = ScriptedDesk(resumes=False, menu=[MenuChoice.RENEW])
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked == ["pin", "resumption", "menu", *SAVE]
    await whole(bank)


async def test_what_is_unfinished_can_be_finished_outside_the_window_too(bank: Bank) -> None:
    """The bank has changed its rule meanwhile."""
    await cut(bank, SavingStep.WRITE)
    assert (await bank.with_policy(window_days=10).visit(ScriptedDesk())).completion is not None
    await whole(bank)


async def test_whose_confirmation_ran_out_gets_a_fresh_certificate_in_its_place(bank: Bank) -> None:
    await cut(bank, SavingStep.CONFIRM)
    old = await bank.inventory()
    (first,) = (serial for serial, state in bank.states().items() if state == "unconfirmed")
    run_out(bank)
    outcome = await elsewhere(bank).visit(ScriptedDesk())
    assert outcome.problem is None
    new = await whole(bank)
    assert new.serial != first
    assert new.public_key_der in {each.certificate.public_key_der for each in old.credentials}, "the same key"
    assert sorted(bank.states().values()) == ["revoked", "superseded", "valid"]


async def test_a_certificate_that_ran_out_and_cannot_be_removed_is_told_as_a_rest(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut(bank, SavingStep.CONFIRM)
    (first,) = (serial for serial, state in bank.states().items() if state == "unconfirmed")
    run_out(bank)
    await bank.until_another_second()
    remove = Token.remove

    async def failing(token: Token, stored: StoredObject) -> bool:
        if stored.der and read_certificate(stored.der).serial == first:
            raise TokenError(FailureKind.DEVICE, "as a test has it")
        return await remove(token, stored)

    with monkeypatch.context() as patched:
        patched.setattr(Token, "remove", failing)
        outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.OLD_CREDENTIAL_NOT_REMOVED, Changed.RENEWED)
    assert (await bank.visit(ScriptedDesk())).problem is None
    await whole(bank)


async def test_one_that_ran_out_and_was_cut_again_leaves_one_certificate(bank: Bank) -> None:
    await cut(bank, SavingStep.CONFIRM)
    run_out(bank)
    await bank.until_another_second()
    await cut(bank, SavingStep.RETIRE)
    assert len((await bank.inventory()).credentials) == 3
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked == GOES_ON[SavingStep.RETIRE], "the newest is the one that the CA has confirmed"
    await whole(bank)


async def test_a_key_that_a_teller_has_disowned_makes_room_for_another(bank: Bank) -> None:
    await cut(bank, SavingStep.CONFIRM)
    (begun,) = [
        each for each in (await bank.inventory()).credentials if bank.states()[each.certificate.serial] == "unconfirmed"
    ]
    revoke(bank, begun.certificate, "cessationOfOperation")
    desk = ScriptedDesk()
    outcome = await bank.visit(desk)
    assert outcome.problem is None
    assert desk.asked == GOES_ON[SavingStep.CONFIRM]
    assert (await whole(bank)).public_key_der != begun.certificate.public_key_der
    assert sorted(bank.states().values()) == ["revoked", "superseded", "valid"]


@pytest.mark.parametrize("step", [SavingStep.REQUEST, SavingStep.WRITE, SavingStep.CONFIRM])
async def test_where_the_old_one_is_revoked_what_was_begun_goes_with_a_yes(bank: Bank, step: SavingStep) -> None:
    """Whether or not the CA has heard of it."""
    old = await bank.credential()
    await cut(bank, step)
    assert bool(bank.ledger()["promises"]) == (step is not SavingStep.REQUEST)
    revoke(bank, old.certificate, "keyCompromise")
    begun = await bank.inventory()
    desk = ScriptedDesk(cleans=False)
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CERTIFICATE_NOT_ACCEPTED
    assert desk.asked == ["pin", "resumption", "preprocessing", "cleaning", "problem"]
    assert await bank.inventory() == begun, "nothing goes unasked"

    outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CERTIFICATE_NOT_ACCEPTED, Changed.NOTHING)
    assert await whole(bank) == old.certificate


async def test_where_both_are_revoked_what_was_begun_goes_with_a_yes(bank: Bank) -> None:
    old = await bank.credential()
    await cut(bank, SavingStep.CONFIRM)
    for each in (await bank.inventory()).credentials:
        revoke(bank, each.certificate, "keyCompromise")
    desk = ScriptedDesk()
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CERTIFICATE_NOT_ACCEPTED, Changed.NOTHING)
    assert desk.asked == ["pin", "resumption", "preprocessing", "cleaning", "problem"]
    assert await whole(bank) == old.certificate


@pytest.mark.parametrize("step", [SavingStep.WRITE, SavingStep.CONFIRM])
async def test_nothing_is_given_up_because_the_ca_cannot_be_asked(bank: Bank, step: SavingStep) -> None:
    await cut(bank, step)
    begun = await bank.inventory()
    desk = ScriptedDesk()
    outcome = await cut_off(bank).visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CA_NOT_REACHED
    assert desk.asked == ["pin", "resumption", "preprocessing", "problem"]
    assert await bank.inventory() == begun


class NotProven(Through):
    """The first no comes from somebody on the way, who says what would have what was begun given up."""

    met = False

    async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:
        if not self.met:
            self.met = True
            raise Refused({"certRevoked"}, proven=False)
        return await super().general(protector, about=about)


@pytest.mark.parametrize("step", [SavingStep.WRITE, SavingStep.CONFIRM])
async def test_nothing_is_given_up_by_a_no_that_is_not_proven(bank: Bank, step: SavingStep) -> None:
    await cut(bank, step)
    begun = await bank.inventory()
    desk = ScriptedDesk()
    outcome = await bank.visit(desk, through=NotProven)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.REFUSAL_NOT_PROVEN
    assert desk.asked == ["pin", "resumption", "preprocessing", "problem"]
    assert await bank.inventory() == begun


async def test_one_that_the_ca_has_confirmed_needs_no_old_one_any_more(bank: Bank) -> None:
    """Superseded, then revoked by a teller: the new one is the customer's all the same."""
    old = await bank.credential()
    await cut(bank, SavingStep.RETIRE)
    revoke(bank, old.certificate, "keyCompromise")
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked == GOES_ON[SavingStep.RETIRE]
    await whole(bank)


async def test_the_rest_of_an_old_one_goes_with_a_yes(bank: Bank) -> None:
    """Cut between the old private key and its certificate."""
    old = await bank.credential()
    await cut(bank, SavingStep.RETIRE)
    async with await bank.open_token() as token:
        inventory = await token.inventory()
        await token.relabel(successor_key_id(old.certificate), old.certificate.common_name)
        private, *_ = inventory.parts_of(old)
        assert private.kind is ObjectKind.PRIVATE_KEY
        assert await token.remove(private)
    desk = ScriptedDesk(cleans=False)
    await bank.visit(desk)
    assert desk.asked == ["pin", "cleaning", "menu"]
    assert len((await bank.inventory()).objects) == 5

    desk = ScriptedDesk()
    assert (await bank.visit(desk)).problem is None
    assert desk.asked == ["pin", "cleaning", "menu"]
    await whole(bank)
    assert Event.CLEANING in bank.events()


async def test_a_module_that_crashes_on_what_a_cut_has_torn_costs_no_visit(bank: Bank, tmp_path: Path) -> None:
    """As OpenSC 0.23 does, where a card lists a public key whose file is gone."""
    module = ActingModule(bank, tmp_path / "acting")
    first = await bank.credential()
    await cut(bank, SavingStep.RETIRE)
    async with await bank.open_token() as token:
        inventory = await token.inventory()
        await token.relabel(successor_key_id(first.certificate), first.certificate.common_name)
        assert await token.remove(inventory.parts_of(first)[0])
    module.crash_at_public_keys()
    before, desk = child_processes(), ScriptedDesk(pins=[*[DEMO_PIN] * 2, *[NEW] * 2], menu=[MenuChoice.CHANGE_PIN])
    outcome = await module.bank.visit(desk)
    assert (outcome.problem, desk.asked[:3]) == (None, ["pin", "cleaning", "menu"])
    assert "pin-changed" in desk.asked, "the process that took over is logged in"
    assert Event.PROBLEM in bank.events()
    async with await bank.open_token(pin=NEW) as token:
        left = [each for each in (await token.inventory()).objects if each.key_id == first.key_id]
    assert [each.kind for each in left] == [ObjectKind.PUBLIC_KEY]
    assert child_processes() == before
    again = ScriptedDesk(pins=[NEW])
    await module.bank.visit(again)
    assert again.asked == ["pin", "menu"], "nobody is asked about the rest once more"


async def test_half_a_key_pair_makes_room_for_a_whole_one(bank: Bank) -> None:
    """Killed while it makes a pair, a module can leave its public half."""
    old = await bank.credential()
    async with await bank.open_token() as token:
        wanted = successor_key_id(old.certificate)
        await token.make_key_pair(KeyKind.EC_P256, wanted, PENDING_LABEL)
        for each in (await token.inventory()).objects:
            if each.key_id == wanted and each.kind is ObjectKind.PRIVATE_KEY:
                assert await token.remove(each)
    desk = ScriptedDesk(cleans=False)
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked[:3] == ["pin", "cleaning", "notice"]
    await whole(bank)


async def test_another_id_that_is_unfinished_is_told_where_ids_are_chosen(tmp_path: Path) -> None:
    other = Customer(common_name="TKYM1408099 9999")
    async with open_bank(tmp_path / "bank", others=[other]) as bank:
        await cut(bank, SavingStep.WRITE, ScriptedDesk(holder=other.holder_id))
        desk = ScriptedDesk(holder=Customer().holder_id)
        outcome = await bank.visit(desk)
        assert "resumption" not in desk.asked, "that is the other one's"
        (question,) = (each for each in desk.seen if isinstance(each, IdQuestion))
        assert unfinished(question.ids) == {other.holder_id}
        assert outcome.completion is not None
        assert unfinished(outcome.completion.others) == {other.holder_id}

        desk = ScriptedDesk(holder=other.holder_id)
        assert (await bank.visit(desk)).completion is not None
        assert desk.asked == ["pin", "id", "resumption", *SAVE]
        assert len((await bank.inventory()).objects) == 6


def unfinished(ids: tuple[HeldId, ...]) -> set[str]:
    return {each.credential.holder.id for each in ids if each.unfinished}


ENDED = ["pin", "resumption", "preprocessing"]


@pytest.fixture
async def ended(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer's certificate ended yesterday, in the middle of a renewal: its key is on the token."""
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        old = await bank.credential()
        async with await bank.open_token() as token:
            await token.make_key_pair(KeyKind.EC_P256, successor_key_id(old.certificate), PENDING_LABEL)
        yield bank


async def asked_in_time(bank: Bank, *, written: bool) -> None:
    """The CA has had the request before the old one's end; its certificate, `written` or not, nobody confirmed."""
    old = await bank.credential()
    async with await bank.open_token() as token:
        key = (await token.inventory()).successor_key(old)
        assert key is not None
        with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
            then = old.certificate.not_after - timedelta(hours=1)
            entry = find_serial(connection, issuer_hash(old.certificate.issuer_der), old.certificate.serial)
            assert entry is not None
            subject = old.certificate.x509.subject
            new = counter.authority.issue(subject, key, then, then + timedelta(days=365))
            number = record(connection, new, holder=old.holder.id, state=CertificateState.UNCONFIRMED, now=then)
            asker = Asker(PromiseKind.UPDATE, entry.id, old.holder.id, subject)
            state, end = PromiseState.ISSUED, old.certificate.not_after
            promises.enter(connection, asker, key, state=state, deadline=end, now=then, new=number)
        if written:
            await token.write_certificate(new, successor_key_id(old.certificate), PENDING_LABEL)


@pytest.mark.parametrize("written", [False, True])
async def test_one_that_has_ended_meanwhile_finishes_what_it_began_in_time(ended: Bank, written: bool) -> None:
    await asked_in_time(ended, written=written)
    desk = ScriptedDesk()
    assert (await ended.visit(desk)).completion is not None
    assert desk.asked == ["pin", "resumption", *SAVE]
    new = await whole(ended)
    assert ended.states()[new.serial] == "valid"


async def test_one_that_has_ended_and_of_which_the_ca_knows_nothing_leads_to_a_code(ended: Bank) -> None:
    desk = ScriptedDesk(enrols=True, codes=[ended.code()])
    outcome = await ended.visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:6] == [*ENDED, "cleaning", "problem", "code"]
    await whole(ended)


async def test_what_has_come_by_its_certificate_meanwhile_is_not_given_up(ended: Bank) -> None:
    class Slow(ScriptedDesk):
        async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
            await asked_in_time(ended, written=True)
            return await super().confirm_cleaning(question)

    await ended.visit(Slow())
    assert len((await ended.inventory()).credentials) == 2


async def test_who_goes_on_with_nothing_that_has_ended_is_told_of_the_code(ended: Bank) -> None:
    desk = ScriptedDesk(resumes=False)
    outcome = await ended.visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.EXPIRED
    assert desk.asked == ["pin", "resumption", "problem"]


async def out_of_a_pc(bank: Bank, step: SavingStep) -> None:
    """A renewal whose old credential is in a PC, cut before this step: on the token there is only the new one."""
    old = await bank.credential()
    await cut(bank, step)
    async with await bank.open_token() as token:
        for each in (await token.inventory()).parts_of(old):
            assert await token.remove(each)


async def test_one_that_was_begun_at_a_pc_is_told_for_unfinished_at_every_kiosk(bank: Bank) -> None:
    await out_of_a_pc(bank, SavingStep.CONFIRM)
    token, ledger = await bank.inventory(), bank.ledger()
    desk = ScriptedDesk()
    outcome = await elsewhere(bank).visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.UNFINISHED_ELSEWHERE, Changed.NOTHING)
    assert desk.asked == ["pin", "preprocessing", "problem"]
    assert (await bank.inventory(), bank.ledger()) == (token, ledger)


async def test_one_that_was_begun_at_a_pc_and_is_confirmed_is_the_customers(bank: Bank) -> None:
    await out_of_a_pc(bank, SavingStep.RETIRE)
    desk = ScriptedDesk()
    assert (await elsewhere(bank).visit(desk)).problem is None
    assert desk.asked == ["pin", "preprocessing", "menu"]
    again = ScriptedDesk()
    await bank.visit(again)
    assert again.asked == ["pin", "menu"], "the token says so now"


async def test_nothing_is_said_that_nobody_knows(bank: Bank) -> None:
    """The CA cannot be asked; what is on the token can be looked at all the same."""
    await out_of_a_pc(bank, SavingStep.CONFIRM)
    desk = ScriptedDesk()
    outcome = await cut_off(bank).visit(desk)
    assert outcome.problem is None
    assert desk.asked == ["pin", "preprocessing", "menu"]


BY_CODE = {
    # cut before : what comes before the save; where a certificate is written the CA is asked first
    SavingStep.WRITE: ["pin", "problem", "code"],
    SavingStep.CONFIRM: ["pin", "preprocessing", "code"],
}


@pytest.mark.parametrize("step", BY_CODE)
async def test_an_enrolment_that_was_cut_asks_for_the_code_and_nothing_else(tmp_path: Path, step: SavingStep) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        code = bank.code()
        await cut(bank, step, ScriptedDesk(enrols=True, codes=[code]))
        (begun,) = (serial for serial, state in bank.states().items() if state == "unconfirmed")
        desk = ScriptedDesk(enrols=True, codes=[code])
        assert (await elsewhere(bank).visit(desk)).completion is not None
        assert desk.asked == [*BY_CODE[step], *SAVE]
        assert (await whole(bank)).serial == begun, "the same certificate, of which no other kiosk's journal tells"


async def test_an_enrolment_whose_confirmation_ran_out_gets_a_fresh_certificate_in_its_place(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        code = bank.code()
        await cut(bank, SavingStep.CONFIRM, ScriptedDesk(enrols=True, codes=[code]))
        (begun,) = (serial for serial, state in bank.states().items() if state == "unconfirmed")
        before = {each.certificate.serial: each.certificate for each in (await bank.inventory()).credentials}
        run_out(bank)
        desk = ScriptedDesk(codes=[code])
        outcome = await elsewhere(bank).visit(desk)
        assert outcome.problem is None
        assert desk.asked == [*BY_CODE[SavingStep.CONFIRM], *SAVE]
        new = await whole(bank)
        assert new.serial != begun
        assert new.public_key_der == before[begun].public_key_der, "the same key"
        assert sorted(bank.states().values()) == ["revoked", "valid", "valid"]


async def test_an_enrolment_whose_certificate_a_teller_has_revoked_is_not_taken_for_done(tmp_path: Path) -> None:
    """Confirmed, cut before the expired one went, and revoked since."""
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        await cut(bank, SavingStep.RETIRE, ScriptedDesk(enrols=True, codes=[bank.code()]))
        newest = max(
            (each.certificate for each in (await bank.inventory()).credentials), key=lambda each: each.not_after
        )
        revoke(bank, newest, "keyCompromise")
        before, desk = await bank.inventory(), ScriptedDesk(codes=[None])
        assert (await bank.visit(desk)).completion is None
        assert desk.asked[:3] == BY_CODE[SavingStep.CONFIRM]
        assert await bank.inventory() == before


@pytest.mark.parametrize("step", BY_CODE)
async def test_what_is_unfinished_of_another_id_stays_as_it_is(bank: Bank, step: SavingStep) -> None:
    """On a token that takes any key ID; for cards with places see tests/tokens/test_other_ids.py."""
    other = "TKYM1408099"
    add_holder(bank, other)
    first, code = await bank.credential(), bank.code(other)
    begins = ScriptedDesk(enrolment_ids=[other], codes=[code], at_step=cut_at(step))
    with pytest.raises(ExceptionGroup):
        await bank.visit(begins, errand=Errand.ENROLMENT)
    begun = [each for each in (await bank.inventory()).objects if each.key_id == enrolment_key_id(other, None)]
    unconfirmed = [serial for serial, state in bank.states().items() if state == "unconfirmed"]
    assert (len(begun), len(unconfirmed)) == (2 if step is SavingStep.WRITE else 3, 1)

    desk = ScriptedDesk(holder=first.holder.id)
    completion = (await elsewhere(bank).visit(desk)).completion
    assert completion is not None
    assert "cleaning" not in desk.asked, "it is no debris"
    left = (await bank.inventory()).objects
    assert [each for each in left if each.key_id == enrolment_key_id(other, None)] == begun
    assert len(left) == len(begun) + len(ObjectKind), "and of the first ID there is one whole credential"
    assert [bank.states()[each] for each in unconfirmed] == ["unconfirmed"]

    desk = ScriptedDesk(enrolment_ids=[other], codes=[code])
    assert (await bank.visit(desk, errand=Errand.ENROLMENT)).completion is not None
    held = {each.holder.id: each.certificate.serial for each in (await bank.inventory()).credentials}
    assert held == {first.holder.id: completion.certificate.serial, other: unconfirmed[0]}


async def test_expired_ones_that_a_cut_enrolment_has_left_go_with_a_yes(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        keeps = bank.with_policy(expired_credential="keep")
        assert (await keeps.visit(ScriptedDesk(enrols=True, codes=[bank.code()]))).completion is not None
        desk = ScriptedDesk()
        await keeps.visit(desk)
        assert desk.asked == ["pin", "menu"], "where policy keeps them they stay"
        desk = ScriptedDesk()
        await bank.visit(desk)
        assert desk.asked == ["pin", "cleaning", "menu"]
        await whole(bank)


def run_out(bank: Bank) -> None:
    """What the ledger looks like when the time for the confirmation is over."""
    with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
        connection.exec_driver_sql("UPDATE promises SET deadline = '2020-01-01 00:00:00.000000' WHERE state = 'issued'")


def revoke(bank: Bank, certificate: Certificate, reason: str) -> None:
    """What a teller does while the CA runs."""
    with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
        entry = find_serial(connection, issuer_hash(certificate.issuer_der), certificate.serial)
        assert entry is not None
        assert put_on_crl(connection, entry, reason, counter.now)


async def test_one_that_ran_out_while_it_was_confirmed_is_not_confirmed_for_another(bank: Bank) -> None:
    """The CA has another certificate for the key by then, which lies on no token."""

    class TooLate(Through):
        is_lost = False

        async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
            return await self._real.update(signer, new_key)

        async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
            if self.is_lost:
                await self._real.confirm(issued, sending)
                return
            self.is_lost = True
            run_out(bank)
            raise TransferError(TransferFailure.TIME_OUT)

    outcome = await bank.visit(ScriptedDesk(), through=TooLate, retry=Retry(first=0.01, longest=0.01))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_UNDECIDED, Changed.STORED)
    assert sorted(bank.states().values()) == ["revoked", "unconfirmed", "valid"]
    assert (await bank.visit(ScriptedDesk())).completion is not None
    assert bank.states()[(await whole(bank)).serial] == "valid"
