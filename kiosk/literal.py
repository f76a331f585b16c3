"""Text from outside on its way to a terminal: it is shown, and does nothing."""

from __future__ import annotations


def literal(text: str) -> str:
    r"""`text` with every character that is not printed written as its escape, as `\x1b`.

    So neither control characters nor those that turn the direction of writing reach the terminal.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
