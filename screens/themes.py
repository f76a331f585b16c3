"""The two themes of the house, made from the palette."""

from __future__ import annotations

from dataclasses import asdict

from textual.theme import Theme

from styles.palette import NORMAL, REVERSED, Palette

DEFAULT_THEME = "kiosk"
_REVERSED_THEME = "kiosk-reversed"


def other_theme(name: str) -> str:
    """The name of the theme that is not `name`."""
    return _REVERSED_THEME if name == DEFAULT_THEME else DEFAULT_THEME


def themes() -> tuple[Theme, ...]:
    """The themes to register; the first is the default."""
    return _theme(DEFAULT_THEME, NORMAL, dark=False), _theme(_REVERSED_THEME, REVERSED, dark=True)


def _theme(name: str, palette: Palette, *, dark: bool) -> Theme:
    variables = {purpose.replace("_", "-"): colour for purpose, colour in asdict(palette).items()}
    return Theme(
        name=name,
        primary=palette.brand,
        foreground=palette.ink,
        background=palette.ground,
        surface=palette.paper,
        panel=palette.shade,
        warning=palette.warning,
        error=palette.warning,
        success=palette.done,
        dark=dark,
        text_alpha=1.0,
        variables=variables,
    )
