"""What all screens have in common: header, trail, a sheet with its text and buttons, and a line of key hints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen

from kiosk.text_keys import TextKey
from screens.lobby import Lobby
from screens.widgets.blocks import Block
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.header import Header
from screens.widgets.hints import Hints
from screens.widgets.page import Page
from screens.widgets.trail import Stage, Trail

Answer = TypeVar("Answer")

_LET_GO_SECONDS = 0.3
"""A held key repeats faster than this."""

_NEXT = frozenset({"tab", "right", "down"})
_PREVIOUS = frozenset({"shift+tab", "left", "up"})


class Frame(Screen[None], inherit_bindings=False):
    """A screen of the kiosk. A subclass says what is written on its sheet and which buttons it has."""

    ALLOW_SELECT = False
    ESCAPE_TO_MINIMIZE = False
    AUTO_FOCUS = "Choice:enabled"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-usual"), (30, "-tall")]  # noqa: RUF012

    STAGE: ClassVar[Stage | None] = None
    """Where the trail stands."""
    HINT: ClassVar[TextKey | None] = "hint.choose"
    """The line of key hints."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__()
        self.lobby = lobby

    def blocks(self) -> Sequence[Block]:
        """What is written on the sheet."""
        return ()

    def choices(self) -> Sequence[Choice]:
        """The buttons, the one that Enter presses first."""
        return ()

    def hint(self) -> str:
        """What the line below the sheet says."""
        return self.lobby.texts(self.HINT) if self.HINT else ""

    def compose(self) -> ComposeResult:
        """Put it all together."""
        yield Header(self.lobby)
        with Container(id="way"):
            yield Trail(self.lobby, self.STAGE)
        with Container(id="counter"), Vertical(id="sheet"):
            yield from self.compose_sheet()
        yield Hints(self.hint())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """No action at all is allowed, as in the app."""
        return False

    def compose_sheet(self) -> ComposeResult:
        """The text, and the buttons below."""
        yield Page(self.blocks())
        texts = self.lobby.texts
        more = Choice(texts("more.next"), digit="2", back=True, id="more")
        more.display = False
        yield Choices([*self.choices(), more])

    @on(Page.Turned)
    def _page_turned(self, event: Page.Turned) -> None:
        label: TextKey = "more.first" if event.number == event.of else "more.next"
        for more in self.query("#more").results(Choice):
            more.display = event.of > 1
            more.relabel(f"{self.lobby.texts(label)} {event.number}/{event.of}")
            self.query_one(Choices).fit()

    @on(Choice.Pressed, "#more")
    def _turn_page(self) -> None:
        self.query_one(Page).turn(1)

    def on_key(self, event: events.Key) -> None:
        """Keys nobody below wanted: digits press buttons, arrows and Tab move the focus."""
        event.stop()
        if event.key in _NEXT:
            self.focus_next()
        elif event.key in _PREVIOUS:
            self.focus_previous()
        elif event.key == "8" and self.query("#more") and self.query_one("#more").display:
            self.query_one(Page).turn(-1)
        else:
            self._press_digit("0" if event.key in {"escape", "backspace"} else event.character)

    def _press_digit(self, digit: str | None) -> None:
        for choice in self.query(Choice):
            if digit and choice.digit == digit and choice.display:
                choice.press()
                return


class Question(Frame, Generic[Answer]):
    """A screen that is answered once; whatever is pressed after that is not heard.

    Nor is what is pressed before anybody can have read it: a key that is held, or a finger that bounces, must not go
    through several questions.
    """

    HEARS_KEYS_AT_ONCE: ClassVar[bool] = False
    """Whether keys count from the first moment: where digits are typed, a lost one would cost a try."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby)
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._deaf_until = 0.0

    @on(events.ScreenResume)
    def _be_read_first(self) -> None:
        self._deaf_until = time.monotonic() + self.lobby.settle_seconds

    def hears(self, event: events.InputEvent) -> bool:
        """Whether `event` counts. One that comes too soon makes the wait longer, until the key is let go."""
        if isinstance(event, events.Key) and self.HEARS_KEYS_AT_ONCE:
            return True
        now = time.monotonic()
        if now >= self._deaf_until:
            return True
        self._deaf_until = max(self._deaf_until, now + min(_LET_GO_SECONDS, self.lobby.settle_seconds))
        return False

    def answer(self, answer: Answer) -> None:
        """Give the answer, unless there is one already."""
        if not self._answer.done():
            self._answer.set_result(answer)

    async def answered(self) -> Answer:
        """Wait for the answer; who stops waiting takes the question back."""
        return await self._answer

    @property
    def is_over(self) -> bool:
        """Whether there is an answer, or nobody waits for one any more."""
        return self._answer.done()
