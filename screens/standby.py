"""待機画面: what the kiosk shows while nobody is served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual import events, on

from kiosk.desk import Standby
from kiosk.errors import Problem
from kiosk.texts import languages
from screens.frame import Frame
from screens.lobby import Lobby
from screens.widgets.blocks import Banner, Big, Block, Centred, Drawn, Gap, Prose
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.usb_picture import Way, usb_picture

_FOREIGN_SECONDS = 60
"""How long the standby screen stays in a language chosen by somebody who then does not begin."""


class StandbyScreen(Frame):
    """Invites the customer. It is the board of the reception, and nothing on it moves."""

    HINT = None
    AUTO_FOCUS = "#begin"

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby)
        self._standby = Standby.INSERT
        self._problem: Problem | None = None
        self._touch = asyncio.Event()

    def show(self, standby: Standby, problem: Problem | None = None) -> None:
        """Show this from now on; what is shown already is not drawn again."""
        if (standby, problem) != (self._standby, self._problem):
            self._standby, self._problem = standby, problem
            self.renew()

    def renew(self) -> None:
        """Draw everything anew: another state, or another language."""
        self.call_next(self._redraw)

    async def _redraw(self) -> None:
        await self.recompose()
        for begin in self.query("#begin"):
            begin.focus()

    async def touched(self) -> None:
        """Wait until the customer presses はじめる."""
        self._touch.clear()
        await self._touch.wait()

    def blocks(self) -> Sequence[Block]:
        """The picture, and what to do."""
        texts = self.lobby.texts
        if self._standby is Standby.OUT_OF_ORDER:
            code: list[Block] = (
                [Gap(), Prose(texts("standby.out-code")), Big(self._problem.code)] if self._problem else []
            )
            return [Gap(2), Banner(texts("standby.out")), Gap(2), Prose(texts("standby.out-hint")), *code]
        ready = self._standby is Standby.READY
        return [
            Drawn(usb_picture(texts("standby.usb"), Way.INSIDE if ready else Way.IN)),
            Gap(),
            Banner(texts("standby.ready" if ready else "standby.insert")),
            Gap(),
            Centred(texts("standby.ready-hint" if ready else "standby.insert-hint"), Look.QUIET),
        ]

    def choices(self) -> Sequence[Choice]:
        """はじめる where a touch begins the visit, and the other languages."""
        texts = self.lobby.texts
        begin = [Choice(texts("standby.begin"), digit="1", id="begin")]
        return [
            *(begin if self._standby is Standby.READY else []),
            Choice(texts("language.other"), digit="9", back=True, id="language"),
        ]

    def hint(self) -> str:
        """The demo says its PIN here, and nowhere else, and how to leave it."""
        pin, texts = self.lobby.branch.demo_pin, self.lobby.texts
        return "" if pin is None else f"{texts('standby.demo', pin=pin)}　　{texts('standby.demo-leave')}"

    def on_key(self, event: events.Key) -> None:
        """A demo can be left from here; a kiosk in a branch cannot. All other keys are the frame's."""
        if event.key == "ctrl+q" and self.lobby.branch.demo_pin is not None:
            event.prevent_default()
            self.app.exit()

    def _other_language(self) -> str:
        known = languages()
        return known[(known.index(self.lobby.texts.language) + 1) % len(known)]

    @on(Choice.Pressed, "#begin")
    def _begin(self) -> None:
        self._touch.set()

    @on(Choice.Pressed, "#language")
    def _switch_language(self) -> None:
        self.lobby.speak(self._other_language())
        self.renew()
        self.set_timer(_FOREIGN_SECONDS, self._fall_back)

    def _fall_back(self) -> None:
        """Whoever chose the language has gone without beginning."""
        if self.is_current:
            self.lobby.reset()
            self.renew()
