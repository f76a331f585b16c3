"""電子証明書更新開始: where to save the new certificate."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import Destination, DestinationQuestion, Help
from kiosk.text_keys import TextKey
from kiosk.words import WHY_OFF
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Prose, Rule, Together
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.trail import Stage


class RenewalStartScreen(Question[Destination | Help | None]):
    """The manual's page, its notes in pages below. 2 and 8 turn pages here, so the buttons are 1 and 3."""

    STAGE = Stage.DESTINATION
    HINT = "hint.back"

    def __init__(self, lobby: Lobby, question: DestinationQuestion) -> None:
        super().__init__(lobby)
        self._question = question

    def blocks(self) -> Sequence[Block]:
        """The manual's words, in the manual's order."""
        texts = self.lobby.texts
        return [
            Together([Prose(texts("authority.title"), Look.KICKER), Heading(texts("renewal-start.heading")), Gap()]),
            Prose(texts("renewal-start.body")),
            Gap(),
            Together(
                [
                    Prose(texts("renewal-start.notes"), Look.STRONG),
                    Prose(texts("renewal-start.note-application"), mark="・"),
                ]
            ),
            Prose(texts("renewal-start.note-software"), mark="・", strong=texts("renewal-start.note-software-strong")),
            Gap(),
            Prose(texts("renewal-start.link"), Look.KICKER),
            Gap(),
            Together([Rule(), Prose(texts("footer.copyright"), Look.QUIET)]),
        ]

    def choices(self) -> Sequence[Choice]:
        """「パソコンに保存する」 「専用USBに保存する」, off where it cannot be chosen, with the reason."""
        return [
            self._destination(Destination.PC, "renewal-start.pc", "1"),
            self._destination(Destination.USB, "renewal-start.usb", "3", "renewal-start.usb-note"),
            Choice(self.lobby.texts("renewal-start.help"), digit="4", back=True, id="help"),
            Choice(self.lobby.texts("back"), digit="0", back=True, id="back"),
        ]

    def _destination(self, destination: Destination, label: TextKey, digit: str, note: TextKey | None = None) -> Choice:
        texts, why = self.lobby.texts, self._question.off.get(destination)
        says = WHY_OFF[why] if why else note
        said = texts(says) if says else ""
        return Choice(texts(label), digit=digit, note=said, off=why is not None, id=destination.value)

    @on(Choice.Pressed, "#pc")
    def _pc(self) -> None:
        self.answer(Destination.PC)

    @on(Choice.Pressed, "#usb")
    def _usb(self) -> None:
        self.answer(Destination.USB)

    @on(Choice.Pressed, "#help")
    def _help(self) -> None:
        self.answer(Help.WANTED)

    @on(Choice.Pressed, "#back")
    def _back(self) -> None:
        self.answer(None)
