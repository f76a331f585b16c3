"""Whatever is asked of a token has a limit, after which its process is ended."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec

from kiosk.credentials import Credential
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenHangs
from kiosk.tokens.process import Limits
from kiosk.tokens.token import AtPad, Token
from kiosk.tokens.wire import KeyKind, KeyOrigin, ObjectKind, StoredObject
from tests.bank import Bank, child_processes

_NOTHING = StoredObject(ObjectKind.CERTIFICATE, b"", "")


def pin() -> Pin:
    return Pin(bytearray(DEMO_PIN, "ascii"))


async def never_again(attempt: Callable[[], Awaitable[None]]) -> None:
    """Nobody is asked to type the PIN at the reader once more."""


ASKED: dict[str, Callable[[Token, Credential], Awaitable[object]]] = {
    "look": lambda token, _: token.look(),
    "check_presence": lambda token, _: token.check_presence(),
    "log_in": lambda token, _: token.log_in(pin()),
    "log_in_at_pad": lambda token, _: token.log_in_at_pad(AtPad(never_again, never_again)),
    "open_without_pin": lambda token, _: token.open_without_pin(),
    "change_pin": lambda token, _: token.change_pin(pin(), pin()),
    "change_pin_at_pad": lambda token, _: token.change_pin_at_pad(),
    "unblock": lambda token, _: token.unblock(pin(), pin()),
    "log_in_afresh": lambda token, _: token.log_in_afresh(),
    "inventory": lambda token, _: token.inventory(),
    "key_kinds": lambda token, _: token.key_kinds(),
    "room": lambda token, _: token.room(),
    "make_key_pair": lambda token, _: token.make_key_pair(KeyKind.EC_P256, bytes(16), ""),
    "make_key_pair, exported": lambda token, _: token.make_key_pair(KeyKind.EC_P256, b"", "", KeyOrigin.EXPORT),
    "sign": lambda token, old: token.sign(old.key_id, old.certificate.public_key, b""),
    "proves": lambda token, old: token.proves(old),
    "write_certificate": lambda token, old: token.write_certificate(old.certificate, b"", ""),
    "relabel": lambda token, old: token.relabel(old.key_id, ""),
    "remove": lambda token, _: token.remove(_NOTHING),
}
"""Every request that a token takes, by the name of the method."""

ASKS_NOTHING = "process_lost"
"""Waits for the process to end, however long that takes."""


def test_nothing_that_can_be_asked_is_missing() -> None:
    methods = {
        name for name, each in vars(Token).items() if inspect.iscoroutinefunction(each) and not name.startswith("_")
    }
    assert methods == {ASKS_NOTHING, *(name.partition(",")[0] for name in ASKED)}


async def test_whatever_hangs_is_ended_within_its_limit(bank: Bank) -> None:
    old = await bank.credential()
    before = child_processes()

    async def hangs(token: Token, ask: Callable[[Token, Credential], Awaitable[object]]) -> bool:
        try:
            await ask(token, old)
        except TokenHangs:
            return True
        return False

    async with AsyncExitStack() as opened:
        tokens = []
        for _ in ASKED:  # one after another: SoftHSM hides a token from others for the moment in which one logs in
            token = await opened.enter_async_context(await bank.open_token())
            os.kill(token._process.pid, signal.SIGSTOP)
            token._process.limits = Limits(*[0.2] * len(msgspec.structs.fields(Limits)))
            token._settings = msgspec.structs.replace(bank.settings.token, limits=token._process.limits)
            tokens.append(token)
        hung = await asyncio.gather(*(hangs(each, ask) for each, ask in zip(tokens, ASKED.values(), strict=True)))
    assert dict(zip(ASKED, hung, strict=True)) == dict.fromkeys(ASKED, True)
    assert child_processes() == before
