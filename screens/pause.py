"""How long it still is until the CA is asked again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kiosk.desk import Waiting
from kiosk.words import waiting_words
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Prose
from screens.widgets.looks import Look


class PauseClock:
    """Told when a pause begins and ends; knows the words for it at every moment."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._waiting: Waiting | None = None
        self._until = 0.0

    def tell(self, waiting: Waiting | None) -> None:
        """A pause begins; None: the CA is being asked."""
        now = self._lobby.stopwatch()
        if waiting:
            self._waiting = waiting
        self._until = now + waiting.seconds if waiting else now

    def clear(self) -> None:
        """The CA has answered."""
        self._waiting = None

    @property
    def is_on(self) -> bool:
        """Whether the CA could not be asked, and has not answered since."""
        return self._waiting is not None

    def blocks(self) -> Sequence[Block]:
        """Why, and how long; nothing where all is well."""
        if self._waiting is None:
            return ()
        left = math.ceil(self._until - self._lobby.stopwatch())
        why, how_long = waiting_words(self._waiting, left, self._lobby.texts)
        return (Prose(why, Look.STRONG), Prose(how_long))
