"""Whole conversations against a real CA process and a real SoftHSM token."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.ca import office, promises, succession
from kiosk.ca.authority import load_authority
from kiosk.ca.key_files import encrypted
from kiosk.certificates import read_certificate
from kiosk.clock import JAPAN, one_year_after, one_year_before, system_clock
from kiosk.cmp.client import CmpClient, GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import Distrust, Refused, TransferError, TransferFailure, UntrustedAnswer
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.peer import Peer
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.credentials import successor_key_id
from kiosk.demo_bank import TOKEN_LABEL, Customer, DemoBank, make_software_token, opened, prepare
from kiosk.desk import (
    Completion,
    CompletionAnswer,
    Destination,
    DestinationQuestion,
    Help,
    HelpPage,
    LastTryAnswer,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    PinQuestion,
    RenewalNotice,
    SavingStep,
)
from kiosk.errors import Changed, Code, Problem
from kiosk.journal import Event
from kiosk.moments import left_of
from kiosk.texts import Texts
from kiosk.tokens.pc import PcFault, PcSettings
from kiosk.tokens.presence import LOOK_EVERY
from kiosk.tokens.wire import KeyKind, ObjectKind
from kiosk.words import WHY_OFF
from tests.bank import Bank, child_processes, open_bank
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk
from tests.tokens.mute_key import leave_mute_key
from tests.tokens.pulled_token import PulledToken

SAVE = [
    "preprocessing",
    "destination",
    "web-access 1/2",
    "web-access 2/2",
    "key-export",
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


async def test_usb_now(bank: Bank) -> None:
    old = await bank.credential()
    desk = ScriptedDesk()
    outcome = await bank.visit(desk)

    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked == ["pin", "notice", *SAVE]
    new = await bank.credential()
    assert new.certificate == outcome.completion.certificate
    assert outcome.completion.replaced == old.certificate
    assert outcome.completion.destination is Destination.USB
    assert new.certificate.subject == old.certificate.subject
    assert new.certificate.subject_der == old.certificate.subject_der
    assert new.certificate.public_key_der != old.certificate.public_key_der
    assert new.key_id == successor_key_id(old.certificate)
    assert bank.states() == {old.certificate.serial: "superseded", new.certificate.serial: "valid"}


async def test_the_new_certificate_lasts_one_year(bank: Bank) -> None:
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.completion is not None
    new = outcome.completion.certificate
    issued_within = (one_year_after(new.not_before), new.not_after)
    assert 0 <= (issued_within[1] - issued_within[0]).total_seconds() <= 10 * 60


async def test_usb_later(bank: Bank) -> None:
    desk = ScriptedDesk(notice=NoticeAnswer.LATER, menu=[MenuChoice.RENEW])
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    assert desk.asked == ["pin", "notice", "menu", *SAVE]


async def test_the_journal_tells_the_steps_in_order_and_no_names(bank: Bank) -> None:
    await bank.visit(ScriptedDesk())
    assert bank.events() == [
        Event.VISIT_BEGUN,
        Event.LOGGED_IN,
        Event.NOTICE_SHOWN,
        Event.STATUS_TOLD,
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
    written = bank.journal_bytes()
    for forbidden in (b"123456", b"Shinkin Banks", b"TKYM1408054 1403"):
        assert forbidden not in written


TURNING_BACK: dict[str, Callable[[], ScriptedDesk]] = {
    "pin": lambda: ScriptedDesk(pins=[None]),
    "notice, then leave": lambda: ScriptedDesk(notice=NoticeAnswer.LATER),
    "destination": lambda: ScriptedDesk(destination=None),
    "web access 1": lambda: ScriptedDesk(web_access=[False, True]),
    "web access 2": lambda: ScriptedDesk(web_access=[True, False]),
    "key export": lambda: ScriptedDesk(key_export=False),
}


@pytest.mark.parametrize("question", TURNING_BACK)
async def test_turning_back_leaves_token_and_ca_untouched(bank: Bank, question: str) -> None:
    token, ledger = await bank.inventory(), bank.ledger()
    desk = TURNING_BACK[question]()
    outcome = await bank.visit(desk)

    assert outcome.completion is None
    assert outcome.problem is None
    assert await bank.inventory() == token
    assert bank.ledger() == ledger
    if question not in ("pin", "notice, then leave"):
        assert desk.asked[-1] == "menu", "turning back leads to the main menu"
        assert Event.TURNED_BACK in bank.events()


async def test_wrong_pin_then_right(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["999999", "123456"])
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    first, second = (question for question in desk.seen if isinstance(question, PinQuestion))
    assert (first.refused, second.refused) == (False, True)
    assert bank.events().count(Event.PIN_REFUSED) == 1


async def test_a_third_wrong_pin_ends_the_visit(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["1111", "2222", "3333", "123456"], last_tries=[LastTryAnswer.YES])
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PIN_REFUSED_TOO_OFTEN
    assert desk.asked[:4] == ["pin", "pin", "last-try", "pin"]
    assert desk.pins == ["123456"], "the fourth PIN is not asked for"


async def test_more_than_thirty_days(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=31) as bank:
        desk = ScriptedDesk()
        outcome = await bank.visit(desk)
        assert outcome.completion is None
        assert desk.asked == ["pin", "menu"], "no notice"
        menu = desk.seen[-1]
        assert isinstance(menu, MainMenu)
        assert menu.days_left == 31
        assert menu.renewable_from is not None


async def test_more_than_thirty_days_is_refused_even_if_the_desk_asks_for_it(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=31) as bank:
        token, ledger = await bank.inventory(), bank.ledger()
        outcome = await bank.visit(ScriptedDesk(menu=[MenuChoice.RENEW]))
        assert outcome.problem is not None
        assert outcome.problem.code is Code.NOT_RENEWABLE_YET
        assert outcome.problem.changed is Changed.NOTHING
        assert (await bank.inventory(), bank.ledger()) == (token, ledger)


@pytest.mark.parametrize("days_left", [0, 30])
async def test_first_and_last_day_of_the_window(tmp_path: Path, days_left: int) -> None:
    async with open_bank(tmp_path / "bank", days_left=days_left) as bank:
        desk = ScriptedDesk()
        outcome = await bank.visit(desk)
        assert outcome.completion is not None
        notice = desk.seen[1]
        assert isinstance(notice, RenewalNotice)
        assert notice.days_left == days_left


@dataclass(frozen=True, slots=True)
class LastMoments(Customer):
    """Comes so many seconds before the end."""

    seconds_left: int = 0

    def validity(self, now: datetime) -> tuple[datetime, datetime]:
        end = (now + timedelta(seconds=self.seconds_left)).replace(microsecond=0)
        return one_year_before(end), end


@pytest.mark.parametrize(("seconds_left", "says"), [(40 * 60, "分"), (58, "あと1分未満")])
async def test_a_certificate_in_its_last_hour_and_minute_is_still_offered(
    tmp_path: Path, seconds_left: int, says: str
) -> None:
    await prepare(tmp_path, [LastMoments(0, KeyKind.EC_P256, seconds_left=seconds_left)], keep=False)
    with opened(tmp_path, "ja", running_ready_ca) as demo:
        bank = Bank(demo)
        old = await bank.credential()
        desk = ScriptedDesk()
        outcome = await bank.visit(desk)
        assert desk.asked == ["pin", "notice", *SAVE]
        notice = desk.seen[1]
        assert isinstance(notice, RenewalNotice)
        left = left_of(old.certificate.not_after, notice.now, notice.days_left)
        assert left is not None
        assert says in left.words(Texts("ja"))
        assert outcome.completion is not None
        assert bank.states()[old.certificate.serial] == "superseded"


async def test_expired(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        outcome = await bank.visit(ScriptedDesk())
        assert outcome.problem is not None
        assert outcome.problem.code is Code.EXPIRED


async def test_an_empty_token(bank: Bank) -> None:
    """Prepared and with a PIN, but nothing on it."""
    await make_software_token(bank.directory, bank.settings.token)
    desk = ScriptedDesk()
    outcome = await bank.visit(desk)
    assert outcome.problem == Problem(Code.NO_CERTIFICATE)
    assert desk.asked == ["pin", "problem"]


@pytest.mark.parametrize("code", [Code.NO_CERTIFICATE, Code.EXPIRED])
@pytest.mark.parametrize(
    ("language", "says"), [("ja", "「電子証明書取得」を押してください"), ("en", "“Obtain a certificate”")]
)
def test_who_has_nothing_to_renew_is_told_the_way_on(code: Code, language: str, says: str) -> None:
    assert says in Texts(language).of_problem(Problem(code), "customer")


async def test_the_help_page_leads_back_to_the_start_of_the_renewal(bank: Bank) -> None:
    desk = ScriptedDesk(help=[Help.WANTED, Help.WANTED])
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked[3:8] == ["destination", "help", "destination", "help", "destination"]
    page = next(each for each in desk.seen if isinstance(each, HelpPage))
    assert page.address == bank.settings.branch.help_page


async def test_the_completion_offers_the_day_of_the_next_renewal(bank: Bank) -> None:
    desk = ScriptedDesk(keep=[CompletionAnswer.KEEP])
    outcome = await bank.visit(desk)
    assert desk.asked[-3:] == ["completion", "reminder", "completion"]
    assert outcome.completion is not None
    new, reminder = outcome.completion.certificate, outcome.completion.reminder
    assert reminder is not None
    assert reminder.day == new.not_after.astimezone(JAPAN).date() - timedelta(days=30)
    assert reminder.holder_id == "TKYM1408054"
    assert reminder.certificate == new.fingerprint


async def test_rsa_token(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", kind=KeyKind.RSA_2048) as bank:
        assert (await bank.visit(ScriptedDesk())).completion is not None
        await bank.credential()


async def test_the_pc_is_off_where_policy_does_not_offer_it(bank: Bank) -> None:
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    question = next(each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.NOT_OFFERED}
    assert Event.PC_UNUSABLE not in bank.events()


def test_policy_does_not_offer_the_pc_by_itself() -> None:
    assert not PcSettings().offered
    assert not PcSettings().create


async def test_the_pc_is_never_offered_to_root(bank: Bank) -> None:
    desk = ScriptedDesk(destination=Destination.USB)
    outcome = await bank.visit(desk, pc=bank.pc_store(user=0))
    question = next(each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.ROOT}
    assert outcome.completion is not None
    assert Event.PC_UNUSABLE in bank.events()
    assert not bank.database.exists(), "it is not made for root either"


async def test_the_pc_is_off_where_its_software_is_missing(bank: Bank) -> None:
    desk = ScriptedDesk()
    await bank.visit(desk, pc=bank.pc_store(user=1000, libraries=[str(bank.directory)]))
    question = next(each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.SOFTWARE_MISSING}


@pytest.mark.parametrize("fault", PcFault)
def test_every_fault_of_the_pc_is_a_reason_on_its_button(fault: PcFault) -> None:
    assert OffReason(fault.value) in WHY_OFF


async def test_an_answer_signed_by_another_customers_key_is_refused(tmp_path: Path) -> None:
    """The other customer's certificate chains to the same CA, but its key may not speak for the CA."""
    async with open_bank(tmp_path / "bank") as bank:
        token = await bank.inventory()
    sign_as_another_customer(bank.directory / "ca")
    async with open_bank(tmp_path / "bank", keep=True) as bank:
        outcome = await bank.visit(ScriptedDesk())
        assert outcome.problem is not None
        assert outcome.problem.code is Code.ANSWER_NOT_TRUSTED
        assert outcome.problem.detail == "signer-purpose"
        assert outcome.problem.changed is Changed.NOTHING
        assert await bank.inventory() == token


def sign_as_another_customer(ca_directory: Path) -> None:
    """Have the CA process sign its answers with a key that it certified for a customer."""
    key = ec.generate_private_key(ec.SECP256R1())
    customer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TKYM9999999 9999")])
    begin, end = Customer().validity(system_clock())
    authority = load_authority(ca_directory)
    certificate = authority.issue(customer, key.public_key(), begin, end)
    (ca_directory / "signer.pem").write_bytes(certificate.x509.public_bytes(Encoding.PEM))
    (ca_directory / "signer.key").write_bytes(encrypted(key, authority.passphrase))


class Counterfeit(CmpClient):
    """Has the CA issue, and then finds the certificate to be another one than was asked for."""

    def __init__(self, real: CmpClient) -> None:
        self._real = real

    @property
    def peer(self) -> Peer:
        return self._real.peer

    async def general(self, protector: Protector, *, about: Collection[str] = ()) -> GeneralAnswer:
        return await (self._real.general(protector, about=about) if about else self._real.general(protector))

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        raise WrongCertificate(Distrust.CERTIFICATE_SUBJECT, await self._real.update(signer, new_key))

    async def reject(self, issued: Issued, reason: str) -> None:
        await self._real.reject(issued, reason)


class Imposter(Counterfeit):
    """Lets the request through to the CA, and answers in its place with a key that may not speak for it."""

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        await self._real.update(signer, new_key)
        raise UntrustedAnswer(Distrust.SIGNER_PURPOSE)


async def test_an_answer_that_does_not_count_leaves_the_request_open(bank: Bank) -> None:
    old = await bank.credential()
    outcome = await bank.visit(ScriptedDesk(), through=Imposter)
    assert outcome.problem == Problem(Code.ANSWER_NOT_TRUSTED, Changed.UNFINISHED, "signer-purpose")
    async with await bank.open_token() as token:
        assert await token.proves(old)
    assert (await bank.visit(ScriptedDesk())).completion is not None
    assert sorted(bank.states().values()) == ["superseded", "valid"], "the same key met the same row"


class Unacknowledged(Counterfeit):
    """The CA hears the confirmation, and its acknowledgement is lost."""

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        return await self._real.update(signer, new_key)

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        await self._real.confirm(issued, sending)
        raise TransferError(TransferFailure.BROKEN_OFF)


async def test_a_lost_acknowledgement_is_not_called_nothing(bank: Bank) -> None:
    outcome = await bank.visit(ScriptedDesk(), through=Unacknowledged)
    assert outcome.problem is not None
    assert outcome.problem.changed is Changed.STORED
    again = await bank.visit(ScriptedDesk())
    assert again.completion is not None
    assert (await bank.credential()).certificate == again.completion.certificate
    assert sorted(bank.states().values()) == ["superseded", "valid"]


async def test_a_wrong_certificate_is_rejected_and_leaves_nothing(bank: Bank) -> None:
    token = await bank.inventory()
    outcome = await bank.visit(ScriptedDesk(), through=Counterfeit)
    assert outcome.problem == Problem(Code.NEW_CERTIFICATE_WRONG, Changed.NOTHING, "certificate-subject")
    assert await bank.inventory() == token
    assert sorted(bank.states().values()) == ["revoked", "valid"]
    assert (await bank.visit(ScriptedDesk())).completion is not None


async def test_the_ca_cannot_be_reached(bank: Bank) -> None:
    token = await bank.inventory()
    nowhere = msgspec.structs.replace(bank.settings.ca, url="https://127.0.0.1:1/.well-known/cmp")
    cut_off = Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=nowhere)))
    outcome = await cut_off.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CA_NOT_REACHED
    assert outcome.problem.changed is Changed.NOTHING
    assert await bank.inventory() == token


async def test_another_tls_root_is_not_trusted(bank: Bank) -> None:
    other = msgspec.structs.replace(bank.settings.ca, tls_roots=bank.settings.ca.roots)
    outcome = await Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=other))).visit(
        ScriptedDesk()
    )
    assert outcome.problem is not None
    assert outcome.problem.code is Code.CONNECTION_NOT_TRUSTED


async def test_nothing_of_the_visit_runs_afterwards(bank: Bank) -> None:
    before = child_processes()
    await bank.visit(ScriptedDesk())
    assert child_processes() == before


async def test_the_module_is_never_loaded_in_the_process_of_the_screens(bank: Bank) -> None:
    await bank.visit(ScriptedDesk())
    assert Path(bank.settings.token.module).name not in Path("/proc/self/maps").read_text()


def test_nor_is_what_loads_modules() -> None:
    """In an interpreter of its own, because tests of the binding's exceptions import it."""
    code = "import sys, kiosk.app, kiosk.reception; sys.exit('pkcs11' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Cut(Exception):
    """The kiosk's process ends here."""


def cut_at(step: SavingStep) -> Callable[[SavingStep], None]:
    def cut(begun: SavingStep) -> None:
        if begun is step:
            raise Cut

    return cut


@pytest.mark.parametrize("step", list(SavingStep))
async def test_a_renewal_cut_before_any_step_is_finished_by_the_next_visit(bank: Bank, step: SavingStep) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await bank.visit(ScriptedDesk(at_step=cut_at(step)))
    assert raised.group_contains(Cut)

    outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is None
    assert sorted(bank.states().values()) == ["superseded", "valid"]
    assert outcome.completion is not None
    assert (await bank.credential()).certificate == outcome.completion.certificate
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)


async def test_an_unfinished_successor_is_told_without_its_label(bank: Bank) -> None:
    old = await bank.credential()
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.CONFIRM)))
    async with await bank.open_token() as token:
        await token.relabel(successor_key_id(old.certificate), "TKYM1408054 1403")
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    assert sorted(bank.states().values()) == ["superseded", "valid"]


async def test_a_confirmed_successor_is_the_customers_once_the_old_one_has_ended(bank: Bank) -> None:
    old = await bank.credential()
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.RETIRE)))
    inventory = await bank.inventory()
    before, after = (old.certificate.not_after + timedelta(seconds=seconds) for seconds in (0, 1))
    assert [each.certificate for each in inventory.current(before)] == [old.certificate]
    (current,) = inventory.current(after)
    assert current.key_id == successor_key_id(old.certificate)


async def test_a_successors_key_is_never_destroyed_because_the_token_says_little(bank: Bank) -> None:
    """An EC private key does not tell its public half; its certificate does."""
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.RETIRE)))
    async with await bank.open_token() as token:
        for stored in (await token.inventory()).objects:
            if stored.kind is ObjectKind.PUBLIC_KEY:
                assert await token.remove(stored)
    assert (await bank.visit(ScriptedDesk())).completion is not None
    await bank.credential()


async def test_a_successors_key_that_nothing_tells_makes_room_while_none_is_confirmed(bank: Bank) -> None:
    """The CA shows it by certifying another: a trial, which is rejected before anything is removed."""
    old = await bank.credential()
    await cut_and_mute(bank, SavingStep.WRITE)
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.completion is not None
    new = await bank.credential()
    assert new.certificate == outcome.completion.certificate
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    states = bank.states()
    assert (states.pop(new.certificate.serial), states.pop(old.certificate.serial)) == ("valid", "superseded")
    assert set(states.values()) == {"revoked"}
    events = bank.events()
    assert events.index(Event.REJECTING) < events.index(Event.REMOVING_KEY)


@pytest.mark.parametrize(
    ("says", "code"),
    [(Refused(["systemUnavail"], proven=True), Code.CA_BUSY), (Refused(proven=False), Code.REFUSAL_NOT_PROVEN)],
    ids=["not now", "not proven"],
)
async def test_what_a_trial_does_not_show_says_nothing_about_the_key(bank: Bank, says: Refused, code: Code) -> None:
    await cut_and_mute(bank, SavingStep.WRITE)
    before = await bank.inventory()

    class Says(Counterfeit):
        async def update(self, signer: Signer, new_key: SigningKey) -> Issued:  # noqa: ARG002
            raise says

    outcome = await bank.visit(ScriptedDesk(), through=Says)
    assert outcome.problem is not None
    assert outcome.problem.code is code
    assert await bank.inventory() == before


WITH_A_TELLER = 'approval = ["update"]\n'


@pytest.mark.parametrize("cut", [False, True], ids=["", "cut after the trial"])
async def test_a_trial_does_not_stay_in_the_tellers_list(tmp_path: Path, cut: bool) -> None:
    """A teller who has to approve sees one request, that of the key which the customer has; and approves once."""
    async with open_bank(tmp_path / "bank", ca_policy=WITH_A_TELLER) as bank:
        bank = with_little_patience(bank)
        await cut_and_mute(bank, SavingStep.REQUEST)
        if cut:
            with pytest.raises(ExceptionGroup):
                await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.REQUEST)))
        outcome = await bank.visit(ScriptedDesk())
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.changed) == (Code.WAITS_FOR_APPROVAL, Changed.UNFINISHED)
        with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
            (waiting,) = promises.waiting(connection, counter.now)
            assert succession.decide(connection, waiting.id, approve=True, now=counter.now)
        completion = (await bank.visit(ScriptedDesk())).completion
        assert completion is not None
        assert (await bank.credential()).certificate == completion.certificate
        assert sorted(bank.states().values()) == ["superseded", "valid"], "nothing was issued for the trial"


def with_little_patience(bank: Bank) -> Bank:
    """At a kiosk that does not wait for the teller."""
    ca = msgspec.structs.replace(bank.settings.ca, poll_seconds=0.1)
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=ca)))


async def cut_and_mute(bank: Bank, step: SavingStep) -> None:
    """A visit is cut before `step`, and of the successor only a private key stays, whose public half nothing tells."""
    old = await bank.credential()
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(step)))
    leave_mute_key(bank.settings.token, TOKEN_LABEL, successor_key_id(old.certificate))


async def test_a_successors_key_that_nothing_tells_is_left_alone_where_one_is_confirmed(bank: Bank) -> None:
    await cut_and_mute(bank, SavingStep.RETIRE)
    token_before = await bank.inventory()
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_NOT_READABLE, Changed.UNFINISHED)
    assert await bank.inventory() == token_before


async def test_a_successor_whose_key_the_token_no_longer_shows_is_left_alone_and_said(bank: Bank) -> None:
    """Seen with OpenSC: a card was pulled while the list of its keys was written over, after the CA's confirmation."""
    old = await bank.credential()
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.RETIRE)))
    wanted = successor_key_id(old.certificate)
    async with await bank.open_token() as token:
        for stored in (await token.inventory()).objects:
            if stored.kind is ObjectKind.PRIVATE_KEY and stored.key_id == wanted:
                assert await token.remove(stored)
    token_before = await bank.inventory()
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_NOT_READABLE, Changed.UNFINISHED)
    assert await bank.inventory() == token_before


async def test_other_issuers_certificates_are_none_of_our_business(bank: Bank) -> None:
    """A self-signed certificate with the customer's own common name and a later end, and one of 900 kB."""
    foreign_key, name = b"foreign", x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TKYM1408054 x")])
    async with await bank.open_token() as token:
        key = await token.make_key_pair(KeyKind.RSA_2048, foreign_key, "foreign")
        signer = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
        builder = builder.not_valid_before(system_clock()).not_valid_after(system_clock() + timedelta(days=9000))
        certificate = builder.public_key(key.public_key).sign(signer, SHA256())
        foreign = read_certificate(certificate.public_bytes(Encoding.DER))
        await token.write_certificate(foreign, foreign_key, "foreign")
        await token.write_certificate(replace(foreign, der=bytes(900_000)), b"huge", "huge")
    assert (await bank.visit(ScriptedDesk())).completion is not None
    left = {each.key_id for each in (await bank.inventory()).objects}
    assert {foreign_key, b"huge"} < left


async def test_another_applications_key_with_our_id_does_not_disturb(bank: Bank) -> None:
    credential = await bank.credential()
    async with await bank.open_token() as token:
        await token.make_key_pair(KeyKind.RSA_2048, credential.key_id, "another application")
    async with open_bank(bank.directory.with_name("rsa"), kind=KeyKind.RSA_2048) as rsa:
        async with await rsa.open_token() as token:
            await token.make_key_pair(KeyKind.RSA_2048, b"\x01", "another application")
        assert (await rsa.visit(ScriptedDesk())).completion is not None


async def test_the_token_may_go_while_the_completion_is_read(bank: Bank, tmp_path: Path) -> None:
    token = PulledToken(bank.settings.token, tmp_path)
    token.put_in()

    class Desk(ScriptedDesk):
        async def show_completion(self, completion: Completion) -> CompletionAnswer:
            token.pull()
            await asyncio.sleep(3 * LOOK_EVERY)
            return await super().show_completion(completion)

    settings = msgspec.structs.replace(bank.settings, token=token.settings)
    desk = Desk()
    outcome = await Bank(DemoBank(bank.directory, settings)).visit(desk)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked[-1] == "completion"


async def test_a_customer_who_reads_slowly_is_asked_as_often_as_it_takes(bank: Bank) -> None:
    """One touch extends, ten times at least (EN 301 549); it is never too often."""
    most = 12

    class Desk(ScriptedDesk):
        async def ask_still_there(self, seconds: int) -> bool:
            await super().ask_still_there(seconds)
            return self.asked.count("idle") <= most

    desk = Desk(leaves_at="destination")
    outcome = await bank.with_policy(idle_seconds=0.05).visit(desk)
    assert (outcome.completion, outcome.problem) == (None, None)
    assert desk.asked.count("idle") == most + 1
    assert Event.IDLE in bank.events()


async def test_a_customer_who_walks_away_is_warned_and_logged_out(bank: Bank) -> None:
    token, ledger = await bank.inventory(), bank.ledger()
    desk = ScriptedDesk(leaves_at="destination")
    outcome = await bank.with_policy(idle_seconds=0.2).visit(desk)
    assert outcome.completion is None
    assert outcome.problem is None
    assert desk.asked[-2:] == ["destination", "idle"]
    assert bank.events()[-2:] == [Event.IDLE, Event.VISIT_ENDED]
    assert (await bank.inventory(), bank.ledger()) == (token, ledger)


async def test_objects_on_the_token_after_a_renewal(bank: Bank) -> None:
    await bank.visit(ScriptedDesk())
    inventory = await bank.inventory()
    assert sorted(each.kind for each in inventory.objects) == sorted(ObjectKind)
    assert len({each.key_id for each in inventory.objects}) == 1
    assert {each.label for each in inventory.objects} == {"TKYM1408054 1403"}
