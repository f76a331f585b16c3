"""メイン: what can be done with the certificate."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import MainMenu, MenuChoice
from kiosk.moments import date_words, days_words, until_words
from kiosk.words import holder_words
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Heading, Prose
from screens.widgets.choice import Choice


class MainMenuScreen(Question[MenuChoice]):
    """Offers the renewal, the certificate's details, another PIN, and the way out."""

    HINT = "hint.menu"

    def __init__(self, lobby: Lobby, menu: MainMenu) -> None:
        super().__init__(lobby)
        self._menu = menu

    def blocks(self) -> Sequence[Block]:
        """The certificate in short."""
        texts, credential = self.lobby.texts, self._menu.credential
        return [
            Heading(texts("menu.heading")),
            Gap(),
            Prose(texts("menu.body")),
            Gap(),
            Facts(
                [
                    (texts("fact.holder"), holder_words(credential.holder, texts)),
                    (texts("fact.common-name"), credential.certificate.common_name),
                    (texts("fact.expiry"), until_words(credential.certificate.not_after, texts)),
                    (texts("fact.days-left"), days_words(self._menu.days_left, texts)),
                ]
            ),
        ]

    def choices(self) -> Sequence[Choice]:
        """「証明書更新」, 証明書情報, 暗証番号変更 and 終了."""
        texts, renewable_from = self.lobby.texts, self._menu.renewable_from
        note = texts("menu.renewable-from", date=date_words(renewable_from, texts)) if renewable_from else ""
        note = texts("menu.unfinished") if self._menu.unfinished else note
        change_pin = [Choice(texts("menu.change-pin"), digit="3", id="change-pin")] if self._menu.changes_pin else []
        return [
            Choice(texts("menu.renew"), digit="1", note=note, off=renewable_from is not None, id="renew"),
            Choice(texts("menu.details"), digit="2", id="details"),
            *change_pin,
            self.theme_choice(),
            Choice(texts("menu.leave"), digit="0", back=True, id="leave"),
        ]

    @on(Choice.Pressed, "#renew")
    def _renew(self) -> None:
        self.answer(MenuChoice.RENEW)

    @on(Choice.Pressed, "#details")
    def _details(self) -> None:
        self.answer(MenuChoice.DETAILS)

    @on(Choice.Pressed, "#change-pin")
    def _change_pin(self) -> None:
        self.answer(MenuChoice.CHANGE_PIN)

    @on(Choice.Pressed, "#leave")
    def _leave(self) -> None:
        self.answer(MenuChoice.LEAVE)
