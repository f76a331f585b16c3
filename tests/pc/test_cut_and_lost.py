"""A renewal into this PC that is cut, refused, or whose answers are lost; and where it goes on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.cmp.peer import Resume
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.demo_bank import DemoBank
from kiosk.desk import (
    Destination,
    DestinationQuestion,
    ResumptionQuestion,
    SavingStep,
)
from kiosk.errors import Changed, Code
from kiosk.tokens.wire import KeyKind, ObjectKind
from tests.bank import Bank
from tests.flows.test_conversation import Counterfeit, Cut, Unacknowledged, cut_at
from tests.pc.customer import pc_desk
from tests.scripted_desk import ScriptedDesk


@pytest.mark.parametrize("step", [step for step in SavingStep if step is not SavingStep.RETIRE])
async def test_a_renewal_cut_before_any_step_is_finished_by_the_next_visit(bank: Bank, step: SavingStep) -> None:
    token = await bank.inventory()
    with pytest.raises(ExceptionGroup) as raised:
        await bank.visit(pc_desk(at_step=cut_at(step)))
    assert raised.group_contains(Cut)

    desk = pc_desk()
    outcome = await bank.visit(desk)
    assert outcome.problem is None
    assert outcome.completion is not None
    asked = [each for each in desk.seen if isinstance(each, DestinationQuestion | ResumptionQuestion)]
    if step is SavingStep.KEY:
        assert asked == [DestinationQuestion({})]
    else:
        (question,) = asked
        assert isinstance(question, ResumptionQuestion)
        assert question.into is Destination.PC, "what has begun on this PC is finished on this PC"
        assert question.written == (step in (SavingStep.PROVE, SavingStep.CONFIRM))
        assert not {"web-access 1/2", "web-access 2/2"} & set(desk.asked), "that was answered then"
    assert sorted(bank.states().values()) == ["superseded", "valid"]
    assert (await bank.pc_credential()).certificate == outcome.completion.certificate
    assert sorted(each.kind for each in (await bank.pc_inventory()).objects) == sorted(ObjectKind)
    assert await bank.inventory() == token


async def test_what_has_begun_on_the_usb_is_finished_there(bank: Bank) -> None:
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.WRITE)))
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion | ResumptionQuestion))
    assert isinstance(question, ResumptionQuestion)
    assert question.into is Destination.USB
    assert (await bank.pc_inventory()).objects == ()


async def test_elsewhere_the_old_certificate_simply_starts_again(bank: Bank) -> None:
    """The first kiosk's PC has a certificate that was never confirmed; the CA revokes it for the next one."""
    with pytest.raises(ExceptionGroup):
        await bank.visit(pc_desk(at_step=cut_at(SavingStep.CONFIRM)))
    elsewhere = bank.with_pc(database=str(bank.directory / "elsewhere" / "nssdb"))
    outcome = await elsewhere.visit(ScriptedDesk())
    assert outcome.completion is not None
    assert sorted(bank.states().values()) == ["revoked", "superseded", "valid"]
    assert (await bank.credential()).certificate == outcome.completion.certificate


async def test_who_kept_the_old_one_and_renews_again_gets_the_same_certificate(bank: Bank) -> None:
    first = (await bank.visit(pc_desk())).completion
    desk = pc_desk(retires=True)
    second = (await bank.visit(desk)).completion
    assert "resumption" not in desk.asked, "nothing is unfinished"
    assert first is not None
    assert second is not None
    assert first.certificate == second.certificate
    assert (await bank.inventory()).objects == ()
    assert sorted(bank.states().values()) == ["superseded", "valid"]


class Unreachable(Counterfeit):
    """The request never leaves."""

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:  # noqa: ARG002
        raise TransferError(TransferFailure.UNREACHABLE, may_have_arrived=False)


@pytest.mark.parametrize(
    ("through", "code"), [(Unreachable, Code.CA_NOT_REACHED), (Counterfeit, Code.NEW_CERTIFICATE_WRONG)]
)
async def test_a_key_of_which_nothing_came_leaves_no_trace(
    bank: Bank, through: Callable[[CmpClient], CmpClient], code: Code
) -> None:
    token = await bank.inventory()
    outcome = await bank.visit(pc_desk(), through=through)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (code, Changed.NOTHING)
    assert (await bank.pc_inventory()).objects == ()
    assert await bank.inventory() == token


async def test_a_lost_acknowledgement_is_said_of_this_pc(bank: Bank) -> None:
    outcome = await bank.visit(pc_desk(), through=Unacknowledged)
    assert outcome.problem is not None
    assert outcome.problem.changed is Changed.STORED_ON_PC
    assert (await bank.visit(pc_desk())).completion is not None


async def test_a_database_that_fails_on_the_way_is_not_called_a_token(bank: Bank) -> None:
    def lose(step: SavingStep) -> None:
        if step is SavingStep.PROVE:
            for file in bank.database.iterdir():
                file.unlink()

    outcome = await bank.visit(pc_desk(at_step=lose))
    assert outcome.problem is not None
    assert outcome.problem.code in (Code.PC_STORE_FAILED, Code.PC_CREDENTIAL_NOT_PROVEN)
    assert outcome.problem.changed is Changed.UNFINISHED_ON_PC
    await bank.credential()


async def test_a_ca_that_promises_nothing_is_asked_for_another_key_of_another_kind(bank: Bank) -> None:
    """What an earlier visit made goes from the database; the PC has one credential, and no key without certificate."""
    ca = msgspec.structs.replace(bank.settings.ca, resume=Resume.NEW_KEY)
    forgetful = Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=ca)))
    with pytest.raises(ExceptionGroup):
        await forgetful.with_policy(key_kinds=(KeyKind.RSA_2048,)).visit(pc_desk(at_step=cut_at(SavingStep.WRITE)))
    (left,) = (each for each in (await bank.pc_inventory()).objects if each.kind is ObjectKind.PRIVATE_KEY)
    outcome = await forgetful.with_policy(key_kinds=(KeyKind.EC_P256,)).visit(pc_desk())
    assert outcome.completion is not None
    assert isinstance(outcome.completion.certificate.public_key, EllipticCurvePublicKey)
    new = await bank.pc_credential()
    assert new.certificate == outcome.completion.certificate
    assert new.key_id == left.key_id
    assert sorted(each.kind for each in (await bank.pc_inventory()).objects) == sorted(ObjectKind)
    assert sorted(bank.states().values()) == ["revoked", "superseded", "valid"]


async def test_what_has_begun_in_both_stores_is_asked_after_and_ends_in_one(bank: Bank) -> None:
    """It takes a second kiosk, to which the first one's PC is unknown. The CA confirms one; the other's key goes."""
    elsewhere = bank.with_pc(database=str(bank.directory / "elsewhere" / "nssdb"))
    with pytest.raises(ExceptionGroup):
        await bank.visit(pc_desk(at_step=cut_at(SavingStep.WRITE)))
    with pytest.raises(ExceptionGroup):
        await elsewhere.visit(ScriptedDesk(at_step=cut_at(SavingStep.WRITE)))
    (left,) = (each for each in (await bank.pc_inventory()).objects if each.kind is ObjectKind.PRIVATE_KEY)

    desk = pc_desk()
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:4] == ["pin", "resumption", "preprocessing", "destination"], "only where is asked once more"
    new = (await bank.pc_credential()).certificate
    assert new == outcome.completion.certificate
    assert (await bank.pc_credential()).key_id == left.key_id
    states = bank.states()
    assert states[new.serial] == "valid"
    assert sorted(states.values()) == ["revoked", "revoked", "superseded", "valid"], "each has replaced the other one's"
