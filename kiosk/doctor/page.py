"""`docs/doctor.md`: every check, what it can find, and the remedies, in every language side by side.

`python -m kiosk.doctor.page` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kiosk.doctor.examination import CHECKS, FAILED, TOO_LONG
from kiosk.doctor.findings import Saying
from kiosk.doctor.report import MARKS
from kiosk.texts import Texts, languages

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"

_OPENING = """\
# kiosk doctor

    kiosk doctor --settings FILE [--json] [--language ja]

looks at everything a kiosk needs and says of each line whether it is good and, where not, what to do. Run it on the
kiosk's own terminal, as the user the kiosk runs as. It changes nothing, asks for no PIN, and prints no secret. Without
`--settings` only the machine is looked at; of settings that are broken what can be read is used, and else the defaults.

| exit status | |
|---|---|
| 0 | nothing is bad; there may be warnings |
| 1 | something is bad |
| 2 | the command line is wrong |

The module is loaded in a token process that is ended when it hangs. The CA is asked by a certificate of this moment
that it does not know; its refusal is protected by its signer and tells its time. The terminal is asked for its size,
for the cells that `※` and `あ` take, and for the modes it knows, unless standard input or output is none.

## JSON

`--json` prints one object. `check` and `finding` are the names below, and stay; `found` and `remedy` are in `language`.

```json
{
  "at": "2026-11-25T06:00:00.000000Z",
  "verdict": "bad",
  "language": "en",
  "lines": [
    {
      "check": "module",
      "verdict": "bad",
      "finding": "module.missing",
      "values": {"module": "/usr/lib/token.so"},
      "found": "There is no /usr/lib/token.so.",
      "remedy": "Install the software of the tokens, and write the path of its module into token.module."
    }
  ]
}
```

`verdict` is `good`, `warning`, `bad` or `not-applicable`; that of the whole is the worst of its lines. `remedy` is null
where there is nothing to be done.

## Checks

The signs are those of the table: ✓ good, ! warning, ✗ bad, - not applicable.
"""
_ANY = "### any check\n"


def doctor_page() -> str:
    """The page, in Markdown."""
    texts = [Texts(language) for language in languages()]
    parts = [_OPENING]
    for check in CHECKS:
        names = " · ".join(each(check.name) for each in texts)
        parts += [f"### {check.key}\n", f"{names}\n", *_sayings(check.sayings, texts), ""]
    return "\n".join([*parts, _ANY, *_sayings((FAILED, TOO_LONG), texts), ""])


def _sayings(sayings: tuple[Saying, ...], texts: list[Texts]) -> Iterator[str]:
    yield _row("finding", "", [each("language.name") for each in texts])
    yield _row("---", "---", ["---"] * len(texts))
    for saying in sayings:
        yield _row(saying.text.removeprefix("doctor."), MARKS[saying.verdict], [_words(saying, each) for each in texts])


def _words(saying: Saying, texts: Texts) -> str:
    found = texts(saying.text)
    return f"{found} **{texts('doctor.do').strip()}** {texts(saying.remedy)}" if saying.remedy else found


def _row(name: str, mark: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, mark, *(cell.replace("|", r"\|") for cell in cells)]) + " |"


if __name__ == "__main__":
    PAGE.write_text(doctor_page(), encoding="utf-8")
