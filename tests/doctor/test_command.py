"""`kiosk doctor` as an installer runs it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kiosk.cli import main
from kiosk.doctor.examination import CHECKS
from kiosk.doctor.findings import Check, Finding, Verdict
from kiosk.doctor.page import PAGE, doctor_page
from kiosk.doctor.report import rows, worst
from kiosk.doctor.site import known_from
from kiosk.settings import save_settings
from kiosk.texts import Texts, languages
from tests.bank import Bank
from tests.program.terminal import LIMIT, Terminal


def doctor(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["doctor", *map(str, arguments)])


GOOD = {"settings", "module", "tokens", "mechanisms", "trust", "ca", "tls", "signer", "clock", "revocation"}
GOOD |= {"languages", "zone", "permissions"}


async def test_a_good_kiosk(bank: Bank) -> None:
    save_settings(bank.settings, bank.directory / "kiosk.toml")
    done = await asyncio.to_thread(doctor, "--settings", bank.directory / "kiosk.toml", "--json")
    found = verdicts(done)
    assert {check for check, verdict in found.items() if verdict == "good"} >= GOOD


def verdicts(done: Result) -> dict[str, str]:
    """The last verdict of each check."""
    assert done.exit_code in (0, 1), done.output
    return {line["check"]: line["verdict"] for line in json.loads(done.stdout)["lines"]}


def test_without_settings_the_machine_is_looked_at() -> None:
    done = doctor("--language", "en", LC_ALL="C.UTF-8")
    assert done.exit_code == 0
    assert "✓ PKCS#11 module" in done.stdout
    assert "- CA " in done.stdout
    assert "✓ languages" in done.stdout


def test_json_has_one_shape() -> None:
    told = json.loads(doctor("--json", "--language", "en").stdout)
    assert told.keys() == {"at", "verdict", "language", "lines"}
    assert {each.key for each in CHECKS} == {line["check"] for line in told["lines"]}
    for line in told["lines"]:
        assert line.keys() == {"check", "verdict", "finding", "values", "found", "remedy"}
        assert line["verdict"] in {each.value for each in Verdict}
        assert (line["remedy"] is not None) == (line["verdict"] in ("warning", "bad"))


def test_something_bad_is_exit_status_1(tmp_path: Path) -> None:
    done = doctor("--settings", tmp_path / "none.toml", "--language", "en")
    assert done.exit_code == 1
    assert done.stdout.startswith("✗ settings")
    assert "To do: " in done.stdout
    assert "Traceback" not in done.output


def test_a_wrong_command_line_is_exit_status_2() -> None:
    assert doctor("--no-such-option").exit_code == 2


def test_of_broken_settings_what_can_be_read_is_used(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(
        'journal = "j"\n[token]\nmodule = "m.so"\n[branch]\nlanguage = "en"\n[policy]\nwindow_days = "many"\n'
    )
    known = known_from(file)
    assert "window_days" in known.fault
    assert (known.token and known.token.module, known.journal, known.branch.language) == ("m.so", Path("j"), "en")
    assert (known.ca, known.policy.window_days) == (None, 30)
    done = doctor("--settings", file)
    assert done.exit_code == 1
    assert "There is no m.so." in done.stdout


@given(st.binary(max_size=300))
def test_whatever_is_in_the_settings_is_told_and_never_raised(content: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert known_from(Path(file.name)).fault


def test_an_address_is_told_without_what_it_carries(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(
        f'journal = "{tmp_path}/journal.sqlite"\n[token]\nmodule = "m.so"\n'
        '[ca]\nurl = "http://user:48151623@127.0.0.1:1/?key=48151623"\nroots = "r"\ntls_roots = "t"\n'
        '[branch]\nhelp_url = "http://127.0.0.1:1/48151623"\ndemo_code = "48151623"\n'
    )
    for arguments in ([], ["--json"]):
        assert "48151623" not in doctor("--settings", file, *arguments).output


HOSTILE = "\x1b]0;x\x07\x1b[2J\r\n[@click=app.quit]\u202e" + "長" * 90


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.key)
def test_every_line_is_text_of_80_columns(check: Check, language: str) -> None:
    texts = Texts(language)
    for saying in check.sayings:
        finding = saying(**dict.fromkeys(names_in(texts(saying.text)), HOSTILE))
        for row in rows(check, finding, texts):
            assert cell_len(row) <= 80
            assert row.replace("　", " ").isprintable()


def names_in(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("{")[1:]]


def test_the_worst_counts() -> None:
    finding: dict[Verdict, Finding] = {saying.verdict: saying() for check in CHECKS for saying in check.sayings}
    assert worst(finding.values()) is Verdict.BAD
    assert worst([finding[Verdict.WARNING], finding[Verdict.GOOD]]) is Verdict.WARNING
    assert worst([finding[Verdict.NOT_APPLICABLE]]) is Verdict.GOOD


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == doctor_page(), "python -m kiosk.doctor.page writes it anew"


def test_on_a_real_terminal() -> None:
    terminal = Terminal("doctor", "--language", "en", columns=100, lines=60)
    end = time.monotonic() + LIMIT
    while b"\x1b[c" not in terminal.raw:
        assert time.monotonic() < end, terminal.text()
        terminal.read_for(0.1)
    terminal.process.send("\x1b[1;2R\x1b[1;3R\x1b[?1000;2$y\x1b[?1006;2$y\x1b[?25;1$y\x1b[?62c")
    status, text = terminal.wait_for_end(), terminal.text()
    bad = [line for line in text.splitlines() if line.startswith("✗")]
    assert status == bool(bad)
    assert all("font" in line for line in bad), "which this machine may have none of for Japanese"
    for told in ("✓terminalsize100×60", "✓ambiguouswidth", "✓widecharacters", "✓touchandmouse", "✓cursor"):
        assert told in text, text
