"""The demo's token is made without telling anybody its PINs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kiosk.demo_bank import _SO_PIN, TOKEN_LABEL, DemoError, add_software_token, make_software_token, softhsm
from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens

pytestmark = pytest.mark.token_processes_as_they_are

_started: list[str] = []
"""What every program that this process starts is called with: whoever lists processes can read it."""


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        _started.append(f"{arguments[1]} {arguments[3]}")


@pytest.fixture(scope="module", autouse=True)
def _listening() -> None:
    sys.addaudithook(_note)  # it cannot be taken away again, and costs nothing


async def test_no_argument_of_a_program_holds_a_pin(tmp_path: Path) -> None:
    module = softhsm(tmp_path)
    _started.clear()
    await make_software_token(tmp_path, module)
    await add_software_token(module, "SECOND")
    assert len(_started) == 2, "one token process each"
    assert not any(pin in each for pin in (DEMO_PIN, _SO_PIN) for each in _started)

    process = TokenProcess.start(module)
    found = {each.label: each for each in await find_tokens(process)}
    await process.end()
    assert set(found) == {TOKEN_LABEL, "SECOND"}
    assert all(each.pin_set for each in found.values())


async def test_where_softhsm_keeps_nothing_it_is_said(tmp_path: Path) -> None:
    module = softhsm(tmp_path)
    (tmp_path / "tokens").write_text("not a folder")
    with pytest.raises(DemoError):
        await add_software_token(module, TOKEN_LABEL)
