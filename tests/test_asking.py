"""A customer who gives up while the CA is asked: at once, but for what the token is in the middle of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from kiosk.asking import Asking, GivenUp, always
from kiosk.cmp.retry import NEVER
from kiosk.desk import Waiting
from kiosk.journal import VisitRecord
from kiosk.services import Services
from kiosk.tokens.token import Token

_TURNS = 10
"""Of the loop, in which whatever can happen has happened."""


class Signing:
    """A token that signs until it is let go on, and whose process would end if that were cancelled."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.is_torn = False
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        async with self._turn:
            yield

    async def sign(self) -> None:
        async with self._turn:
            try:
                await self.goes_on.wait()
            except asyncio.CancelledError:
                self.is_torn = True
                raise


class Waits:
    """A customer who presses 中止 when `presses` is set."""

    def __init__(self) -> None:
        self.presses = asyncio.Event()

    def pauses(self, waiting: Waiting | None) -> None:
        """Nothing is shown."""

    async def given_up(self) -> None:
        await self.presses.wait()


async def test_a_signature_is_waited_for_and_what_comes_after_is_not() -> None:
    token, wait = Signing(), Waits()
    asking = Asking(cast("Services", SimpleNamespace(retry=NEVER)), cast("VisitRecord", None), cast("Token", token))

    async def ask() -> None:
        await token.sign()
        await asyncio.Event().wait()

    asked = asyncio.create_task(asking.unless_given_up(ask, wait, always))
    wait.presses.set()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    assert not asked.done()
    token.goes_on.set()
    with pytest.raises(GivenUp):
        await asked
    assert not token.is_torn
