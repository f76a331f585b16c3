"""Where in the chapter the customer is: 通知 › 前処理 › 保存先 › 確認 › 保存 › 完了."""

from __future__ import annotations

from enum import Enum

from textual.content import Content
from textual.widget import Widget

from kiosk.text_keys import TextKey
from screens.lobby import Lobby


class Stage(Enum):
    """The stations of the chapter, in order."""

    NOTICE = 0
    PREPARATION = 1
    DESTINATION = 2
    CONFIRMATION = 3
    SAVING = 4
    DONE = 5


_NAMES: dict[Stage, TextKey] = {
    Stage.NOTICE: "trail.notice",
    Stage.PREPARATION: "trail.preparation",
    Stage.DESTINATION: "trail.destination",
    Stage.CONFIRMATION: "trail.confirmation",
    Stage.SAVING: "trail.saving",
    Stage.DONE: "trail.done",
}


class Trail(Widget):
    """The stations in one row; the present one stands in a box. Empty outside the chapter."""

    def __init__(self, lobby: Lobby, stage: Stage | None) -> None:
        super().__init__()
        self._lobby = lobby
        self._stage = stage

    def render(self) -> Content:
        """The row."""
        if self._stage is None:
            return Content("")
        whole = self._part(0, len(Stage))
        if whole.cell_length <= self.size.width:
            return whole
        return max(self._parts_that_fit(self._stage.value), key=lambda part: part.cell_length, default=whole)

    def _parts_that_fit(self, present: int) -> list[Content]:
        """Parts of the row with the present station in them; what is left out is an ellipsis."""
        parts = [self._part(begin, end) for begin in range(present + 1) for end in range(present + 1, len(Stage) + 1)]
        return [part for part in parts if part.cell_length <= self.size.width]

    def _part(self, begin: int, end: int) -> Content:
        shown = [self._station(stage) for stage in Stage if begin <= stage.value < end]
        more = Content.styled("…", "$quiet")
        ends = [more] if begin else [], [more] if end < len(Stage) else []
        return Content.styled(" › ", "$quiet").join([*ends[0], *shown, *ends[1]])

    def _station(self, stage: Stage) -> Content:
        name = self._lobby.texts(_NAMES[stage])
        if stage is self._stage:
            return Content.styled(f" {name} ", "bold $on-brand on $brand")
        return Content.styled(name, "$ink" if self._stage and stage.value < self._stage.value else "$quiet")
