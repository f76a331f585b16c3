"""待機画面: what the kiosk shows while nobody is served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from textual import events, on
from textual.timer import Timer

from kiosk.desk import Errand, Standby
from kiosk.errors import Problem
from screens.forgetting import forget_found
from screens.frame import Frame
from screens.lobby import Lobby
from screens.themes import DEFAULT_THEME
from screens.widgets.blocks import Banner, Big, Block, Centred, Drawn, Gap, Prose
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.usb_picture import Way, usb_picture

_FOREIGN_SECONDS = 60
"""How long the standby screen stays in a language or theme chosen by somebody who then does not begin."""
_COMING_SECONDS = 20
"""How long 係員がまいります is shown."""


class StandbyScreen(Frame):
    """Invites the customer. It is the board of the reception, and nothing on it moves."""

    HINT = None
    AUTO_FOCUS = "#begin"
    LANGUAGE_DIGIT = None

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby)
        self._standby = Standby.INSERT
        self._problem: Problem | None = None
        self._pc_login = False
        """Whether certificates of this PC can be used."""
        self._touch = asyncio.Event()
        self._call = asyncio.Event()
        self._errand = Errand.RENEWAL
        self._coming = False
        """Whether 係員がまいります is shown."""
        self._falls_back: Timer | None = None

    def show(self, standby: Standby, problem: Problem | None = None, pc_login: bool = False) -> None:
        """Show this from now on; what is shown already is not drawn again."""
        if (standby, problem, pc_login) != (self._standby, self._problem, self._pc_login):
            self._standby, self._problem, self._pc_login = standby, problem, pc_login
            self.renew()

    def renew(self) -> None:
        """Draw everything anew: another state, or another language."""
        self.call_next(self._redraw)

    async def _redraw(self) -> None:
        await self.recompose()
        forget_found(self)
        for begin in self.query("#begin"):
            begin.focus()

    @property
    def errand(self) -> Errand:
        """What the customer who comes next has pressed a button for."""
        return self._errand

    async def touched(self) -> None:
        """Wait until the customer presses はじめる, 電子証明書取得, or このパソコンの証明書でログイン."""
        self._touch.clear()
        await self._touch.wait()

    async def called(self) -> None:
        """Wait until the customer presses 係員を呼ぶ."""
        self._call.clear()
        await self._call.wait()

    def blocks(self) -> Sequence[Block]:
        """The picture, and what to do."""
        texts = self.lobby.texts
        if self._coming:
            return [Gap(2), Banner(texts("call.coming")), Gap(), Centred(texts("call.wait"), Look.QUIET)]
        if self._standby is Standby.OUT_OF_ORDER:
            code: list[Block] = (
                [Gap(), Prose(texts("standby.out-code")), Big(self._problem.code)] if self._problem else []
            )
            return [Gap(2), Banner(texts("standby.out")), Gap(2), Prose(texts("standby.out-hint")), *code]
        if self._standby is Standby.BLANK:
            return self._of_blank()
        ready = self._standby is Standby.READY
        hint = texts("standby.ready-hint" if ready else "standby.insert-hint")
        if self._errand is Errand.ENROLMENT and not ready:
            hint = texts("standby.enrol-hint")
        return [
            Drawn(usb_picture(texts("standby.usb"), Way.INSIDE if ready else Way.IN)),
            Gap(),
            Banner(texts("standby.ready" if ready else "standby.insert")),
            Gap(),
            Centred(hint, Look.QUIET),
        ]

    def _of_blank(self) -> Sequence[Block]:
        texts = self.lobby.texts
        code: list[Block] = [Gap(), Prose(texts("standby.out-code")), Big(self._problem.code)] if self._problem else []
        return [Gap(2), Banner(texts("standby.blank")), Gap(2), Prose(texts("standby.blank-hint")), *code]

    def choices(self) -> Sequence[Choice]:
        """はじめる where a touch begins the visit, the other ways in, 係員を呼ぶ, and the other theme and language."""
        texts = self.lobby.texts
        begin = [Choice(texts("standby.begin"), digit="1", id="begin")]
        return [
            *(begin if self._standby is Standby.READY else []),
            *self._enrol_choice(),
            Choice(texts("call.button"), digit="3", off=self._coming, id="call"),
            *self._pc_choice(),
            self.theme_choice(),
            Choice(self.lobby.next_language_name(), digit="9", back=True, id="language"),
        ]

    def _enrol_choice(self) -> list[Choice]:
        """電子証明書取得; while the token is waited for, the way back from it."""
        if self._standby is Standby.OUT_OF_ORDER:
            return []
        texts = self.lobby.texts
        if self._errand is Errand.ENROLMENT:
            return [Choice(texts("back"), digit="2", room_for=texts("enrol.heading"), id="enrol")]
        return [Choice(texts("enrol.heading"), digit="2", id="enrol")]

    def _pc_choice(self) -> list[Choice]:
        """このパソコンの証明書でログイン, which needs no token."""
        label = self.lobby.texts("standby.pc-login")
        return [Choice(label, digit="4", back=True, id="pc-login")] if self._pc_login else []

    def hint(self) -> str:
        """The demo says its PIN and code here, and nowhere else, and how to leave it."""
        branch, texts = self.lobby.branch, self.lobby.texts
        if branch.demo_pin is None:
            return ""
        known = texts("standby.demo", pin=branch.demo_pin)
        if branch.demo_code:
            known = texts("standby.demo-code", pin=branch.demo_pin, code=branch.demo_code)
        return f"{known}　　{texts('standby.demo-leave')}"

    def on_key(self, event: events.Key) -> None:
        """A demo can be left from here; a kiosk in a branch cannot. All other keys are the frame's."""
        if event.key == "ctrl+q" and self.lobby.branch.demo_pin is not None:
            event.stop()
            event.prevent_default()
            self.app.exit()

    @on(events.ScreenSuspend)
    def _next_customer(self) -> None:
        """What one customer has come for is nothing to the next."""
        self._errand = Errand.RENEWAL

    @on(Choice.Pressed, "#begin")
    def _begin(self) -> None:
        self._errand = Errand.RENEWAL
        self._touch.set()

    @on(Choice.Pressed, "#enrol")
    def _enrol(self) -> None:
        """Begin, or wait for the token; whoever has changed his mind goes back to the usual errand."""
        if self._standby is Standby.READY:
            self._errand = Errand.ENROLMENT
            self._touch.set()
            return
        self._errand = Errand.RENEWAL if self._errand is Errand.ENROLMENT else Errand.ENROLMENT
        self.retell()
        self._fall_back_later()

    @on(Choice.Pressed, "#pc-login")
    def _log_in_at_pc(self) -> None:
        self._errand = Errand.PC_LOGIN
        self._touch.set()

    @on(Choice.Pressed, "#call")
    def _call_staff(self) -> None:
        """Answer at once; what comes of the call is the reception's."""
        self._call.set()
        self.app.bell()
        self._show_coming(True)
        self.set_timer(_COMING_SECONDS, partial(self._show_coming, False))

    def _show_coming(self, coming: bool) -> None:
        self._coming = coming
        self.retell()

    @on(Choice.Pressed, "#language")
    def _other_language(self) -> None:
        self._switch_language()
        self._fall_back_later()

    @on(Choice.Pressed, "#theme")
    def _fall_back_later(self) -> None:
        """Whoever chose language, theme or errand may go without beginning."""
        if self._falls_back:
            self._falls_back.stop()
        self._falls_back = self.set_timer(_FOREIGN_SECONDS, self._fall_back)

    def _fall_back(self) -> None:
        if self.is_current:
            self._errand = Errand.RENEWAL
            self.lobby.reset()
            self.app.theme = DEFAULT_THEME
            self.retell()
