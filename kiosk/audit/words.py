"""The journal in sentences, in Japan time. What came from outside is shown literally."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from kiosk.audit.reading import Line
from kiosk.clock import JAPAN
from kiosk.errors import Code, Problem
from kiosk.journal import PC_IN_JOURNAL, Entry, Event, read_moment
from kiosk.literal import literal
from kiosk.moments import date_words, second_words
from kiosk.text_keys import TextKey
from kiosk.texts import Texts
from screens.widgets.phrases import wrap

_EVENTS = frozenset(Event)
_SENTENCE_INDENT = " " * 4
_SENTENCE_COLUMN = len(_SENTENCE_INDENT) + 8 + 2
"""Behind the time."""

_AT_PC: Mapping[str, TextKey] = {
    Event.VISIT_BEGUN: "journal.visit-begun-pc",
    Event.PIN_REFUSED: "journal.pin-refused-pc",
    Event.OLD_KEPT: "journal.old-kept-pc",
}
"""What is said in other words where the customer's certificate is in this PC."""


def told(lines: Iterable[Line], texts: Texts) -> Iterator[str]:
    """A heading for each day and each visit, and a sentence for each line."""
    day, visit = "", ""
    for line in lines:
        moment = read_moment(line.entry.at)
        this_day = line.entry.at if moment is None else moment.astimezone(JAPAN).date().isoformat()
        if this_day != day:
            yield from ([""] if day else [])
            yield literal(this_day) if moment is None else date_words(moment, texts)
            day, visit = this_day, ""
        if line.entry.visit != visit:
            visit = line.entry.visit
            yield from ([f"  {_visit(line.entry, texts)}"] if visit else [])
        clock = "-" if moment is None else second_words(moment, texts)
        yield f"{_SENTENCE_INDENT}{clock:>8}  {sentence(line.entry, texts)}"


def broken(told_line: str, width: int) -> Iterator[str]:
    """A line of `told` in as many lines of at most `width` cells as it takes, the sentence in a column of its own."""
    if told_line.startswith(_SENTENCE_INDENT):
        head, words = told_line[:_SENTENCE_COLUMN], told_line[_SENTENCE_COLUMN:]
    else:
        head, words = "", told_line
    for number, row in enumerate(wrap(words, width - len(head))):
        yield head + row if number == 0 else " " * len(head) + row


def sentence(entry: Entry, texts: Texts) -> str:
    """What the entry tells, with its serial number and what it holds for staff in brackets."""
    told_already = {entry.detail} if entry.event == Event.ENROLMENT_WANTED else set()
    extra = [texts("journal.serial", serial=literal(entry.serial))] if entry.serial else []
    extra += [literal(each) for each in (entry.detail,) if each and each not in told_already]
    words = _words(entry, texts)
    return words + (texts("journal.extra", extra=texts("journal.and").join(extra)) if extra else "")


def _words(entry: Entry, texts: Texts) -> str:
    if entry.event not in _EVENTS:
        return literal(entry.event)
    values = {"id": literal(entry.holder or entry.detail), "code": _code(entry, texts)}
    usual = cast("TextKey", f"journal.{entry.event}")  # a test holds that each event has its text
    return texts(_AT_PC.get(entry.event, usual) if entry.token == PC_IN_JOURNAL else usual, **values)


def _code(entry: Entry, texts: Texts) -> str:
    if entry.code in set(Code) and entry.event == Event.PROBLEM:
        return f"{entry.code} {texts.of_problem(Problem(Code(entry.code)), 'happened')}"
    return literal(entry.code or "-")


def _visit(entry: Entry, texts: Texts) -> str:
    visit = literal(entry.visit)
    if not entry.token:
        return texts("journal.occurrence", visit=visit)
    if entry.token == PC_IN_JOURNAL:
        return texts("journal.visit-pc", visit=visit)
    return texts("journal.visit", visit=visit, token=literal(entry.token))
