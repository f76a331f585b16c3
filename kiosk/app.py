"""The Textual app: composition root of the screens, lock-down, one visit after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path, PurePath
from typing import ClassVar

from rich.segment import Segment, Segments
from textual import events
from textual._context import visible_screen_stack
from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.worker import WorkerFailed

from kiosk.clock import Clock, system_clock
from kiosk.desk import Reception
from kiosk.last_words import fault_and_place
from screens.between import BetweenScreen
from screens.compiled import CompiledStylesheet
from screens.desk import ScreenDesk
from screens.forgetting import forget_texts, forget_timers
from screens.frame import Question
from screens.lobby import SETTLE_SECONDS, Branch, Lobby
from screens.picture import readable
from screens.standby import StandbyScreen
from screens.themes import themes

__all__ = ["Branch", "KioskApp"]

_STANDBY = "standby"
_VISIT = "visit"


def _stylesheets() -> list[str | PurePath]:
    return sorted(Path(str(sheet)) for sheet in files("styles").iterdir() if sheet.name.endswith(".tcss"))


class KioskApp(App[None], inherit_bindings=False):
    """Serves one customer after another, and answers to nothing but the kiosk's own keys and touches."""

    CSS_PATH: ClassVar[list[str | PurePath]] = _stylesheets()
    TITLE = "kiosk"
    ENABLE_COMMAND_PALETTE = False
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = set()
    BINDINGS: ClassVar[list[BindingType]] = []
    ALLOW_SELECT = False
    ESCAPE_TO_MINIMIZE = False
    NOTIFICATION_TIMEOUT = 0

    def __init__(
        self,
        reception: Reception,
        branch: Branch,
        clock: Clock = system_clock,
        settle_seconds: float = SETTLE_SECONDS,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve the customers of `reception` at `branch`.

        Args:
            reception: Waits for customers and serves them.
            branch: Whose kiosk this is.
            clock: Tells the time that is shown, and nothing else.
            settle_seconds: How long a question stands before keys and touches count.
            stopwatch: Tells whether it has stood so long; in seconds.
        """
        super().__init__()
        self.stylesheet = CompiledStylesheet(variables=self.get_css_variables())
        self.last_touched = time.monotonic()
        self._reception = reception
        self._lobby = Lobby(branch, clock, settle_seconds, stopwatch)
        for theme in themes():
            self.register_theme(theme)
        self.theme = themes()[0].name
        self._standby: StandbyScreen | None = None

    async def on_mount(self) -> None:
        """Open the counter."""
        self._standby = StandbyScreen(self._lobby)
        standby = self._standby
        self.add_mode(_STANDBY, lambda: standby)
        await self.switch_mode(_STANDBY)
        self.run_worker(self._serve_for_ever(standby), name="counter", description="counter")

    async def _serve_for_ever(self, standby: StandbyScreen) -> None:
        while True:
            await self._reception.wait_for_customer(standby)
            await self._serve_one()

    async def _serve_one(self) -> None:
        """One visit in a mode of its own, of which nothing is left afterwards."""
        lobby = self._lobby
        self.add_mode(_VISIT, lambda: BetweenScreen(lobby))
        await self.switch_mode(_VISIT)
        self.last_touched = time.monotonic()
        desk = ScreenDesk(self, lobby, _VISIT, lambda: self.last_touched)
        try:
            await self._reception.serve(desk)
        finally:
            desk.close()
            if self.is_running:
                await self._back_to_standby()

    async def _back_to_standby(self) -> None:
        self._lobby.reset()
        self.theme = themes()[0].name
        await self.switch_mode(_STANDBY)
        await self.remove_mode(_VISIT)
        self._forget()
        self.call_later(self._forget)  # in the context of the app's own task as well
        if self._standby:
            self._standby.renew()

    def _forget(self) -> None:
        """Let go of what Textual remembers: the widget touched last, and the screens drawn last."""
        self._mouse_down_widget = None
        self.mouse_over = None
        self.hover_over = None
        visible_screen_stack.set([])
        forget_texts()
        forget_timers()

    async def on_event(self, event: events.Event) -> None:
        """Note every key and touch before it goes on its way; some go no further.

        That the terminal has lost the focus is not heard: it would take the focus from the screen that comes next.
        """
        if isinstance(event, events.InputEvent):
            self.last_touched = time.monotonic()
            if not self._counts(event):
                return
        if isinstance(event, events.AppBlur):
            return
        await super().on_event(event)

    def _counts(self, event: events.InputEvent) -> bool:
        moves = isinstance(event, events.MouseMove)
        return moves or not isinstance(self.screen, Question) or self.screen.hears(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """No action at all is allowed: the screens answer keys and touches themselves."""
        return False

    async def run_action(self, *_args: object, **_options: object) -> bool:
        """Nor is one of the widget that has the focus, which `check_action` is not asked about."""
        return False

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """A kiosk opens nothing."""

    def deliver_text(self, *_args: object, **_options: object) -> None:
        """A kiosk delivers no files."""

    def deliver_binary(self, *_args: object, **_options: object) -> None:
        """A kiosk delivers no files."""

    def deliver_screenshot(self, *_args: object, **_options: object) -> None:
        """A kiosk delivers no files."""

    def copy_to_clipboard(self, text: str) -> None:
        """A kiosk copies nothing."""

    def _fatal_error(self) -> None:
        """End with where it happened, and nothing of what was being handled."""
        if not self._exit_renderables:
            self._exit_renderables.append(Segments([Segment(self.last_words())]))
        self._close_messages_no_wait()

    def panic(self, *renderables: object) -> None:  # noqa: ARG002
        """As any other fault."""
        self._fatal_error()

    def last_words(self) -> str:
        """What ended the app: the kind of fault and its place, and nothing of what was being handled."""
        return f"kiosk: ended by {fault_and_place(self.fault) if self.fault else None}\n"

    @property
    def fault(self) -> BaseException | None:
        """What ended the app, where it was not told to end."""
        return _innermost(self._exception)

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """An SVG of the screen in which Japanese can be read."""
        return readable(super().export_screenshot(title=title, simplify=simplify))


def _innermost(error: BaseException | None) -> BaseException | None:
    """The fault inside what workers and task groups wrap around it."""
    match error:
        case WorkerFailed():
            return _innermost(error.error)
        case BaseExceptionGroup():
            return _innermost(error.exceptions[0])
        case _:
            return error
