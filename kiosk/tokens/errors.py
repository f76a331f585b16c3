"""What can go wrong with a token, as exceptions of the UI's process."""

from __future__ import annotations

from kiosk.tokens.wire import FailureKind


class TokenError(Exception):
    """A request to a token was not carried out."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class TokenHangs(Exception):
    """The module did not answer within its time limit; its process was ended."""


class TokenProcessDied(Exception):
    """The token process is gone: the module crashed, or somebody killed it."""
