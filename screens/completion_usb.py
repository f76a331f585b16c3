"""電子証明書の更新と専用USBへの保存が完了いたしました。: the end of a renewal into the USB."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import Completion
from kiosk.moments import until_words
from screens.certificate_facts import subject_lines
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Heading, Prose, Rule, Together
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.trail import Stage


class CompletionUsbScreen(Question[None]):
    """The manual's page with the new certificate's details, in pages where it is too long."""

    STAGE = Stage.DONE
    HINT = "hint.ok"

    def __init__(self, lobby: Lobby, completion: Completion) -> None:
        super().__init__(lobby)
        self._certificate = completion.certificate

    def blocks(self) -> Sequence[Block]:
        """The manual's words, in the manual's order; the new expiry is ours."""
        texts, certificate = self.lobby.texts, self._certificate
        body = [Prose(line) for line in texts("completion-usb.body").split("\n")]
        return [
            Together([Prose(texts("authority.title"), Look.KICKER), Heading(texts("completion-usb.heading")), Gap()]),
            *body,
            Gap(),
            Together(
                [
                    Prose(texts("completion.details"), Look.STRONG),
                    *(Prose(line, mark="  ") for line in subject_lines(certificate)),
                ]
            ),
            Gap(),
            Prose(texts("completion.serial", serial=certificate.serial), mark="  "),
            Gap(),
            Facts([(texts("completion.new-expiry"), until_words(certificate.not_after, texts))]),
            Prose(texts("completion.one-year")),
            Gap(),
            Together([Rule(), Prose(texts("footer.copyright"), Look.QUIET)]),
        ]

    def choices(self) -> Sequence[Choice]:
        """「このウィンドウを閉じる」."""
        return [Choice(self.lobby.texts("completion.close"), digit="1", id="close")]

    @on(Choice.Pressed, "#close")
    def _close(self) -> None:
        self.answer(None)
