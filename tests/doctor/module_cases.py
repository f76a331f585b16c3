"""Modules and tokens that are not as they should be."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from kiosk.doctor.module import Seen, seen_by_process
from kiosk.doctor.site import Known, Site
from kiosk.settings import Policy
from kiosk.tokens.process import Limits, ModuleSettings
from kiosk.tokens.wire import KeyKind, ModuleFacts, SlotFacts, TokenFacts
from tests.doctor.cases import House, case
from tests.tokens.pulled_token import PulledToken

TOKEN = TokenFacts(
    slot_id=1,
    serial="0011",
    label="SHINKIN-USB",
    manufacturer="M",
    model="T",
    removable=True,
    pin_set=True,
    pin_few_tries=False,
    pin_last_try=False,
    pin_locked=False,
    pin_to_be_changed=False,
)
READER = SlotFacts(description="Reader 1", removable=True, hardware=True)


def with_module(house: House, module: Path, **settings: object) -> Site:
    return house.site(Known(file=house.folder / "kiosk.toml", token=ModuleSettings(str(module), **settings)))  # type: ignore[arg-type]


def with_tokens(house: House, *tokens: TokenFacts, kinds: list[KeyKind] | None = None) -> Site:
    """As a token process would have told of them."""
    module = ModuleFacts("M", "Middleware", "1.2", "2.40", (READER,))
    site = house.site(Known(policy=Policy(key_kinds=(KeyKind.RSA_2048, KeyKind.EC_P256))))
    each = (kinds,) * len(tokens)
    site.told[seen_by_process] = Seen(module=module, tokens=tokens, kinds=each, makes=each)
    return site


def with_slots(house: House, *slots: SlotFacts) -> Site:
    site = house.site()
    site.told[seen_by_process] = Seen(module=ModuleFacts("M", "Middleware", "1.2", "2.40", slots))
    return site


def changed(**facts: object) -> TokenFacts:
    return msgspec.structs.replace(TOKEN, **facts)


@case("doctor.module.no-software-token")
async def no_software_token(house: House) -> AsyncIterator[Site]:
    site = house.site()
    site.software_modules = (house.folder / "none.so",)
    yield site


@case("doctor.module.missing")
async def missing(house: House) -> AsyncIterator[Site]:
    yield with_module(house, house.folder / "none.so")


@case("doctor.module.unusable")
async def unusable(house: House) -> AsyncIterator[Site]:
    module = house.folder / "module.so"
    module.write_bytes(b"no module")
    yield with_module(house, module)


def software_token(house: House) -> ModuleSettings:
    (module,) = (path for path in house.site().software_modules if path.exists())
    configuration, tokens = house.folder / "softhsm2.conf", house.folder / "tokens"
    tokens.mkdir()
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    return ModuleSettings(str(module), environment={"SOFTHSM2_CONF": str(configuration)})


@case("doctor.module.hangs")
async def hangs(house: House) -> AsyncIterator[Site]:
    token = PulledToken(software_token(house), house.folder)
    token.put_in()
    assert token.server is not None
    os.killpg(token.server.pid, signal.SIGSTOP)
    try:
        settings = token.settings
        yield with_module(house, Path(settings.module), environment=dict(settings.environment), limits=Limits(look=0.5))
    finally:
        token.pull()


@case("doctor.module.died")
async def died(house: House) -> AsyncIterator[Site]:
    """The dynamic linker tells what a program would load, and ends it (ld.so(8))."""
    settings = software_token(house)
    yield with_module(house, Path(settings.module), environment={"LD_TRACE_LOADED_OBJECTS": "1"})


@case("doctor.tokens.locked")
async def locked(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, changed(pin_locked=True))


@case("doctor.tokens.pin-not-set")
async def pin_not_set(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, changed(pin_set=False))


@case("doctor.tokens.alike")
async def alike(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, TOKEN, changed(slot_id=2, label="OTHER"))


@case("doctor.tokens.few-tries")
async def few_tries(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, changed(pin_few_tries=True))


@case("doctor.tokens.pin-to-be-changed")
async def pin_to_be_changed(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, changed(pin_to_be_changed=True))


@case("doctor.mechanisms.some")
async def some_kinds(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, TOKEN, kinds=[KeyKind.RSA_2048])


@case("doctor.mechanisms.none")
async def no_kinds(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, TOKEN, kinds=[KeyKind.RSA_3072])


@case("doctor.mechanisms.unknown")
async def kinds_unknown(house: House) -> AsyncIterator[Site]:
    yield with_tokens(house, TOKEN, kinds=None)


@case("doctor.pcsc.not-running")
async def no_pcscd(house: House) -> AsyncIterator[Site]:
    yield with_slots(house, READER)


@case("doctor.pcsc.no-reader")
async def no_reader(house: House) -> AsyncIterator[Site]:
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), house.pcscd):
        yield with_slots(house)
