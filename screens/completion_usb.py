"""電子証明書の更新と専用USBへの保存が完了いたしました。: the end of a renewal into the USB."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import Errand
from screens.certificate_facts import subject_lines
from screens.completion import CompletionScreen
from screens.widgets.blocks import Block, Gap, Heading, Prose, Rule, Together
from screens.widgets.looks import Look


class CompletionUsbScreen(CompletionScreen):
    """The manual's page with the new certificate's details, in pages where it is too long."""

    def blocks(self) -> Sequence[Block]:
        """The manual's words, in the manual's order; the new expiry is ours."""
        texts, certificate = self.lobby.texts, self._certificate
        enrolled = self._errand is Errand.ENROLMENT
        heading = texts("completion-usb.heading-enrolment" if enrolled else "completion-usb.heading")
        body = [Prose(line) for line in texts("completion-usb.body").split("\n")]
        return [
            Together([Prose(texts("authority.title"), Look.KICKER), Heading(heading), Gap()]),
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
            self.new_expiry(),
            Prose(texts("completion.one-year")),
            *self.still_to_renew(),
            Gap(),
            Together([Rule(), Prose(texts("footer.copyright"), Look.QUIET)]),
        ]
