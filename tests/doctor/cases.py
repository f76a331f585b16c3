"""For each line that `kiosk doctor` can say with a remedy: how a kiosk comes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from kiosk.doctor.site import Known, Site
from tests.cmp.pki import Pki
from tests.doctor.scripted_terminal import ScriptedTerminal, scripted


class House:
    """Where a case is set up."""

    def __init__(self, folder: Path, pki: Pki, foreign: Pki) -> None:
        self.folder = folder
        self.pki = pki
        self.foreign = foreign
        (folder / "doctor").mkdir()

    def site(self, known: Known | None = None) -> Site:
        """A kiosk that is told this, run by an ordinary user, without a terminal."""
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return Site(
            known or Known(),
            self.folder / "doctor",
            user=1000,
            environment=environment,
            terminal=None,
            pcscd=self.pcscd,
        )

    @property
    def pcscd(self) -> Path:
        return self.folder / "pcscd.comm"


Setting = Callable[[House], AbstractAsyncContextManager[Site]]

CASES: dict[str, Setting] = {}
"""By the text that is said."""


def case(text: str) -> Callable[[Callable[[House], AsyncIterator[Site]]], Setting]:
    """The generator sets up a kiosk of which `text` is said."""

    def keep(setting: Callable[[House], AsyncIterator[Site]]) -> Setting:
        assert text not in CASES
        CASES[text] = asynccontextmanager(setting)
        return CASES[text]

    return keep


@asynccontextmanager
async def on_terminal(house: House, **answers: object) -> AsyncIterator[Site]:
    """A kiosk on a terminal that answers like this."""
    with scripted(ScriptedTerminal(**answers)) as terminal:  # type: ignore[arg-type]
        site = house.site()
        site.terminal = terminal
        site.environment = {**site.environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        yield site
