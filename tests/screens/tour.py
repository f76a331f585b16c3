"""A walk through the gallery: one running kiosk that shows one screen after another, as tests and pictures need it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from kiosk.app import Branch, KioskApp
from kiosk.clock import Clock
from kiosk.desk import Desk, Standby, StandbyBoard
from screens.between import BetweenScreen
from screens.standby import StandbyScreen
from tests.screens.gallery import BOARDS, SCENES, Board, Scene
from tests.screens.samples import fixed_clock
from tests.screens.stage import running, screen_text, until

LANGUAGES = ("ja", "en")
BRANCHES = {"ja": ("みほん信用金庫", "本店営業部"), "en": ("Mihon Shinkin Bank", "Head Office")}


def tour_app(guide: Guide, language: str, clock: Clock = fixed_clock, branch: Branch | None = None) -> KioskApp:
    """A kiosk that shows what the guide says, of another branch than usual where one is given."""
    usual = Branch(*BRANCHES.get(language, BRANCHES["en"]), "123456")
    shown = replace(branch or usual, language=language)
    return KioskApp(guide, shown, clock, settle_seconds=0.0, stopwatch=lambda: 0.0)


class Guide:
    """A reception that shows whatever it is told next: a board, or one question of a long visit."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._scene: Scene | None = None
        self._go_on = asyncio.Event()

    def tell(self, scene: Scene | None, board: Board | None = None) -> None:
        """Show `scene` or `board` from now on."""
        self._scene, self._board = scene, board
        self._go_on.set()

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        while self._scene is None:
            if self._board:
                board.show(*self._board)
            await self._next()

    async def serve(self, desk: Desk) -> None:
        while self._scene:
            scene = asyncio.ensure_future(self._scene(desk))
            await self._next()
            scene.cancel()
            await asyncio.gather(scene, return_exceptions=True)

    async def _next(self) -> None:
        await self._go_on.wait()
        self._go_on.clear()


@dataclass
class Tour:
    """What a test holds while the kiosk runs."""

    app: KioskApp
    pilot: Pilot[None]
    guide: Guide

    async def show(self, name: str) -> None:
        """Show the scene or board `name` of the gallery, and wait until it stands."""
        if name in BOARDS:
            self.guide.tell(None, BOARDS[name])
            await until(self._shows(BOARDS[name]))
            await self.settle()
        elif name == "between":
            await self._show(SCENES[name], BetweenScreen)
        else:
            await self.ask(SCENES[name])

    def _shows(self, board: Board) -> Callable[[], bool]:
        def shows() -> bool:
            screen = self.app.screen
            return (
                isinstance(screen, StandbyScreen)
                and screen.is_mounted
                and (screen._standby, screen._problem, screen._pc_login) == (*board, False)[:3]
                and bool(screen.query("#begin")) == (board[0] is Standby.READY)
            )

        return shows

    async def ask(self, scene: Scene) -> None:
        """Show any other question."""
        await self._show(scene, None)

    async def resize(self, size: tuple[int, int]) -> None:
        """Make the terminal `size` cells, and wait until the screen is laid out in them."""
        await self.pilot.resize_terminal(*size)
        await until(lambda: self.app.screen.size == size)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is laid out anew any more."""
        before = self._places()
        for _ in range(20):
            await self.pilot.pause()
            now = self._places()
            if now == before and not self.app.screen._layout_required:
                return
            before = now
        raise AssertionError(f"this does not come to rest:\n{screen_text(self.app)}")

    def _places(self) -> list[Region]:
        return [widget.region for widget in self.app.screen.query(Widget)]

    async def _show(self, scene: Scene, kind: type[BetweenScreen] | None) -> None:
        before = self.app.screen
        self.guide.tell(scene)
        await until(
            lambda: (
                isinstance(self.app.screen, kind)
                if kind
                else self.app.screen is not before and not isinstance(self.app.screen, BetweenScreen | StandbyScreen)
            )
        )
        await self.settle()


@asynccontextmanager
async def touring(
    language: str, size: tuple[int, int], theme: str = "kiosk", branch: Branch | None = None
) -> AsyncIterator[Tour]:
    """A running kiosk of `size` cells that a test can take anywhere."""
    guide = Guide()
    app = tour_app(guide, language, branch=branch)
    async with running(app, size) as pilot:
        app.theme = theme
        await pilot.pause()
        yield Tour(app, pilot, guide)
