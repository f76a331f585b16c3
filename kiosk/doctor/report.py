"""What an examination has found, for a person at 80 columns and for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from rich.cells import cell_len

from kiosk.doctor.findings import Check, Finding, Verdict
from kiosk.texts import Texts
from screens.widgets.phrases import wrap

WIDTH = 80
_NAME_WIDTH = 19
_INDENT = 4

MARKS = {Verdict.GOOD: "✓", Verdict.WARNING: "!", Verdict.BAD: "✗", Verdict.NOT_APPLICABLE: "-"}
"""Each another sign, of one cell; colour adds nothing to it."""


class Line(msgspec.Struct, frozen=True):
    """One finding in JSON."""

    check: str
    """A key of docs/doctor.md, such as `module`."""
    verdict: str
    """`good`, `warning`, `bad` or `not-applicable`."""
    finding: str
    """A key of docs/doctor.md, such as `module.missing`; stable, whatever the language."""
    values: dict[str, str]
    """What was found, by name, as text."""
    found: str
    """The same in words."""
    remedy: str | None
    """What to do, in words; null where there is nothing to be done."""


class Report(msgspec.Struct, frozen=True):
    """The JSON of `kiosk doctor --json`."""

    at: datetime
    verdict: str
    """The worst of all lines: `good`, `warning` or `bad`."""
    language: str
    lines: list[Line]


def report(findings: Iterable[tuple[Check, Finding]], at: datetime, texts: Texts) -> Report:
    """All of it, for a program."""
    found = list(findings)
    return Report(
        at=at,
        verdict=worst(finding for _, finding in found).value,
        language=texts.language,
        lines=[
            Line(
                check=check.key,
                verdict=finding.verdict.value,
                finding=finding.saying.text.removeprefix("doctor."),
                values=dict(finding.values),
                found=finding.found(texts),
                remedy=finding.remedy(texts),
            )
            for check, finding in found
        ],
    )


def worst(findings: Iterable[Finding]) -> Verdict:
    """Bad where one is, else a warning where there is one, else good."""
    verdicts = {finding.verdict for finding in findings}
    return next((each for each in (Verdict.BAD, Verdict.WARNING) if each in verdicts), Verdict.GOOD)


def rows(check: Check, finding: Finding, texts: Texts) -> Iterator[str]:
    """Mark, name and finding in columns; the remedy below."""
    name = texts(check.name)
    begin = f"{MARKS[finding.verdict]} {name}{' ' * max(1, _NAME_WIDTH - cell_len(name))}"
    for number, line in enumerate(wrap(finding.found(texts), WIDTH - _NAME_WIDTH - 2)):
        yield f"{begin if number == 0 else ' ' * (_NAME_WIDTH + 2)}{line}".rstrip()
    remedy = finding.remedy(texts)
    if remedy:
        lead = texts("doctor.do")
        inner = _INDENT + cell_len(lead)
        for number, line in enumerate(wrap(remedy, WIDTH - inner)):
            yield f"{' ' * _INDENT}{lead}{line}" if number == 0 else f"{' ' * inner}{line}"


def summary(findings: Iterable[Finding], texts: Texts) -> str:
    """How many of each."""
    counts = Counter(finding.verdict for finding in findings)
    return texts(
        "doctor.summary",
        **{verdict.name.lower(): f"{MARKS[verdict]} {counts[verdict]}" for verdict in Verdict},
    )
