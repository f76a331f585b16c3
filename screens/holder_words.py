"""An ID in a customer's words."""

from __future__ import annotations

from kiosk.credentials import Holder, HolderKind
from kiosk.texts import Texts


def holder_words(holder: Holder, texts: Texts) -> str:
    """管理者ID or 利用者ID, and the ID."""
    administrator = holder.kind is HolderKind.ADMINISTRATOR
    return texts("holder.administrator" if administrator else "holder.user", id=holder.id)
