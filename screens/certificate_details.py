"""証明書情報: everything a customer may want to know of a certificate."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import CertificateDetails
from kiosk.moments import days_words, minute_words, until_words
from kiosk.words import holder_words
from screens.certificate_facts import subject_lines
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Heading, Prose
from screens.widgets.choice import Choice
from screens.widgets.looks import Look


class CertificateDetailsScreen(Question[None]):
    """Whose, which, from when until when, by whom; then the subject as the manual prints it."""

    HINT = "hint.back"

    def __init__(self, lobby: Lobby, details: CertificateDetails) -> None:
        super().__init__(lobby)
        self._details = details

    def blocks(self) -> Sequence[Block]:
        """Facts first, then the subject, one attribute a line."""
        texts, details = self.lobby.texts, self._details
        certificate = details.credential.certificate
        facts = [
            (texts("fact.holder"), holder_words(details.credential.holder, texts)),
            (texts("fact.serial"), certificate.serial),
            (texts("fact.begin"), minute_words(certificate.not_before, texts)),
            (texts("fact.expiry"), until_words(certificate.not_after, texts)),
            (texts("fact.days-left"), days_words(details.days_left, texts)),
            (texts("fact.issuer"), details.authority),
        ]
        subject = [Prose(line, Look.QUIET) for line in subject_lines(certificate)]
        return [
            Heading(texts("details.heading")),
            Gap(),
            Facts(facts),
            Gap(),
            *subject,
        ]

    def choices(self) -> Sequence[Choice]:
        """もどる."""
        return [Choice(self.lobby.texts("back"), digit="0", back=True, id="back")]

    @on(Choice.Pressed, "#back")
    def _back(self) -> None:
        self.answer(None)
