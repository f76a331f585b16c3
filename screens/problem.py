"""One screen for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import ProblemAnswer
from kiosk.errors import Changed, Problem
from kiosk.text_keys import TextKey
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Banner, Beside, Big, Block, Centred, Facts, Gap, Heading, Prose, Together
from screens.widgets.choice import Choice
from screens.widgets.looks import Look

_CHANGED: dict[Changed, TextKey] = {
    Changed.NOTHING: "changed.nothing",
    Changed.UNFINISHED: "changed.unfinished",
    Changed.STORED: "changed.stored",
    Changed.UNFINISHED_ON_PC: "changed.unfinished-on-pc",
    Changed.STORED_ON_PC: "changed.stored-on-pc",
    Changed.STORED_FROM_PC: "changed.stored-from-pc",
    Changed.RENEWED: "changed.renewed",
    Changed.ENROLLING: "changed.enrolling",
    Changed.ENROLLED: "changed.enrolled",
}


class ProblemScreen(Question[ProblemAnswer]):
    """What happened, whether anything changed, what to do now, and the code to tell the teller."""

    HINT = "hint.choose"

    def __init__(self, lobby: Lobby, problem: Problem, *, called: bool = False, may_enrol: bool = False) -> None:
        super().__init__(lobby)
        self._problem = problem
        self._called = called
        self._may_enrol = may_enrol

    def on_mount(self) -> None:
        """Ring where staff has been called."""
        if self._called:
            self.app.bell()

    def blocks(self) -> Sequence[Block]:
        """The code beside what happened, then the rest."""
        texts, problem = self.lobby.texts, self._problem
        happened = Together(
            [
                Prose(texts.of_problem(problem, "happened"), Look.STRONG),
                Gap(),
                Prose(texts(_CHANGED[problem.changed])),
                Gap(),
                Together(
                    [
                        Prose(texts("problem-screen.now"), Look.KICKER),
                        Prose(texts.of_problem(problem, "customer")),
                    ]
                ),
            ]
        )
        label = texts("problem-screen.code")
        code = Beside(
            Together([Prose(label, Look.QUIET), Big(problem.code)]),
            happened,
            left_width=20,
            above=Facts([(label, problem.code)]),
        )
        if self._called:
            coming = Together([Banner(texts("call.coming")), Centred(texts("call.wait"))])
            return [coming, Gap(), code]
        return [Heading(texts("problem-screen.heading")), Gap(), code]

    def choices(self) -> Sequence[Choice]:
        """「OK」, 電子証明書取得 where that is the way on, and 係員を呼ぶ once."""
        texts = self.lobby.texts
        call = [] if self._called else [Choice(texts("call.button"), digit="3", id="call")]
        if not self._may_enrol:
            return [Choice(texts("ok"), digit="1", id="ok"), *call]
        enrol = Choice(texts("enrol.heading"), digit="1", id="enrol")
        return [enrol, *call, Choice(texts("ok"), digit="0", id="ok")]

    @on(Choice.Pressed, "#ok")
    def _ok(self) -> None:
        self.answer(ProblemAnswer.READ)

    @on(Choice.Pressed, "#enrol")
    def _enrol(self) -> None:
        self.answer(ProblemAnswer.ENROL)

    @on(Choice.Pressed, "#call")
    def _call(self) -> None:
        self.answer(ProblemAnswer.CALL)
