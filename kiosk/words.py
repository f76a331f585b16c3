"""IDs, tokens, destinations and steps in a customer's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kiosk.credentials import Holder, HolderKind
from kiosk.desk import (
    Destination,
    Errand,
    HeldId,
    LastTryQuestion,
    OffReason,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    PinPurpose,
    PinQuestion,
    ResumptionQuestion,
    SavingStep,
    Tries,
    Unfit,
    Waiting,
    WebAccessQuestion,
)
from kiosk.moments import days_words, until_words
from kiosk.text_keys import TextKey
from kiosk.texts import Texts
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts


def holder_words(holder: Holder, texts: Texts) -> str:
    """管理者ID or 利用者ID, and the ID."""
    administrator = holder.kind is HolderKind.ADMINISTRATOR
    return texts("holder.administrator" if administrator else "holder.user", id=holder.id)


def held_words(held: HeldId, texts: Texts) -> str:
    """Which ID, its common name, until when, how many days left, in one line."""
    certificate = held.credential.certificate
    whose = f"{holder_words(held.credential.holder, texts)}　{certificate.common_name}"
    left = texts("held.unfinished") if held.unfinished else days_words(held.days_left, texts)
    return f"{whose}　{until_words(certificate.not_after, texts)}　{left}"


DESTINATION_NAMES: Mapping[Destination, TextKey] = {
    Destination.PC: "renewal-start.pc",
    Destination.USB: "renewal-start.usb",
}

WHY_OFF: Mapping[OffReason, TextKey] = {
    OffReason.NOT_OFFERED: "renewal-start.not-offered",
    OffReason.ROOT: "renewal-start.root",
    OffReason.SOFTWARE_MISSING: "renewal-start.software-missing",
    OffReason.NO_DATABASE: "renewal-start.no-database",
    OffReason.LOCKED: "renewal-start.locked",
    OffReason.IN_USE: "renewal-start.in-use",
    OffReason.READ_ONLY: "renewal-start.read-only",
    OffReason.UNUSABLE: "renewal-start.unusable",
    OffReason.NO_USB: "renewal-start.no-usb",
    OffReason.BEGUN_ON_PC: "renewal-start.begun-on-pc",
    OffReason.BEGUN_ON_USB: "renewal-start.begun-on-usb",
}

_STEPS: Mapping[SavingStep, TextKey] = {
    SavingStep.KEY: "saving.key",
    SavingStep.REQUEST: "saving.request",
    SavingStep.WRITE: "saving.write",
    SavingStep.PROVE: "saving.prove",
    SavingStep.CONFIRM: "saving.confirm",
    SavingStep.RETIRE: "saving.retire",
}


def step_name(step: SavingStep, into: Destination, origin: KeyOrigin = KeyOrigin.INSIDE) -> TextKey:
    """What a step of the save is called."""
    if step is SavingStep.KEY and into is Destination.PC:
        return "saving.key-pc"
    return "saving.key-export" if step is SavingStep.KEY and origin is KeyOrigin.EXPORT else _STEPS[step]


_REQUESTS: Mapping[tuple[Errand, KeyOrigin], TextKey] = {
    (Errand.ENROLMENT, KeyOrigin.INSIDE): "web-access.request-enrolment",
    (Errand.ENROLMENT, KeyOrigin.EXPORT): "web-access.request-enrolment-export",
    (Errand.RENEWAL, KeyOrigin.EXPORT): "web-access.request-export",
}

KEY_EXPORTS: Mapping[KeyOrigin, TextKey] = {
    KeyOrigin.INSIDE: "key-export.body",
    KeyOrigin.EXPORT: "key-export.body-export",
}
"""What is behind the manual's title: where the key is made."""


def leave_asked(question: WebAccessQuestion) -> TextKey:
    """What leave Webアクセスの確認 asks for."""
    if question.number != 1:
        return "web-access.receive"
    return _REQUESTS.get((question.errand, question.origin), "web-access.request")


def waiting_words(waiting: Waiting, seconds: int, texts: Texts) -> tuple[str, str]:
    """Why the CA is asked again, and in how many seconds; with 0 it is being asked."""
    why = texts("waiting.busy" if waiting.is_busy else "waiting.not-reached")
    if seconds <= 0:
        return why, texts("waiting.now")
    return why, texts("waiting.again-one" if seconds == 1 else "waiting.again", seconds=seconds)


_PIN_HEADINGS: Mapping[PinPurpose, TextKey] = {
    PinPurpose.LOG_IN: "pin.heading",
    PinPurpose.PRESENT: "pin.heading-present",
    PinPurpose.NEW: "pin.heading-new",
    PinPurpose.NEW_AGAIN: "pin.heading-again",
}


def pin_heading(question: PinQuestion) -> TextKey:
    """What is asked for."""
    return "password.heading" if question.store is StoreKind.PC else _PIN_HEADINGS[question.purpose]


_UNFIT: Mapping[Unfit, TextKey] = {
    Unfit.UNEQUAL: "pin.unequal",
    Unfit.UNCHANGED: "pin.unchanged",
    Unfit.NOT_TAKEN: "pin.not-taken",
    Unfit.LENGTH: "pin.length",
    Unfit.REPEATED: "pin.repeated",
}

PIN_WARNINGS: Mapping[Tries, TextKey] = {
    Tries.FEW: "pin.few",
    Tries.MAYBE_LAST: "pin.maybe-last",
    Tries.LAST: "pin.last",
}
"""What is said of the tries that are left; nothing where there are plenty."""


def pin_troubles(question: PinQuestion) -> list[TextKey]:
    """What went wrong before this question, the worst first."""
    troubles: list[TextKey] = []
    if question.refused and question.store is StoreKind.PC:
        troubles.append("password.refused")
    elif question.refused:
        troubles.append("pin.refused" if question.purpose is PinPurpose.LOG_IN else "pin.present-refused")
    if question.unfit:
        password = question.store is StoreKind.PC and question.unfit is Unfit.REPEATED
        troubles.append("password.repeated" if password else _UNFIT[question.unfit])
    if question.tries in PIN_WARNINGS:
        troubles.append(PIN_WARNINGS[question.tries])
    return troubles


BEFORE_PAD: Mapping[PadPurpose, tuple[TextKey, TextKey]] = {
    PadPurpose.LOG_IN: ("pad.heading", "pad.body"),
    PadPurpose.CHANGE: ("pad.heading-change", "pad.body-change"),
    PadPurpose.PROVE: ("pad.heading-prove", "pad.body-prove"),
    PadPurpose.SIGN: ("pad.heading-prove", "pad.body-sign"),
}
"""Heading and body of what is said before the reader waits for the PIN."""

AT_PAD: Mapping[PadPurpose, tuple[TextKey, TextKey]] = {
    PadPurpose.LOG_IN: ("at-pad.heading", "at-pad.body"),
    PadPurpose.CHANGE: ("at-pad.heading-change", "at-pad.body-change"),
    PadPurpose.PROVE: ("at-pad.heading", "at-pad.body-prove"),
    PadPurpose.SIGN: ("at-pad.heading", "at-pad.body-sign"),
}
"""The same while it waits."""

_PAD_TROUBLES: Mapping[PadTrouble, TextKey] = {
    PadTrouble.WRONG: "pin.refused",
    PadTrouble.LENGTH: "pin.length",
    PadTrouble.NOT_TAKEN: "pad.not-taken",
    PadTrouble.CANCELLED: "pad.cancelled",
    PadTrouble.TIMED_OUT: "pad.timed-out",
}


def pad_troubles(question: PadQuestion) -> list[TextKey]:
    """What came of typing at the reader the last time, and how many tries are left."""
    warnings = [PIN_WARNINGS[question.tries]] if question.tries in PIN_WARNINGS else []
    return ([_PAD_TROUBLES[question.trouble]] if question.trouble else []) + warnings


def last_try_words(question: LastTryQuestion) -> tuple[TextKey, TextKey]:
    """Heading and body of the question whether to take what may be the last try."""
    if question.certain:
        return "last-try.heading", "last-try.body"
    return "last-try.heading-maybe", "last-try.body-maybe"


RETIREMENTS: Mapping[StoreKind, tuple[TextKey, TextKey]] = {
    StoreKind.USB: ("retirement.heading", "retirement.body"),
    StoreKind.PC: ("retirement.heading-pc", "retirement.body-pc"),
}
"""Heading and body of the question whether the old credential is to go, by the store it is in."""


def resumption_words(question: ResumptionQuestion, texts: Texts) -> str:
    """How far the renewal has come that is to be gone on with."""
    if question.into is Destination.PC:
        return texts("resumption.written-pc" if question.written else "resumption.begun-pc")
    return texts("resumption.written" if question.written else "resumption.begun")


CLEANINGS: Mapping[StoreKind, TextKey] = {StoreKind.USB: "cleaning.body", StoreKind.PC: "cleaning.body-pc"}
"""What has been left where."""


def token_words(token: TokenFacts, among: Sequence[TokenFacts], texts: Texts) -> str:
    """The label of `token`, with its serial number where another one is called the same."""
    namesakes = sum(each.label == token.label for each in among)
    serial = texts("choose-token.serial", serial=token.serial)
    return token.label if token.label and namesakes == 1 else f"{token.label}　{serial}".strip()
