"""Why the CA says no: for an engineer enough, for an attacker nothing."""

from __future__ import annotations

from kiosk.cmp.vocabulary import FailInfo


class Refusal(Exception):
    """A request is not granted; `text` goes out to whoever asked, so it tells nothing that only the CA knows."""

    def __init__(self, failure: FailInfo, text: str) -> None:
        super().__init__(f"{failure.field_name}: {text}")
        self.failure = failure
        self.text = text
