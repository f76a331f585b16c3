"""One customer, from the PIN to the end of the conversation.

A visit is one task group: the conversation, a watcher for the token, a watcher for idleness. Whatever ends it cancels
the group, and everything of that customer goes with it: questions, token processes, PIN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn

from kiosk.conversation import Conversation
from kiosk.desk import Completion, CompletionAnswer, Desk, Errand
from kiosk.destinations import UsbPort
from kiosk.errors import Code, KioskError, Problem
from kiosk.idle import IdleLimit
from kiosk.journal import PC_IN_JOURNAL, Event, VisitRecord
from kiosk.last_words import fault_and_place
from kiosk.problems import as_problems, pc_problem, token_problem
from kiosk.services import Services
from kiosk.settings import Policy
from kiosk.tokens.errors import TokenError
from kiosk.tokens.pc import PcStore
from kiosk.tokens.presence import Pace
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, StoreKind

_SAYS_LITTLE = (Code.TOKEN_FAILED, Code.TOKEN_HANGS, Code.TOKEN_TAKEN_OUT)
"""Behind which another token may be in by now, or none."""
_NOT_THERE = (FailureKind.GONE, FailureKind.SWAPPED, FailureKind.SEVERAL)


class _LeftAlone(Exception):
    """Nobody touched the kiosk for too long."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a visit ended. Both are None where the customer did without, or went away."""

    completion: Completion | None = None
    problem: Problem | None = None
    explained: bool = False
    """Whether the customer has read the problem already."""
    fault: BaseException | None = field(default=None, repr=False, compare=False)
    """What nobody had foreseen, behind K-99; for whoever looks for the mistake, and never shown."""


async def hold_visit(
    desk: Desk,
    token: Token,
    services: Services,
    port: UsbPort,
    pace: Pace,
    why_gone: Callable[[], Awaitable[Code | None]],
    call_staff: Callable[[str], None],
    errand: Errand = Errand.RENEWAL,
) -> Outcome:
    """Hold one visit with `token`, whose processes have ended when this returns.

    Problems are returned, not raised, and so are mistakes of ours (K-99): the customer has to learn what has become of
    the certificate.

    Modules say little when a token is pulled; then `why_gone` is asked, once, whether it is still there (None), was
    taken out, or is another one now. Nor do they where another program holds this PC's database. `pace` says how often
    its presence is looked at.
    """
    record = services.journal.begin_visit(PC_IN_JOURNAL if token.kind is StoreKind.PC else token.facts.serial)
    idle = IdleLimit(services.policy.idle_seconds, lambda: desk.last_touched)
    conversation = Conversation(
        desk=desk,
        token=token,
        services=services,
        record=record,
        idle=idle,
        call_staff=call_staff,
        port=port,
        errand=errand,
    )
    completion: Completion | None = None
    problem: Problem | None = None
    fault: BaseException | None = None
    left_alone = False
    try:
        async with token:
            await record.note(Event.VISIT_BEGUN)
            async with asyncio.TaskGroup() as group:
                watchers = [
                    group.create_task(_watch_token(token, conversation, pace), name="token"),
                    group.create_task(_watch_process(token, conversation), name="process"),
                    group.create_task(_watch_idle(idle, desk, services.policy), name="idle"),
                ]
                completion = await conversation.hold()
                if completion:
                    await _show(desk, completion)
                for watcher in watchers:
                    watcher.cancel()
    except* KioskError as errors:
        problem = replace(_first(errors).problem, changed=conversation.changed)
    except* _LeftAlone:
        left_alone = True
    except* Exception as errors:
        fault = errors
        problem = Problem(Code.UNEXPECTED, conversation.changed, fault_and_place(errors))
    if problem and problem.code in _SAYS_LITTLE:
        problem = replace(problem, code=await why_gone() or problem.code)
    if problem and problem.code is Code.PC_STORE_FAILED and services.pc:
        problem = replace(problem, code=await _why_pc_failed(services.pc))
    return await _closed(record, Outcome(completion, problem, conversation.explained, fault), left_alone)


async def _why_pc_failed(pc: PcStore) -> Code:
    fault = await pc.look_again()
    return pc_problem(fault).problem.code if fault else Code.PC_STORE_FAILED


async def _show(desk: Desk, completion: Completion) -> None:
    while await desk.show_completion(completion) is CompletionAnswer.KEEP and completion.reminder:
        await desk.show_reminder(completion.reminder)


async def _closed(record: VisitRecord, outcome: Outcome, left_alone: bool) -> Outcome:
    """The outcome, once it is in the journal; where it cannot be, that is the problem to be told."""
    try:
        if left_alone:
            await record.note(Event.IDLE)
        if outcome.problem:
            await record.note(Event.PROBLEM, code=outcome.problem.code, detail=outcome.problem.detail)
        await record.note(Event.VISIT_ENDED)
    except KioskError as error:
        return replace(outcome, problem=outcome.problem or error.problem)
    return outcome


async def _watch_token(token: Token, conversation: Conversation, pace: Pace) -> None:
    """Until the token is out. A module that fails once has not seen it go; one that fails again is not waited for."""
    failed = False
    while conversation.needs_token and token.kind is StoreKind.USB:
        if not token.busy:  # a token at work is in, and says so itself when it is not
            with as_problems():
                try:
                    await token.check_presence()
                    failed = False
                except TokenError as error:
                    if failed or error.kind in _NOT_THERE:
                        raise
                    failed = True
        await pace.next_look()


async def _watch_process(token: Token, conversation: Conversation) -> None:
    """A process that dies while nothing is asked of it has taken the login with it; the customer is told at once."""
    lost = await token.process_lost()
    if conversation.needs_token:
        raise token_problem(lost)


async def _watch_idle(idle: IdleLimit, desk: Desk, policy: Policy) -> NoReturn:
    while True:
        await idle.reached()
        if not await desk.ask_still_there(policy.idle_warning_seconds) and not idle.is_suspended:
            raise _LeftAlone
        idle.restart()


def _first(errors: BaseExceptionGroup[KioskError]) -> KioskError:
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise RuntimeError("an empty group of errors")
