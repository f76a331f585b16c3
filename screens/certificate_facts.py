"""What of a certificate is shown, short and in full."""

from __future__ import annotations

from kiosk.certificates import Certificate
from kiosk.moments import until_words
from kiosk.texts import Texts
from screens.widgets.blocks import Facts


def short_facts(certificate: Certificate, texts: Texts) -> Facts:
    """Whose, which, until when."""
    return Facts(
        [
            (texts("fact.common-name"), certificate.common_name),
            (texts("fact.serial"), certificate.serial),
            (texts("fact.expiry"), until_words(certificate.not_after, texts)),
        ]
    )


def subject_lines(certificate: Certificate) -> list[str]:
    """The subject as the manual prints it, one attribute a line, in the order of the certificate."""
    return [f"{line.name} = {line.value}" for line in certificate.subject]
