"""The desk (窓口): whoever the conversation talks to.

Screens, plain lines and a test's script all keep this protocol. A desk shows facts and returns what the customer
chose; it knows no rules and does no I/O of its own. The words are the desk's, the facts are the conversation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from kiosk.certificates import Certificate
from kiosk.credentials import Credential, IdShape
from kiosk.errors import Problem
from kiosk.one_time_code import OneTimeCode
from kiosk.pin import Pin
from kiosk.reminder import Reminder
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts


class Errand(Enum):
    """What a customer has come for."""

    RENEWAL = "renewal"
    """証明書更新, or whatever else the main menu offers."""
    ENROLMENT = "enrolment"
    """電子証明書取得, with the one-time code that the bank handed out."""
    PC_LOGIN = "pc-login"
    """このパソコンの証明書でログイン: the certificate is in this PC, not on a token."""


class Tries(Enum):
    """How many tries a PIN has left, as far as the token tells: a hint, not a count."""

    PLENTY = "plenty"
    FEW = "few"
    MAYBE_LAST = "maybe-last"
    """The customer has agreed to a try that may be the last."""
    LAST = "last"
    """The customer has agreed to the last one."""


class PinPurpose(Enum):
    """What a PIN is asked for."""

    LOG_IN = "log-in"
    PRESENT = "present"
    """To be changed; the first of three questions."""
    NEW = "new"
    NEW_AGAIN = "new-again"


class Unfit(Enum):
    """Why a PIN was not taken, other than that it is not the token's."""

    UNEQUAL = "unequal"
    """It was not typed the same twice."""
    UNCHANGED = "unchanged"
    """It is the present one."""
    NOT_TAKEN = "not-taken"
    """The token does not want it."""
    LENGTH = "length"
    """No PIN of the token has this length."""
    REPEATED = "repeated"
    """The token has refused it before, so it was not sent again; that has cost no try."""


@dataclass(frozen=True, slots=True)
class PinQuestion:
    """Asks for the PIN of the token, or for the password of this PC's certificate database."""

    token_label: str
    refused: bool
    """Whether the token has just refused another PIN."""
    tries: Tries
    shortest: int
    longest: int
    purpose: PinPurpose = PinPurpose.LOG_IN
    unfit: Unfit | None = None
    """Why the PIN that was typed before was not taken."""
    required: bool = False
    """Whether the token wants its PIN changed before anything else."""
    store: StoreKind = StoreKind.USB
    """What is opened by it. A token's PIN is typed with digits, a database's password with any printable ASCII."""


class PadPurpose(Enum):
    """What a PIN is typed for at the reader's own pad."""

    LOG_IN = "log-in"
    CHANGE = "change"
    PROVE = "prove"
    """The fresh process that proves a new credential needs the PIN again, and nobody has kept it."""
    SIGN = "sign"
    """The key wants the PIN for each of its signatures (CKA_ALWAYS_AUTHENTICATE)."""


class PadTrouble(Enum):
    """What came of typing at the pad."""

    WRONG = "wrong"
    LENGTH = "length"
    NOT_TAKEN = "not-taken"
    """The new PIN was not typed the same twice, or the token does not want it."""
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True)
class PadQuestion:
    """The PIN is to be typed at the reader, not here."""

    token_label: str
    purpose: PadPurpose
    trouble: PadTrouble | None = None
    """What came of it the last time."""
    tries: Tries = Tries.PLENTY
    required: bool = False
    """Whether the token wants its PIN changed before anything else."""
    seconds: int | None = None
    """After so long it goes on by itself; None where the customer decides."""
    way_back: bool = True
    """Whether the customer may still do without."""


class LastTryAnswer(Enum):
    """Whether to take what may be the last try."""

    YES = "yes"
    NO = "no"
    CALL = "call"
    """Somebody is to come first."""


@dataclass(frozen=True, slots=True)
class LastTryQuestion:
    """One more wrong PIN locks the token: does the customer want to type it all the same?"""

    token_label: str
    certain: bool
    """Whether the token says so; otherwise it is only that nobody can know better."""
    called: bool = False
    """Whether somebody has been called."""


@dataclass(frozen=True, slots=True)
class HeldId:
    """An ID whose credential lies on the token, and how long that is still valid."""

    credential: Credential
    days_left: int
    unfinished: bool = False
    """Whether an earlier visit has left its renewal, or 電子証明書取得, unfinished."""


@dataclass(frozen=True, slots=True)
class IdQuestion:
    """The token carries credentials of several IDs: which one is this visit about?"""

    ids: tuple[HeldId, ...]


@dataclass(frozen=True, slots=True)
class TokenQuestion:
    """Several tokens are in: which one is it to be? No two of them have the same serial number."""

    tokens: tuple[TokenFacts, ...]


class AnotherId(Enum):
    """None of the IDs on the token is meant; the customer types one."""

    WANTED = "wanted"


@dataclass(frozen=True, slots=True)
class EnrolmentIdQuestion:
    """電子証明書取得: the token carries credentials of these IDs; is it for one of them, or for another?"""

    ids: tuple[HeldId, ...]


@dataclass(frozen=True, slots=True)
class TypedIdQuestion:
    """電子証明書取得: asks for the ID letter by letter."""

    shape: IdShape


@dataclass(frozen=True, slots=True)
class CodeQuestion:
    """電子証明書取得: asks for the one-time code of `holder_id`."""

    holder_id: str
    refused: bool = False
    """Whether the CA has just refused another code for this ID."""
    unfinished: bool = False
    """Whether an earlier 電子証明書取得 of this ID was cut, so that the same code is to be typed again."""


class NoticeAnswer(Enum):
    """「今すぐ更新する」 or 「後で更新する」."""

    NOW = "now"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class RenewalNotice:
    """電子証明書更新通知: the certificate of `credential` ends in `days_left` days."""

    credential: Credential
    days_left: int
    now: datetime


class Destination(Enum):
    """Where the new credential is to live."""

    PC = "pc"
    USB = "usb"


@dataclass(frozen=True, slots=True)
class ResumptionQuestion:
    """An earlier renewal was cut: is it to be gone on with? There is no way back after a yes.

    It is the one question: where to save, and Webアクセスの確認 1/2 and 2/2, were answered then.
    """

    credential: Credential
    """The old one."""
    written: bool
    """Whether the new certificate is stored already."""
    into: Destination
    """Where its key is, which decides where it is stored."""


@dataclass(frozen=True, slots=True)
class CleaningQuestion:
    """Earlier visits have left something in a store that nobody can use any more: may it go?"""

    store: StoreKind = StoreKind.USB


class MenuChoice(Enum):
    """What the main menu offers."""

    RENEW = "renew"
    DETAILS = "details"
    CHANGE_PIN = "change-pin"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class MainMenu:
    """メイン: what can be done with `credential`."""

    credential: Credential
    days_left: int
    renewable_from: datetime | None
    """The first moment of the renewal window, where that is still to come; then 証明書更新 says so and is off."""
    changes_pin: bool = True
    """Whether 暗証番号変更 is offered; a database's password is the business of this PC's user."""
    unfinished: bool = False
    """Whether 証明書更新 goes on with a renewal that was cut, which the customer did not want to a moment ago."""


@dataclass(frozen=True, slots=True)
class CertificateDetails:
    """証明書情報: everything a customer may want to know of a certificate."""

    credential: Credential
    days_left: int
    authority: str
    """Common name of the issuing CA."""


class Help(Enum):
    """The link to the page about tokens and their software was followed."""

    WANTED = "wanted"


@dataclass(frozen=True, slots=True)
class HelpPage:
    """「専用USBのご案内および管理ソフトのダウンロードページはこちら」: where that leads."""

    address: str


class OffReason(Enum):
    """Why a destination cannot be chosen here."""

    NOT_OFFERED = "not-offered"
    """The bank's policy does not offer it at this terminal."""
    ROOT = "root"
    """The kiosk runs as root."""
    SOFTWARE_MISSING = "software-missing"
    NO_DATABASE = "no-database"
    """This PC has no certificate database."""
    LOCKED = "locked"
    """The database has a password."""
    IN_USE = "in-use"
    """Another program is writing to the database."""
    READ_ONLY = "read-only"
    """The database cannot be written to."""
    UNUSABLE = "unusable"
    NO_USB = "no-usb"
    """No token is in."""
    BEGUN_ON_PC = "begun-on-pc"
    """A renewal into this PC has begun, and can be finished there only."""
    BEGUN_ON_USB = "begun-on-usb"
    """A renewal into the USB has begun, and can be finished there only."""


@dataclass(frozen=True, slots=True)
class DestinationQuestion:
    """電子証明書更新開始: where to save. A destination that is in `off` cannot be chosen, and says why."""

    off: dict[Destination, OffReason]


@dataclass(frozen=True, slots=True)
class WebAccessQuestion:
    """Webアクセスの確認: 1 asks leave to make keys and send the request, 2 to receive and store the certificate."""

    number: int
    of: int
    authority: str
    """Common name of the issuing CA."""
    last: bool = False
    """Whether there is no way back after it."""
    errand: Errand = Errand.RENEWAL
    origin: KeyOrigin = KeyOrigin.INSIDE


class SavingStep(Enum):
    """What is being done while the customer waits, in this order."""

    KEY = "key"
    REQUEST = "request"
    WRITE = "write"
    PROVE = "prove"
    CONFIRM = "confirm"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The CA could not be asked, and is asked again by itself."""

    seconds: int
    """Until then."""
    is_busy: bool
    """Whether it says itself that it has too much to do."""


class Wait(Protocol):
    """A screen on which the customer waits for the CA."""

    def pauses(self, waiting: Waiting | None) -> None:
        """From now on there is a pause; None: it is over, or there is none."""


class Preparing(Wait, Protocol):
    """The wait before anything has been asked for: the customer may end it."""

    async def given_up(self) -> None:
        """Wait until the customer presses 中止; who stops waiting may wait again."""


class SavingProgress(Wait, Protocol):
    """Told each step of the save as it begins."""

    def begin(self, step: SavingStep) -> None:
        """The step begins now; those before it are done."""


@dataclass(frozen=True, slots=True)
class ImportAnnouncement:
    """証明書インポート and インポート完了: dialogs with a lone OK that press themselves after `seconds`."""

    certificate: Certificate
    seconds: int


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a renewal into `destination`, with the new certificate's details."""

    destination: Destination
    certificate: Certificate
    replaced: Certificate | None
    """The certificate that it succeeds; None where 電子証明書取得 brought the ID's first one."""
    others: tuple[HeldId, ...] = ()
    """The token's other IDs that still have to be renewed."""
    reminder: Reminder | None = None
    """When the new certificate can be renewed in its turn; None where no reminder is offered."""
    errand: Errand = Errand.RENEWAL


@dataclass(frozen=True, slots=True)
class RetirementQuestion:
    """The renewal went into another store: is the old credential, still in its own, to be removed there?

    It answers itself with no after `seconds`.
    """

    certificate: Certificate
    """The old one."""
    seconds: int
    store: StoreKind = StoreKind.USB
    """Where that is."""


class CompletionAnswer(Enum):
    """「このウィンドウを閉じる」, or スマートフォンに残す."""

    CLOSE = "close"
    KEEP = "keep"


class ProblemAnswer(Enum):
    """The customer has read it, or wants somebody to come."""

    READ = "read"
    CALL = "call"
    ENROL = "enrol"
    """電子証明書取得, where the problem screen offers it."""


class Desk(Protocol):
    """Every question and announcement of a visit.

    Cancelling any of these calls takes the question away. `None` or `False` means that the customer does not want to
    go on; nothing has been changed then.
    """

    @property
    def last_touched(self) -> float:
        """`time.monotonic()` of the customer's last key or touch."""

    async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
        """Ask which of several tokens is meant."""

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        """Ask for the PIN."""

    async def ask_pad(self, question: PadQuestion) -> bool:
        """Say that the PIN is typed at the reader, before the reader begins to wait for it; false gives up."""

    def at_pad(self, question: PadQuestion) -> AbstractAsyncContextManager[None]:
        """Ask to type at the reader now, while the block runs; it is the reader that is answered."""

    async def confirm_last_try(self, question: LastTryQuestion) -> LastTryAnswer:
        """Warn of the last try, and ask for an explicit yes."""

    async def choose_id(self, question: IdQuestion) -> Credential | None:
        """Ask whose credential is meant."""

    async def choose_enrolment_id(self, question: EnrolmentIdQuestion) -> HeldId | AnotherId | None:
        """Ask which ID 電子証明書取得 is for."""

    async def ask_enrolment_id(self, question: TypedIdQuestion) -> str | None:
        """Ask for the ID; what comes has the shape that was asked for."""

    async def ask_code(self, question: CodeQuestion) -> OneTimeCode | None:
        """Ask for the one-time code; a slip of the finger is told at once and never comes back from here."""

    async def show_notice(self, notice: RenewalNotice) -> NoticeAnswer:
        """Show 電子証明書更新通知."""

    async def confirm_resumption(self, question: ResumptionQuestion) -> bool:
        """Ask whether to go on with a renewal that was cut (前回の更新が途中です。続けますか。)."""

    async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
        """Ask whether what nobody can use any more may go."""

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        """Show the main menu."""

    async def show_details(self, details: CertificateDetails) -> None:
        """Show 証明書情報."""

    async def announce_pin_changed(self, seconds: int) -> None:
        """Say that the new PIN holds; a dialog with a lone OK that presses itself after `seconds`."""

    def preprocessing(self, *, usb: bool = True) -> AbstractAsyncContextManager[Preparing]:
        """Show 電子証明書更新前処理中 while the block runs; `usb` says whether a token has to stay in."""

    async def choose_destination(self, question: DestinationQuestion) -> Destination | Help | None:
        """Show 電子証明書更新開始."""

    async def show_help(self, page: HelpPage) -> None:
        """Show where the bank tells about tokens and their software."""

    async def confirm_web_access(self, question: WebAccessQuestion) -> bool:
        """Ask Webアクセスの確認."""

    async def announce_key_export(self, origin: KeyOrigin = KeyOrigin.INSIDE) -> bool:
        """Show 秘密交換キーをエクスポートします: the last point at which the customer can turn back."""

    def saving(
        self,
        steps: Sequence[SavingStep] = tuple(SavingStep),
        into: Destination = Destination.USB,
        *,
        usb: bool = True,
        origin: KeyOrigin = KeyOrigin.INSIDE,
    ) -> AbstractAsyncContextManager[SavingProgress]:
        """Show the wait while the block runs; `steps` is all there is to do. From here on there is only forward.

        `usb` says whether a token has to stay in.
        """

    async def announce_import(self, announcement: ImportAnnouncement) -> None:
        """Show 証明書インポート: what is about to be written."""

    async def announce_import_complete(self, announcement: ImportAnnouncement) -> None:
        """Show インポート完了."""

    async def confirm_retirement(self, question: RetirementQuestion) -> bool:
        """Ask whether the old credential is to be removed from its store; whoever does not answer keeps it."""

    async def show_completion(self, completion: Completion) -> CompletionAnswer:
        """Show the completion screen until 「このウィンドウを閉じる」 or スマートフォンに残す."""

    async def show_reminder(self, reminder: Reminder) -> None:
        """Show the day of the next renewal so that a phone can take it."""

    async def show_problem(self, problem: Problem, *, called: bool = False, may_enrol: bool = False) -> ProblemAnswer:
        """Show what went wrong, until the customer has read it or calls for staff.

        Args:
            problem: What went wrong.
            called: Says that the staff comes.
            may_enrol: Offers 電子証明書取得 as the way on.
        """

    async def ask_still_there(self, seconds: int) -> bool:
        """Warn that the visit ends in `seconds` for want of a touch; true as soon as the customer touches anything."""

    async def ask_take_out(self, *, removable: bool) -> None:
        """Ask to take the token out.

        Ends by itself only where the token cannot leave its slot (`removable` is false); otherwise it stays until it
        is cancelled, because the token is out.
        """

    async def show_forgotten(self) -> None:
        """Say that the token has been forgotten, until this is cancelled because the token is out."""

    def ring(self) -> None:
        """Ring once."""


class Standby(Enum):
    """What the standby screen can show."""

    INSERT = "insert"
    """No token is in; one that comes begins a visit."""
    READY = "ready"
    """A token is in that cannot leave its slot; a touch begins the visit."""
    BLANK = "blank"
    """A token is in that nobody has initialised; the problem goes with it, and one that can be used begins a visit."""
    OUT_OF_ORDER = "out-of-order"
    """調整中: nobody can be served; the problem goes with it."""


class StandbyBoard(Protocol):
    """The standby screen as the reception sees it."""

    def show(self, standby: Standby, problem: Problem | None = None, pc_login: bool = False) -> None:
        """Show this from now on; `pc_login` offers このパソコンの証明書でログイン as well."""

    @property
    def errand(self) -> Errand:
        """What the customer who comes next has pressed a button for."""

    async def touched(self) -> None:
        """Wait until the customer presses はじめる, 電子証明書取得, or このパソコンの証明書でログイン."""

    async def called(self) -> None:
        """Wait until the customer presses 係員を呼ぶ; the board has answered that already."""


class Reception(Protocol):
    """What the kiosk does with its customers, one after another."""

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        """Keep the board true; end when a visit is to begin."""

    async def serve(self, desk: Desk) -> None:
        """One visit, from PIN to the token taken out. Problems are shown at the desk, never raised."""
