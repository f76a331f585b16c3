"""Terminals that are not as they should be."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kiosk.doctor.site import Site
from kiosk.doctor.tty import Tty
from tests.doctor.cases import House, case, on_terminal


@case("doctor.size.too-small")
async def too_small(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house, columns=59) as site:
        yield site


@case("doctor.size.unknown")
async def size_unknown(house: House) -> AsyncIterator[Site]:
    """Standard output has become something else since."""
    with (house.folder / "file").open("w") as file:
        site = house.site()
        site.terminal = Tty(file.fileno(), file.fileno())
        yield site


@case("doctor.colours.few")
async def few_colours(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house) as site:
        site.environment = {"TERM": "xterm-256color"}
        yield site


@case("doctor.colours.none")
async def no_colours(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house) as site:
        site.environment = {"TERM": "dumb"}
        yield site


@case("doctor.ambiguous.wide")
async def ambiguous(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house, ambiguous=2) as site:
        yield site


@case("doctor.wide.narrow")
async def narrow(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house, wide=3) as site:
        yield site


@case("doctor.mouse.none")
async def no_mouse(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house, modes={1000: 2, 1006: 0, 25: 1}) as site:
        yield site


@case("doctor.cursor.none")
async def no_cursor(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house, knows_modes=False) as site:
        yield site


@case("doctor.font.none")
async def no_font(house: House) -> AsyncIterator[Site]:
    program = house.folder / "fc-list"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    async with on_terminal(house) as site:
        site.environment = {**site.environment, "PATH": str(house.folder)}
        yield site


@case("doctor.font.console")
async def console(house: House) -> AsyncIterator[Site]:
    async with on_terminal(house) as site:
        site.environment = {**site.environment, "TERM": "linux"}
        yield site
