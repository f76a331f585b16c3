"""What the kiosk does between visits: wait for a token, serve its owner, see the token out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum

from kiosk.desk import Desk, Errand, OffReason, ProblemAnswer, Standby, StandbyBoard, TokenQuestion
from kiosk.errors import Code, KioskError, Problem
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.memory import give_back
from kiosk.problems import as_problems, pc_problem
from kiosk.services import Services
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.pc import PcFault, PcUnusable
from kiosk.tokens.presence import Pace, Presence
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.token import Token, find_blank_tokens, find_tokens
from kiosk.tokens.wire import TokenFacts
from kiosk.visit import Outcome, hold_visit
from kiosk.waiting import first_of

_TRY_AGAIN_AFTER = 5.0
"""Seconds before a module that could not be used is tried again."""
_TOLD_AT_ONCE = (Code.MODULE_UNUSABLE, Code.JOURNAL_NOT_WRITABLE)
_JOURNAL_EVERY = 3600.0
"""Seconds between two looks whether the journal has lines that are too old, or took the place of a damaged one."""
_READY_LOOK = 5.0
"""Seconds between two looks while a token that stays in waits for a touch: another one may come beside it."""
_FAULTS_BELIEVED = 6
"""Looks in a row that fail before that means anything: that a token was pulled, as some modules cannot be loaded at all
where the reader has gone with it; or that the module is of no use, as some fail for a moment when a reader goes."""


class _OthersNow(Enum):
    """Tokens have come or gone."""

    OTHERS_NOW = "others-now"


_OTHERS_NOW = _OthersNow.OTHERS_NOW


class FrontDesk:
    """Keeps `kiosk.desk.Reception`, with real tokens."""

    def __init__(self, services: Services, module: ModuleSettings, presence: Presence | None = None) -> None:
        """Serve with `services` the owners of tokens that `module` shows, looked for at `presence`'s pace."""
        self._services = services
        self._module = module
        self._presence = presence or Presence()
        self._lookout: TokenProcess | None = None
        self._readers_changed = 0
        """As the process that looks for tokens knows it."""
        self._faults = 0
        """Looks of the standby board in a row that have failed."""
        self._standing_code = ""
        """What keeps the kiosk out of order now."""
        self._calls: dict[asyncio.Task[None], str] = {}
        """Those on their way, with their codes."""
        self._errand = Errand.RENEWAL
        """What the customer who is served next has come for."""

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        """Look for tokens until one is put in, or until somebody touches the screen where one always is."""
        beside = [asyncio.ensure_future(each) for each in (self._answer_calls(board), self._keep_journal())]
        try:
            await self._wait_for_token(board)
            self._errand = board.errand
        finally:
            for each in beside:
                each.cancel()

    async def _keep_journal(self) -> None:
        """Call staff where the one before this was damaged, and keep it short.

        While a call is under way it cannot be told whom it will have reached; the next look tells.
        """
        journal, policy = self._services.journal, self._services.policy
        while True:
            with suppress(KioskError):  # a journal that cannot be written is told with the next visit
                calling = Code.JOURNAL_DAMAGED in self._calls.values()
                if not calling and await asyncio.to_thread(journal.has_damage_to_tell):
                    self._call_staff(Code.JOURNAL_DAMAGED)
                await asyncio.to_thread(journal.remove_older_than, policy.journal_days, policy.time_zone)
            await asyncio.sleep(_JOURNAL_EVERY)

    async def _answer_calls(self, board: StandbyBoard) -> None:
        while True:
            await board.called()
            self._call_staff(self._standing_code)

    async def _wait_for_token(self, board: StandbyBoard) -> None:
        """Until a token comes; a touch counts where one is in that stays, and where none is wanted."""
        pace = self._presence.pace()
        touching = asyncio.ensure_future(board.touched())
        self._faults = 0
        try:
            while not await self._somebody_comes(board, touching, pace):
                if touching.done():
                    touching = asyncio.ensure_future(board.touched())
        finally:
            touching.cancel()

    async def _somebody_comes(self, board: StandbyBoard, touching: asyncio.Future[None], pace: Pace) -> bool:
        """One look at the slots, and what follows from it, until it is time for the next."""
        try:
            await asyncio.to_thread(self._services.journal.make_sure)
            found = await self._look()
        except KioskError as error:
            await self._bear_with(error.problem, board, pace)
            return False
        self._faults, self._standing_code = 0, ""
        if any(facts.removable for facts in found):
            return True
        if found or not await self._is_blank_in():
            board.show(Standby.READY if found else Standby.INSERT, pc_login=self._pc_login)
        else:
            self._standing_code = Code.TOKEN_BLANK
            board.show(Standby.BLANK, Problem(Code.TOKEN_BLANK), pc_login=self._pc_login)
        await _touched_or_time(touching, pace, _READY_LOOK if found else None)
        return touching.done() and (bool(found) or board.errand is Errand.PC_LOGIN)

    async def _bear_with(self, problem: Problem, board: StandbyBoard, pace: Pace) -> None:
        """Wait for the next look after one that failed; 調整中 at once only where another look would say the same."""
        self._faults += 1
        if problem.code not in _TOLD_AT_ONCE and self._faults < _FAULTS_BELIEVED:
            await pace.next_look()
            return
        self._standing_code = problem.code
        board.show(Standby.OUT_OF_ORDER, problem)
        await pace.next_look(_TRY_AGAIN_AFTER)

    async def serve(self, desk: Desk) -> None:
        """One visit, and then the token out. Problems are shown at the desk."""
        if self._errand is Errand.PC_LOGIN:
            await self.serve_pc(desk)
            await self._see_out(desk, await self._left_in())
            return
        try:
            token = await self.the_token(desk)
            left_in = [] if token else await self._look()
        except KioskError as error:
            await self._explain(desk, await self._noted(error.problem))
            return
        if token is None:
            await self._see_out(desk, left_in)
            return
        await self.serve_token(desk, token, self._errand)
        await self._see_out(desk, [token.facts])

    async def serve_token(self, desk: Desk, token: Token, errand: Errand = Errand.RENEWAL) -> Outcome:
        """One visit with `token`, and what went wrong explained; how it ended."""
        return await self._serve(desk, token, lambda: self._why_gone(token), errand)

    async def serve_pc(self, desk: Desk) -> Outcome:
        """One visit with a certificate of this PC, and what went wrong explained; how it ended."""
        try:
            pc = await self._the_pc()
        except KioskError as error:
            problem = await self._noted(error.problem)
            await self._explain(desk, problem)
            return Outcome(problem=problem)
        return await self._serve(desk, pc, self._why_none)

    async def _serve(
        self, desk: Desk, store: Token, why_gone: Callable[[], Awaitable[Code | None]], errand: Errand = Errand.RENEWAL
    ) -> Outcome:
        pace = self._presence.pace()
        try:
            outcome = await hold_visit(desk, store, self._services, self, pace, why_gone, self._call_staff, errand)
        finally:
            give_back()
        if outcome.problem and not outcome.explained:
            await self._explain(desk, outcome.problem)
        return outcome

    async def _the_pc(self) -> Token:
        """This PC's database, for a holder who logs in with what is in it.

        Raises:
            KioskError: it cannot be used.
        """
        pc = self._services.pc
        if pc is None:
            raise pc_problem(PcFault.UNUSABLE, "policy does not offer it")
        try:
            database = await pc.find(self._services.policy.holder_rule)
        except PcUnusable as reason:
            raise pc_problem(reason.fault, str(reason)) from reason
        if pc.may_let_in(database):
            return database
        async with database:  # and so ended
            raise KioskError(Code.PC_UNPROTECTED)

    async def why_not(self) -> OffReason | None:
        """See `kiosk.destinations.UsbPort`."""
        seen = await self._seen()
        if seen is None:
            return OffReason.SOFTWARE_MISSING
        return None if seen else OffReason.NO_USB

    async def changed(self) -> None:
        """See `kiosk.destinations.UsbPort`."""
        pace = self._presence.pace()
        known = await self._seen()
        while True:
            await pace.next_look()
            if await self._seen() != known:
                return

    async def take(self, desk: Desk) -> Token | None:
        """See `kiosk.destinations.UsbPort`."""
        return await self.the_token(desk)

    @property
    def _pc_login(self) -> bool:
        return self._services.pc is not None and self._services.pc.offers_login

    async def _seen(self) -> set[str] | None:
        """The serial numbers of the tokens that are in; None where the module cannot be used."""
        try:
            return {each.serial for each in await self._look()}
        except KioskError:
            return None

    async def _why_none(self) -> Code | None:
        return None if await self._seen() else Code.TOKEN_TAKEN_OUT

    async def _left_in(self) -> list[TokenFacts]:
        """Tokens that have to be taken out before the next customer."""
        with suppress(KioskError):
            return [each for each in await self._look() if each.removable]
        return []

    async def the_token(self, desk: Desk) -> Token | None:
        """The token that is in, or the one the customer means, in the process that saw it; None where it is none.

        Raises:
            KioskError: none is in, several cannot be told apart, or the module cannot be used.
        """
        chosen = await self._the_one_meant(desk)
        if chosen is None:
            return None
        if not await self._is_in(chosen):
            raise KioskError(Code.TOKEN_TAKEN_OUT)
        lookout, self._lookout = await self._looking(), None
        return Token(self._module, lookout, chosen, self._services.policy.holder_rule)

    async def _the_one_meant(self, desk: Desk) -> TokenFacts | None:
        """Ask as long as several tokens are in; one that comes or goes meanwhile makes it another question."""
        while True:
            found = await self._look()
            if not found:
                raise KioskError(Code.TOKEN_TAKEN_OUT)
            if len(found) == 1:
                return found[0]
            if len({each.serial for each in found}) < len(found):
                raise KioskError(Code.TOO_MANY_TOKENS, f"{len(found)} tokens")
            answer = await self._ask_which(desk, found)
            if answer is not _OTHERS_NOW:
                return answer

    async def _ask_which(self, desk: Desk, found: list[TokenFacts]) -> TokenFacts | _OthersNow | None:
        """The token that is meant, or None; `_OTHERS_NOW` once other tokens are in than were asked about."""
        limit = IdleLimit(self._services.policy.idle_seconds, lambda: desk.last_touched)
        return await first_of(
            desk.choose_token(TokenQuestion(tuple(found))), self._until_others(found), _nobody_after(limit)
        )

    async def _until_others(self, known: list[TokenFacts]) -> _OthersNow:
        pace = self._presence.pace()
        serials = {each.serial for each in known}
        while {each.serial for each in await self._look()} == serials:
            await pace.next_look()
        return _OTHERS_NOW

    async def close(self) -> None:
        """End the processes that look for tokens, and wait for calls that are on their way."""
        await self._presence.close()
        await self._end_lookout()
        await asyncio.gather(*self._calls)

    def _call_staff(self, code: str) -> None:
        """Call without waiting for it: whoever begins a visit meanwhile does not take the call back."""
        call = asyncio.create_task(self._services.staff.call(code), name="call")
        self._calls[call] = code
        call.add_done_callback(self._calls.pop)

    async def _end_lookout(self) -> None:
        if self._lookout:
            lookout, self._lookout = self._lookout, None
            await lookout.end()

    async def _look(self) -> list[TokenFacts]:
        """The tokens that are in. A pulled token may take its module down; then a fresh process is asked.

        So it is where readers have come or gone: some modules keep what they have seen of them at first.

        Raises:
            KioskError: the module cannot be used.
        """
        if self._readers_changed != self._presence.readers_changed:
            self._readers_changed = self._presence.readers_changed
            await self._end_lookout()
        for last_try in (False, True):
            try:
                with as_problems():
                    found = await find_tokens(await self._looking())
                    self._presence.saw(each.serial for each in found)
                    return found
            except KioskError:
                await self._end_lookout()
                if last_try:
                    raise
        return []

    async def _is_blank_in(self) -> bool:
        """Whether somebody has put in a token that nobody has initialised: it begins no visit, and has to be told.

        Some modules always show a blank one that cannot be taken out.
        """
        try:
            return any(each.removable for each in await find_blank_tokens(await self._looking()))
        except StoreFault:
            await self._end_lookout()
            return False

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

    async def _why_gone(self, token: Token) -> Code | None:
        """Whether `token` was taken out, and another one put in instead; None where it is in, or nobody can tell.

        A module that hangs or fails shows nothing. One that cannot even be loaded any more has lost its reader.
        """
        try:
            found = {each.serial for each in await self._look()}
        except KioskError as error:
            return Code.TOKEN_TAKEN_OUT if error.problem.code is Code.MODULE_UNUSABLE else None
        if token.facts.serial in found:
            return None
        return Code.TOKEN_SWAPPED if found - token.beside else Code.TOKEN_TAKEN_OUT

    async def _explain(self, desk: Desk, problem: Problem) -> None:
        """Show a problem until it is read, or nobody is there to read it."""
        limit = IdleLimit(self._services.policy.idle_seconds, lambda: desk.last_touched)
        await first_of(self._show_problem(desk, problem), limit.reached())

    async def _show_problem(self, desk: Desk, problem: Problem) -> None:
        if await desk.show_problem(problem) is ProblemAnswer.CALL:
            self._call_staff(problem.code)
            await desk.show_problem(problem, called=True)

    async def _see_out(self, desk: Desk, tokens: list[TokenFacts]) -> None:
        """Ask for the tokens to be taken out; their login has ended, so nobody else can use them meanwhile."""
        if not tokens:
            return
        await first_of(self._ask_back(desk, tokens), self._until_out(tokens))

    async def _ask_back(self, desk: Desk, tokens: list[TokenFacts]) -> None:
        removable = any(each.removable for each in tokens)
        try:
            async with asyncio.timeout(self._services.policy.forgotten_seconds if removable else None):
                await desk.ask_take_out(removable=removable)
        except TimeoutError:
            await self._tell_of_forgotten(desk, tokens)

    async def _tell_of_forgotten(self, desk: Desk, tokens: list[TokenFacts]) -> None:
        """Say it, ring, and call staff once, until the token is out."""
        records = [self._services.journal.begin_visit(each.serial) for each in tokens]
        for record in records:
            await _note(record, Event.FORGOTTEN)
        self._call_staff(Code.TOKEN_FORGOTTEN)
        ringing = asyncio.create_task(self._ring(desk), name="ring")
        try:
            await desk.show_forgotten()
        finally:
            ringing.cancel()
            for record in records:
                await _note(record, Event.FORGOTTEN_TAKEN_OUT)

    async def _ring(self, desk: Desk) -> None:
        for _ in range(self._services.policy.forgotten_rings):
            desk.ring()
            await asyncio.sleep(self._services.policy.forgotten_ring_seconds)

    async def _until_out(self, tokens: list[TokenFacts]) -> None:
        """Until none of `tokens` is in. A module that fails says nothing of that, unless it goes on failing."""
        pace = self._presence.pace()
        serials = {each.serial for each in tokens}
        faults = 0
        while faults < _FAULTS_BELIEVED:
            seen = await self._seen()
            if seen is not None and not serials & seen:
                return
            faults = faults + 1 if seen is None else 0
            await pace.next_look()


async def _touched_or_time(touching: asyncio.Future[None], pace: Pace, seconds: float | None) -> None:
    """Return at a touch, or when it is time for the next look."""
    looking = asyncio.ensure_future(pace.next_look(seconds))
    try:
        await asyncio.wait([touching, looking], return_when=asyncio.FIRST_COMPLETED)
    finally:
        looking.cancel()


async def _note(record: VisitRecord, event: Event) -> None:
    with suppress(KioskError):  # a journal that cannot be written is told elsewhere
        await record.note(event, code=Code.TOKEN_FORGOTTEN)


async def _nobody_after(limit: IdleLimit) -> None:
    await limit.reached()
