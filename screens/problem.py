"""One screen for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.errors import Changed, Problem
from kiosk.text_keys import TextKey
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Beside, Big, Block, Gap, Heading, Prose, Together
from screens.widgets.choice import Choice
from screens.widgets.looks import Look

_CHANGED: dict[Changed, TextKey] = {
    Changed.NOTHING: "changed.nothing",
    Changed.UNFINISHED: "changed.unfinished",
    Changed.STORED: "changed.stored",
    Changed.RENEWED: "changed.renewed",
}


class ProblemScreen(Question[None]):
    """What happened, whether anything changed, what to do now, and the code to tell the teller."""

    HINT = "hint.ok"

    def __init__(self, lobby: Lobby, problem: Problem) -> None:
        super().__init__(lobby)
        self._problem = problem

    def blocks(self) -> Sequence[Block]:
        """The code beside what happened, then the rest."""
        texts, problem = self.lobby.texts, self._problem
        happened = Together(
            [
                Prose(texts.of_problem(problem, "happened"), Look.STRONG),
                Gap(),
                Prose(texts(_CHANGED[problem.changed])),
                Gap(),
                Prose(texts("problem-screen.now"), Look.KICKER),
                Prose(texts.of_problem(problem, "customer")),
            ]
        )
        code = Together([Prose(texts("problem-screen.code"), Look.QUIET), Big(problem.code)])
        teller = Prose(texts("problem-screen.to-teller") + texts.of_problem(problem, "teller"), Look.QUIET)
        return [Heading(texts("problem-screen.heading")), Gap(), Beside(code, happened, left_width=20), Gap(), teller]

    def choices(self) -> Sequence[Choice]:
        """「OK」."""
        return [Choice(self.lobby.texts("ok"), digit="1", id="ok")]

    @on(Choice.Pressed, "#ok")
    def _ok(self) -> None:
        self.answer(None)
