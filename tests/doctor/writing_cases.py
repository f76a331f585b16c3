"""Settings that let nothing come onto a token, or not as it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from kiosk.doctor.site import Site
from kiosk.settings import Policy
from kiosk.tokens.modules import Known, Traits
from kiosk.tokens.process import ModuleSettings
from kiosk.tokens.wire import KeyKind, KeyOrigin, TokenFacts
from tests.doctor.cases import House, case
from tests.doctor.module_cases import TOKEN, changed, with_tokens

OFFICER_WRITES = Known(model="T", so_login_to_write=True)


def told(house: House, *known: Known, so_pin_file: Path | str = "", token: TokenFacts = TOKEN) -> Site:
    """A kiosk with these settings, and a token that makes everything."""
    site = with_tokens(house, token, kinds=list(KeyKind))
    settings = ModuleSettings("module.so", known=known, so_pin_file=str(so_pin_file))
    site.known = replace(site.known, token=settings)
    return site


def so_pin_file(house: House, mode: int = 0o600) -> Path:
    file = house.folder / "so-pin"
    file.write_text("12345678\n")
    file.chmod(mode)
    return file


def with_origin(house: House, origin: KeyOrigin, makes: list[KeyKind]) -> Site:
    site = with_tokens(house, TOKEN, kinds=makes)
    site.known = replace(site.known, policy=Policy(key_origin=origin))
    return site


@case("doctor.so-pin.missing")
async def missing(house: House) -> AsyncIterator[Site]:
    yield told(house, token=changed(traits=Traits(so_login_to_write=True)))


@case("doctor.so-pin.unusable")
async def readable_by_others(house: House) -> AsyncIterator[Site]:
    yield told(house, OFFICER_WRITES, so_pin_file=so_pin_file(house, 0o640))


@case("doctor.so-pin.needless")
async def needless(house: House) -> AsyncIterator[Site]:
    yield told(house, so_pin_file=so_pin_file(house))


@case("doctor.key-origin.cannot-make")
async def cannot_make(house: House) -> AsyncIterator[Site]:
    yield with_origin(house, KeyOrigin.INSIDE, [])


@case("doctor.key-origin.needless")
async def needlessly_imported(house: House) -> AsyncIterator[Site]:
    yield with_origin(house, KeyOrigin.EXPORT, [KeyKind.EC_P256])


@case("doctor.known.all")
async def row_of_all(house: House) -> AsyncIterator[Site]:
    yield told(house, Known(so_login_to_write=False))


@case("doctor.known.nothing")
async def row_of_nothing(house: House) -> AsyncIterator[Site]:
    yield told(house, Known(model="T"))
