"""The terminal that customers will look at: asked itself, or told by the environment as the kiosk's screens take it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import termios
from collections.abc import Iterable

from rich.console import Console

from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.site import Site
from kiosk.doctor.tty import CURSOR, MOUSE, MOUSE_SGR, Answers

SMALLEST = (60, 18)
"""Columns and lines of the large-text mode, below which no screen was made to fit."""
_FONTS_SECONDS = 10.0

_NO_TERMINAL = not_applicable("doctor.terminal.none")
_NO_ANSWER = not_applicable("doctor.terminal.no-answer")

_SIZE_GOOD = good("doctor.size.good")
_TOO_SMALL = bad("doctor.size.too-small")
_SIZE_UNKNOWN = bad("doctor.size.unknown")

_ALL_COLOURS = good("doctor.colours.good")
_FEW_COLOURS = warning("doctor.colours.few")
_NO_COLOURS = bad("doctor.colours.none")

_NARROW = good("doctor.ambiguous.good")
_NOT_NARROW = bad("doctor.ambiguous.wide")
_WIDE = good("doctor.wide.good")
_NOT_WIDE = bad("doctor.wide.narrow")

_MOUSE = good("doctor.mouse.good")
_NO_MOUSE = warning("doctor.mouse.none")
_CURSOR = good("doctor.cursor.good")
_NO_CURSOR = warning("doctor.cursor.none")

_FONT = good("doctor.font.good")
_NO_FONT = bad("doctor.font.none")
_CONSOLE = bad("doctor.font.console")
_ELSEWHERE = not_applicable("doctor.font.elsewhere")
_FONT_UNKNOWN = not_applicable("doctor.font.unknown")


async def _look_at_size(site: Site) -> Iterable[Finding]:
    if site.terminal is None:
        return [_NO_TERMINAL()]
    try:
        columns, lines = site.terminal.size()
    except OSError:
        return [_SIZE_UNKNOWN()]
    fits = columns >= SMALLEST[0] and lines >= SMALLEST[1]
    return [(_SIZE_GOOD if fits else _TOO_SMALL)(columns=columns, lines=lines)]


async def _look_at_colours(site: Site) -> Iterable[Finding]:
    """By the rules of the library that draws the screens; the launcher takes NO_COLOR and the like away."""
    if site.terminal is None:
        return [_NO_TERMINAL()]
    told = {name: site.environment[name] for name in ("TERM", "COLORTERM") if name in site.environment}
    system = Console(force_terminal=True, _environ=told).color_system
    saying = _ALL_COLOURS if system == "truecolor" else _FEW_COLOURS if system == "256" else _NO_COLOURS
    return [saying(term=told.get("TERM", ""), system=system or "-")]


async def _answers(site: Site) -> Answers | None:
    """None where there is no terminal."""
    if site.terminal is None:
        return None
    try:
        return await site.terminal.ask()
    except (OSError, termios.error):
        return Answers()


async def _unasked(site: Site) -> Finding | None:
    answers = await site.once(_answers)
    if answers is None:
        return _NO_TERMINAL()
    return None if answers.answered else _NO_ANSWER()


async def _look_at_ambiguous(site: Site) -> Iterable[Finding]:
    answers = await site.once(_answers)
    if answers is None or answers.ambiguous is None:
        return [await _unasked(site) or _NO_ANSWER()]
    return [_NARROW() if answers.ambiguous == 1 else _NOT_NARROW(cells=answers.ambiguous)]


async def _look_at_wide(site: Site) -> Iterable[Finding]:
    answers = await site.once(_answers)
    if answers is None or answers.wide is None:
        return [await _unasked(site) or _NO_ANSWER()]
    return [_WIDE() if answers.wide == 2 else _NOT_WIDE(cells=answers.wide)]


async def _look_at_mouse(site: Site) -> Iterable[Finding]:
    answers = await site.once(_answers)
    if answers is None or not answers.answered:
        return [await _unasked(site) or _NO_ANSWER()]
    return [_MOUSE() if {MOUSE, MOUSE_SGR} <= answers.modes else _NO_MOUSE()]


async def _look_at_cursor(site: Site) -> Iterable[Finding]:
    answers = await site.once(_answers)
    if answers is None or not answers.answered:
        return [await _unasked(site) or _NO_ANSWER()]
    return [_CURSOR() if CURSOR in answers.modes else _NO_CURSOR()]


async def _look_at_font(site: Site) -> Iterable[Finding]:
    """What a terminal draws with it does not tell; fontconfig tells what there is to draw with."""
    environment = site.environment
    if site.terminal is None:
        return [_NO_TERMINAL()]
    if environment.get("TERM") == "linux":
        return [_CONSOLE()]
    if "SSH_CONNECTION" in environment:
        return [_ELSEWHERE()]
    program = shutil.which("fc-list", path=environment.get("PATH"))
    fonts = None if program is None else await asyncio.to_thread(_fonts, program)
    if fonts is None:
        return [_FONT_UNKNOWN()]
    return [_FONT(font=fonts[0]) if fonts else _NO_FONT()]


def _fonts(program: str) -> list[str] | None:
    """The families that have Japanese (fc-list(1)); None where it does not say."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [program, ":lang=ja", "family"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_FONTS_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else sorted(done.stdout.decode("utf-8", "replace").splitlines())


_UNASKED = (_NO_TERMINAL, _NO_ANSWER)

CHECKS = (
    Check("doctor.check.size", _look_at_size, (_SIZE_GOOD, _TOO_SMALL, _SIZE_UNKNOWN, _NO_TERMINAL)),
    Check("doctor.check.colours", _look_at_colours, (_ALL_COLOURS, _FEW_COLOURS, _NO_COLOURS, _NO_TERMINAL)),
    Check("doctor.check.ambiguous", _look_at_ambiguous, (_NARROW, _NOT_NARROW, *_UNASKED)),
    Check("doctor.check.wide", _look_at_wide, (_WIDE, _NOT_WIDE, *_UNASKED)),
    Check("doctor.check.mouse", _look_at_mouse, (_MOUSE, _NO_MOUSE, *_UNASKED)),
    Check("doctor.check.cursor", _look_at_cursor, (_CURSOR, _NO_CURSOR, *_UNASKED)),
    Check("doctor.check.font", _look_at_font, (_FONT, _NO_FONT, _CONSOLE, _ELSEWHERE, _FONT_UNKNOWN, _NO_TERMINAL)),
)
