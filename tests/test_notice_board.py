from __future__ import annotations

import pyte
import pytest
from rich.cells import cell_len

from kiosk.errors import Code
from kiosk.notice_board import drawn, out_of_order, starting
from kiosk.texts import Texts


def shown(lines: list[str], columns: int, rows: int) -> list[str]:
    """What a terminal of this size shows."""
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed("something that was there before" * rows + drawn(lines, columns, rows))
    return ["".join(screen.buffer[row][column].data for column in range(columns)) for row in range(rows)]


@pytest.mark.parametrize("size", [(120, 34), (80, 24), (60, 18)])
def test_out_of_order_is_told_in_both_languages_with_its_code(size: tuple[int, int]) -> None:
    seen = shown(out_of_order(Code.KIOSK_CRASHED), *size)
    together = "".join("".join(row.split()) for row in seen)
    for language in ("ja", "en"):
        for text in (Texts(language)("standby.out"), Texts(language)("standby.out-hint"), "K-03"):
            assert "".join(text.split()) in together
    assert "before" not in together


@pytest.mark.parametrize("size", [(120, 34), (60, 18)])
def test_it_stands_in_the_middle(size: tuple[int, int]) -> None:
    columns, rows = size
    seen = shown(starting(), columns, rows)
    (row, line) = next((row, line) for row, line in enumerate(seen) if "One moment" in line)
    assert abs(row - rows / 2) <= 1
    left, right = len(line) - len(line.lstrip()), columns - cell_len(line.rstrip())
    assert abs(left - right) <= 1


@pytest.mark.parametrize("columns", [1, 2, 7, 20, 41])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    """Else the terminal would wrap it over the next one."""
    said = drawn(out_of_order(Code.KIOSK_CRASHED), columns, 200)
    placed = [part.partition("H")[2] for part in said.split("\x1b[") if part.partition("H")[1]]
    assert all(cell_len(each) <= max(columns, 2) for each in placed)


def test_a_catalogue_that_cannot_be_read_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> tuple[str, ...]:
        raise OSError("the disc has gone")

    monkeypatch.setattr("kiosk.texts.languages", unreadable)
    told = out_of_order(Code.KIOSK_CRASHED)
    assert "調整中" in told[0]
    assert "Out of order" in told[0]
    assert told[-1] == "K-03"
