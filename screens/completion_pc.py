"""電子証明書のインストールが完了しました: the end of a renewal into this PC."""

from __future__ import annotations

from collections.abc import Sequence

from screens.completion import CompletionScreen
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose, Together
from screens.widgets.looks import Look


class CompletionPcScreen(CompletionScreen):
    """The manual's page 「電子証明書発行 発行完了」, in pages where it is too long."""

    def blocks(self) -> Sequence[Block]:
        """The manual's words, in the manual's order; the new expiry and the word about the browser are ours."""
        texts = self.lobby.texts
        title = f"{texts('completion-pc.window')}　{texts('authority.title')}"
        return [
            Together([Prose(title, Look.KICKER), Heading(texts("completion-pc.heading")), Gap()]),
            *(Prose(line) for line in texts("completion-pc.body").split("\n")),
            Gap(),
            Together(
                [
                    Prose(texts("completion.details"), Look.STRONG),
                    Prose(texts("completion.serial", serial=self._certificate.serial), mark="  "),
                ]
            ),
            Gap(),
            self.new_expiry(),
            Prose(texts("completion-pc.only-here")),
            Prose(texts("completion.one-year")),
            Gap(),
            Notice(texts("completion-pc.end-browser")),
            *self.still_to_renew(),
        ]
