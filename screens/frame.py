"""What all screens have in common: header, trail, a sheet with its text and buttons, and a line of key hints."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen

from kiosk.text_keys import TextKey
from screens.lobby import Lobby
from screens.themes import DEFAULT_THEME, other_theme
from screens.widgets.blocks import Block
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.header import Header
from screens.widgets.hints import Hints
from screens.widgets.language_key import LanguageKey
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

    LANGUAGE_DIGIT: ClassVar[str | None] = "9"
    """The key that changes the language; empty where digits are typed, None where there is no such button."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__()
        self.lobby = lobby
        self._told_in = lobby.texts.language
        self._turned = (1, 1)
        self._more_had_focus = False

    def blocks(self) -> Sequence[Block]:
        """What is written on the sheet."""
        return ()

    def choices(self) -> Sequence[Choice]:
        """The buttons, the one that Enter presses first."""
        return ()

    def buttons(self) -> Sequence[Choice]:
        """All buttons whose text this screen knows."""
        return self.choices()

    def hint(self) -> str:
        """What the line below the sheet says."""
        return self.lobby.texts(self.HINT) if self.HINT else ""

    def compose(self) -> ComposeResult:
        """Put it all together."""
        yield Header(self.lobby, self.LANGUAGE_DIGIT)
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
        choices = self.choices()
        digit = "8" if any(choice.digit == "2" for choice in choices) else "2"
        more = Choice(texts("more.next"), digit=digit, back=True, room_for=self._longest_more(), id="more")
        more.display = False
        yield Choices([*choices, more])

    def retell(self) -> None:
        """Say everything anew, in the present language: place, page, focus and what was typed stay as they are."""
        self._told_in = self.lobby.texts.language
        self.retell_pages()
        said = {each.id: each for each in self.buttons()}
        for choice in self.query(Choice):
            if choice.id in said:
                choice.relabel(said[choice.id].label, said[choice.id].note)
                choice.disabled = said[choice.id].disabled
        self._label_more()
        for choices in self.query(Choices):
            choices.fit()
        for hints in self.query(Hints):
            hints.say(self.hint())
        self.query_one(Header).retell()
        for trail in self.query(Trail):
            trail.refresh()

    def retell_pages(self) -> None:
        """The written part of `retell`."""
        for page in self.query(Page):
            page.show(self.blocks())

    def on_screen_resume(self) -> None:
        """What lay below another screen may have missed a change of language."""
        if self._told_in != self.lobby.texts.language:
            self.retell()

    @on(LanguageKey.Pressed)
    def _switch_language(self) -> None:
        self.lobby.speak(self.lobby.next_language())
        self.retell()

    @on(Choice.Pressed, "#theme")
    def _switch_theme(self) -> None:
        self.app.theme = other_theme(self.app.theme)
        self.retell()

    def theme_choice(self) -> Choice:
        """The button for the other theme."""
        label: TextKey = "theme.reversed" if self.app.theme == DEFAULT_THEME else "theme.normal"
        return Choice(self.lobby.texts(label), digit="7", back=True, id="theme")

    def _label_more(self) -> None:
        number, of = self._turned
        label: TextKey = "more.first" if number == of else "more.next"
        for more in self.query("#more").results(Choice):
            more.relabel(f"{self.lobby.texts(label)} {number}/{of}", room_for=self._longest_more())

    def _longest_more(self) -> str:
        texts = self.lobby.texts
        return f"{max(texts('more.next'), texts('more.first'), key=cell_len)} 9/9"

    @on(Page.Turned)
    def _page_turned(self, event: Page.Turned) -> None:
        self._turned = (event.number, event.of)
        self._label_more()
        # The bar first: as long as it is fitted to another width, it takes rows from the page that are the page's.
        self.call_after_refresh(self._fit_bar)

    def _fit_bar(self) -> None:
        for bar in self.query(Choices):
            bar.fit()
        self.call_after_refresh(self._offer_more)

    def _offer_more(self) -> None:
        if not self.query(Page) or not self.query(Choices):  # it is going, and they go before the button
            return
        for more in self.query("#more").results(Choice):
            was_focused = more.has_focus or self._more_had_focus
            self._more_had_focus = False
            more.display = self.query_one(Page).count > 1
            self.query_one(Choices).fit()
            if was_focused:
                (more if more.display else self.query("Choice:enabled").first()).focus()

    @on(Choices.Widened)
    def _ask_anew_for_more(self) -> None:
        """Whether pages are needed: a button to turn them that is there already would itself be a reason."""
        for more in self.query("#more").results(Choice):
            self._more_had_focus = self._more_had_focus or more.has_focus
            more.display = False
        self._fit_bar()

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
        elif event.key == "8" and any(
            more.display and more.digit == "2" for more in self.query("#more").results(Choice)
        ):
            self.query_one(Page).turn(-1)
        else:
            self._press_digit("0" if event.key in {"escape", "backspace"} else event.character)

    def _press_digit(self, digit: str | None) -> None:
        if digit and digit == self.LANGUAGE_DIGIT:
            self._switch_language()
            return
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
        self._deaf_until = self.lobby.stopwatch() + self.lobby.settle_seconds

    def hears(self, event: events.InputEvent) -> bool:
        """Whether `event` counts. One that comes too soon makes the wait longer, until the key is let go."""
        if isinstance(event, events.Key) and self.HEARS_KEYS_AT_ONCE:
            return True
        now = self.lobby.stopwatch()
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
