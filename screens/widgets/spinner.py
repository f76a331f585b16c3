"""One row that shows that work is going on."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from screens.lobby import Lobby

_DOTS = 5


class Spinner(Widget):
    """A dot that goes from left to right, twice a second; where it stands is told by the clock alone."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__()
        self._lobby = lobby

    def on_mount(self) -> None:
        """Begin to move."""
        self.set_interval(0.5, self.refresh)

    def render(self) -> Content:
        """The dots."""
        at = int(self._lobby.clock().timestamp() * 2) % _DOTS
        return Content("  ").join(
            [Content.styled("●", "$brand") if dot == at else Content.styled("○", "$line") for dot in range(_DOTS)]
        )
