"""The catalogue of problems: its page is up to date, and no code is one that nothing can lead to."""

from __future__ import annotations

import ast
from pathlib import Path

import kiosk
from kiosk.errors import Code
from kiosk.problem_page import PAGE, problem_page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == problem_page(), "python -m kiosk.problem_page writes it anew"


def test_every_code_has_its_place_on_the_page() -> None:
    assert [line[4:] for line in problem_page().splitlines() if line.startswith("### ")] == [str(code) for code in Code]


def test_every_code_is_raised_somewhere() -> None:
    assert {code.name for code in Code} - names_used() == set()


def names_used() -> set[str]:
    """The members of `Code` that the kiosk's modules name, besides the catalogue itself."""
    package = Path(kiosk.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py") if path.name != "errors.py"]
    return {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    }
