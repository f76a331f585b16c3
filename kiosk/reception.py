"""What the kiosk does between visits: wait for a token, serve its owner, see the token out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from kiosk.desk import Desk, Standby, StandbyBoard
from kiosk.errors import Code, KioskError, Problem
from kiosk.idle import IdleLimit
from kiosk.journal import Event
from kiosk.problems import as_problems
from kiosk.services import Services
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import TokenFacts
from kiosk.visit import LOOK_EVERY, Outcome, hold_visit

_TRY_AGAIN_AFTER = 5.0
"""Seconds before a module that could not be used is tried again."""


class FrontDesk:
    """Keeps `kiosk.desk.Reception`, with real tokens."""

    def __init__(self, services: Services, module: ModuleSettings) -> None:
        """Serve with `services` the owners of tokens that `module` shows."""
        self._services = services
        self._module = module
        self._lookout: TokenProcess | None = None

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        """Look for tokens until one is put in, or until somebody touches the screen where one always is."""
        while True:
            try:
                found = await self._look()
            except KioskError as error:
                board.show(Standby.OUT_OF_ORDER, error.problem)
                await asyncio.sleep(_TRY_AGAIN_AFTER)
                continue
            if any(facts.removable for facts in found):
                return
            if found:
                board.show(Standby.READY)
                await board.touched()
                return
            board.show(Standby.INSERT)
            await asyncio.sleep(LOOK_EVERY)

    async def serve(self, desk: Desk) -> None:
        """One visit, and then the token out. Problems are shown at the desk."""
        try:
            token = await self.the_token()
        except KioskError as error:
            await self._explain(desk, await self._noted(error.problem))
            return
        await self.serve_token(desk, token)
        await self._see_out(desk, token.facts)

    async def serve_token(self, desk: Desk, token: Token) -> Outcome:
        """One visit with `token`, and what went wrong explained; how it ended."""
        outcome = await hold_visit(desk, token, self._services, lambda: self._is_in(token.facts))
        if outcome.problem:
            await self._explain(desk, outcome.problem)
        return outcome

    async def the_token(self) -> Token:
        """The one token that is in, in the process that saw it.

        Raises:
            KioskError: none is in, several are, or the module cannot be used.
        """
        found = await self._look()
        if not found:
            raise KioskError(Code.TOKEN_TAKEN_OUT)
        if len(found) > 1:
            raise KioskError(Code.TOO_MANY_TOKENS, f"{len(found)} tokens")
        lookout, self._lookout = await self._looking(), None
        return Token(self._module, lookout, found[0], self._services.policy.holder_rule)

    async def close(self) -> None:
        """End the process that looks for tokens."""
        if self._lookout:
            lookout, self._lookout = self._lookout, None
            await lookout.end()

    async def _look(self) -> list[TokenFacts]:
        """The tokens that are in. A pulled token may take its module down; then a fresh process is asked.

        Raises:
            KioskError: the module cannot be used.
        """
        for last_try in (False, True):
            try:
                with as_problems():
                    return await find_tokens(await self._looking())
            except KioskError:
                await self.close()
                if last_try:
                    raise
        return []

    async def _looking(self) -> TokenProcess:
        if self._lookout is None:
            self._lookout = TokenProcess.start(self._module)
        return self._lookout

    async def _noted(self, problem: Problem) -> Problem:
        """`problem`, once it is in the journal; where it cannot be, that is the problem to be told."""
        try:
            record = self._services.journal.begin_visit("")
            await record.note(Event.PROBLEM, code=problem.code, detail=problem.detail)
        except KioskError as error:
            return error.problem
        return problem

    async def _is_in(self, facts: TokenFacts) -> bool:
        try:
            return any(each.serial == facts.serial for each in await self._look())
        except KioskError:
            return False

    async def _explain(self, desk: Desk, problem: Problem) -> None:
        """Show a problem until it is read, or nobody is there to read it."""
        limit = IdleLimit(self._services.policy.idle_seconds, lambda: desk.last_touched)
        await _first_of(desk.show_problem(problem), limit.reached())

    async def _see_out(self, desk: Desk, facts: TokenFacts) -> None:
        """Ask for the token to be taken out; its login has ended, so nobody else can use it meanwhile."""
        await _first_of(desk.ask_take_out(removable=facts.removable), self._until_out(facts))

    async def _until_out(self, facts: TokenFacts) -> None:
        while True:
            if not await self._is_in(facts):
                return
            await asyncio.sleep(LOOK_EVERY)


async def _first_of(*ways: Awaitable[None]) -> None:
    """Wait for whichever ends first, and cancel the others."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
