"""What both completion screens have in common: the end of a renewal, with the new certificate's details."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on

from kiosk.desk import Completion, CompletionAnswer
from kiosk.moments import until_words
from kiosk.words import held_words
from screens.frame import Question
from screens.lobby import Lobby
from screens.reminder import reminder_fits
from screens.widgets.blocks import Block, Facts, Gap, Notice, Prose, Together
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class CompletionScreen(Question[CompletionAnswer]):
    """The manual's page is a subclass's; the new expiry, the other IDs and the reminder are ours."""

    STAGE = Stage.DONE
    HINT = "hint.ok"

    def __init__(self, lobby: Lobby, completion: Completion) -> None:
        super().__init__(lobby)
        self._certificate = completion.certificate
        self._others = completion.others
        self._reminder = completion.reminder
        self._errand = completion.errand

    def new_expiry(self) -> Block:
        """Until when the new certificate is valid."""
        return Facts(
            [(self.lobby.texts("completion.new-expiry"), until_words(self._certificate.not_after, self.lobby.texts))]
        )

    def still_to_renew(self) -> list[Block]:
        """The token's other IDs whose time has come."""
        if not self._others:
            return []
        texts = self.lobby.texts
        heading = Notice(texts("completion.others"))
        return [Gap(), Together([heading, *(Prose(held_words(each, texts), mark="  ") for each in self._others)])]

    def choices(self) -> Sequence[Choice]:
        """「このウィンドウを閉じる」 and スマートフォンに残す, off where the terminal is too small for it."""
        texts = self.lobby.texts
        close = Choice(texts("completion.close"), digit="1", id="close")
        if self._reminder is None:
            return [close]
        fits = reminder_fits(self._reminder, texts, self.app.size)
        note = "" if fits else texts("completion.keep-too-small")
        return [close, Choice(texts("completion.keep"), digit="3", note=note, off=not fits, id="keep")]

    def on_resize(self, _event: events.Resize) -> None:
        """Other size: the code may fit now, or no longer."""
        self.retell()

    @on(Choice.Pressed, "#close")
    def _close(self) -> None:
        self.answer(CompletionAnswer.CLOSE)

    @on(Choice.Pressed, "#keep")
    def _keep(self) -> None:
        self.answer(CompletionAnswer.KEEP)
