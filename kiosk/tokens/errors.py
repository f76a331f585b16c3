"""What can go wrong with a token, as exceptions of the UI's process."""

from __future__ import annotations

from kiosk.tokens.wire import FailureKind, StoreKind


class StoreFault(Exception):
    """Anything that goes wrong with a store."""

    store: StoreKind = StoreKind.USB
    """Which one it is; told by the process it happened in."""


class TokenError(StoreFault):
    """A request to a token was not carried out."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class TokenHangs(StoreFault):
    """The module did not answer within its time limit; its process was ended."""


class TokenProcessDied(StoreFault):
    """The token process is gone: the module crashed, or somebody killed it."""
