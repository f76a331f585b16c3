"""The token process: what happens when a module hangs, crashes or lies, and what never leaves it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn, cast

import msgspec
import pytest

from kiosk.demo_bank import TOKEN_LABEL
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.cryptoki import Cryptoki
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.process import Limits, ModuleSettings, TokenProcess
from kiosk.tokens.token import find_tokens
from kiosk.tokens.wire import FailureKind
from kiosk.tokens.worker import Worker, serve
from tests.bank import Bank, child_processes

pytestmark = pytest.mark.token_processes_as_they_are


async def test_a_hanging_module_is_ended_within_its_limit(bank: Bank) -> None:
    settings = msgspec.structs.replace(bank.settings.token, limits=Limits(look=0.3))
    process = TokenProcess.start(settings)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(TokenHangs):
        await find_tokens(process)
    with pytest.raises(TokenProcessDied):
        await find_tokens(process)
    await process.end()
    assert process.pid not in child_processes()


async def test_a_crashed_module_is_noticed(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    await find_tokens(process)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TokenProcessDied):
        await find_tokens(process)
    await process.end()


async def test_a_request_whose_process_is_ended_by_somebody_else_ends_at_once(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    os.kill(process.pid, signal.SIGSTOP)
    request = asyncio.create_task(find_tokens(process))
    await asyncio.sleep(0)
    await process.end()
    with pytest.raises(TokenProcessDied):
        await request


async def test_a_pin_that_cannot_be_sent_is_overwritten(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    await process.end()
    typed = bytearray(DEMO_PIN, "ascii")
    with pytest.raises(TokenProcessDied):
        await process.call(wire.LogIn("any"), type(None), 10, pin=Pin(typed))
    assert typed == bytes(len(DEMO_PIN))


async def test_a_cancelled_request_ends_the_process(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    os.kill(process.pid, signal.SIGSTOP)
    request = asyncio.create_task(find_tokens(process))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await process.end()
    assert process.pid not in child_processes()


def test_a_request_without_its_pin_is_not_carried_out_with_an_empty_one() -> None:
    ours, theirs = socket.socketpair()
    frame = msgspec.msgpack.encode(wire.Order(wire.LogIn("4711"), 1.0))
    ours.sendall(len(frame).to_bytes(wire.LENGTH_BYTES, "big") + frame)
    ours.close()

    class Idle(Worker):
        def answer(self, *_: object) -> NoReturn:
            pytest.fail("a try is lost")

    with theirs, pytest.raises(EOFError):
        serve(theirs, Idle(cast("Cryptoki", None)), lambda _: nullcontext())


async def test_a_lent_pin_that_does_not_come_is_not_sent_as_an_empty_one(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    reading, writing = os.pipe()
    os.close(writing)
    try:
        (facts,) = await find_tokens(process)
        with pytest.raises(TokenError, match="no PIN has come"):
            await process.call(wire.LogInWithLentPin(facts.serial), type(None), 30.0, pipe=reading)
    finally:
        os.close(reading)
        await process.end()


async def test_a_process_is_buried_by_whoever_is_cancelled_while_it_ends(bank: Bank) -> None:
    threads, at_work = ThreadPoolExecutor(1), threading.Event()
    asyncio.get_running_loop().set_default_executor(threads)
    threads.submit(at_work.wait)  # the thread that is to wait for the process has to wait itself
    process = TokenProcess.start(bank.settings.token)
    ending = asyncio.create_task(process.end())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    at_work.set()
    await asyncio.to_thread(lambda: None)
    assert process.pid not in child_processes()


async def test_a_module_that_is_none(tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    module.write_bytes(b"no module")
    for path in (module, tmp_path / "missing.so"):
        process = TokenProcess.start(ModuleSettings(module=str(path)))
        with pytest.raises(TokenError) as raised:
            await find_tokens(process)
        assert raised.value.kind is FailureKind.MODULE
        await process.end()


async def test_a_module_says_what_it_is_and_can_without_a_pin(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    module = await process.call(wire.DescribeModule(), wire.ModuleFacts, 10)
    (facts,) = await find_tokens(process)
    kinds = await process.call(wire.KeyKindsInSlot(facts.slot_id), list[wire.KeyKind], 10)
    with pytest.raises(TokenError) as raised:
        await process.call(wire.KeyKindsInSlot(facts.slot_id + 1), list[wire.KeyKind], 10)
    await process.end()
    assert (module.manufacturer, module.cryptoki_version) == ("SoftHSM", "2.40")
    assert not any(slot.removable or slot.hardware for slot in module.slots)
    assert set(kinds) == set(wire.KeyKind)
    assert raised.value.kind is FailureKind.GONE


async def test_the_pin_is_overwritten_as_soon_as_it_was_sent(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    typed = bytearray(DEMO_PIN, "ascii")
    await process.call(wire.LogIn(facts.serial), type(None), 10, pin=Pin(typed))
    assert typed == bytes(len(DEMO_PIN))
    await process.end()


async def test_a_refused_pin_is_overwritten_too_and_cannot_be_sent_again(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    typed = bytearray(b"999999")
    pin = Pin(typed)
    with pytest.raises(TokenError) as raised:
        await process.call(wire.LogIn(facts.serial), type(None), 10, pin=pin)
    assert raised.value.kind is FailureKind.PIN_WRONG
    assert typed == bytes(6)
    with pytest.raises(RuntimeError):
        pin.take()
    await process.end()


async def test_only_an_accepted_pin_is_lent(bank: Bank) -> None:
    first, second = TokenProcess.start(bank.settings.token), TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(first)
    with pytest.raises(TokenError):
        await first.call(wire.LogIn(facts.serial), type(None), 10, pin=Pin(bytearray(b"999999")))
    with pytest.raises(TokenError):
        await first.lend_pin_to(second, facts.serial)
    await first.call(wire.LogIn(facts.serial), type(None), 10, pin=Pin(bytearray(DEMO_PIN, "ascii")))
    await first.lend_pin_to(second, facts.serial)
    assert await second.call(wire.ListObjects(), list[wire.StoredObject], 10)
    await first.end()
    await second.end()


async def test_the_kept_pin_becomes_the_new_one_only_when_that_was_accepted(bank: Bank) -> None:
    first, second, third = (TokenProcess.start(bank.settings.token) for _ in range(3))
    (facts,) = await find_tokens(first)
    await first.call(wire.LogIn(facts.serial), type(None), 10, pin=Pin(bytearray(DEMO_PIN, "ascii")))

    async def change(present: str, new: str) -> list[bytearray]:
        typed = [bytearray(present, "ascii"), bytearray(new, "ascii")]
        pin, new_pin = Pin(typed[0]), Pin(typed[1])
        try:
            await first.call(wire.ChangePin(facts.serial), type(None), 10, pin=pin, new_pin=new_pin)
        except TokenError as error:
            if error.kind is not FailureKind.PIN_WRONG:
                raise
        return typed

    assert not any(any(each) for each in await change("999999", "65432109")), "overwritten, though refused"
    await first.lend_pin_to(second, facts.serial)
    assert not any(any(each) for each in await change(DEMO_PIN, "65432109"))
    await first.lend_pin_to(third, facts.serial)
    for process in (second, third):
        assert await process.call(wire.ListObjects(), list[wire.StoredObject], 10)
    for process in (first, second, third):
        await process.end()


async def test_a_pin_can_be_changed_before_it_opens_anything(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    present, new = Pin(bytearray(DEMO_PIN, "ascii")), Pin(bytearray(b"65432109"))
    await process.call(wire.ChangePin(facts.serial), type(None), 10, pin=present, new_pin=new)
    assert await process.call(wire.ListObjects(), list[wire.StoredObject], 10), "logged in with the new one"
    await process.end()


def test_a_request_to_change_a_pin_tells_neither() -> None:
    assert repr(wire.ChangePin("01")) == "ChangePin(serial='01')"


async def test_the_process_dumps_no_core_and_shows_nothing_of_its_memory(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    await find_tokens(process)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    await process.end()


def test_a_process_can_be_made_undumpable() -> None:
    code = "import ctypes; from kiosk.children import leave_no_core; leave_no_core(); print(ctypes.CDLL(None).prctl(3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n", "PR_GET_DUMPABLE"


def test_the_process_talks_to_nobody_but_us() -> None:
    """A module that prints, prints nowhere; the socket is out of its reach under another number."""
    code = (
        "import os; from kiosk.tokens.worker import _own_channel; channel = _own_channel();"
        "channel.send(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)).encode())"
    )
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            subprocess.run([sys.executable, "-c", code], stdin=theirs.fileno(), check=True)
        assert ours.recv(100) == b"/dev/null /dev/null /dev/null"


async def test_one_thread_touches_the_module(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    await find_tokens(process)
    assert "Threads:\t1\n" in Path(f"/proc/{process.pid}/status").read_text()
    await process.end()


async def test_a_removed_object_must_be_exactly_what_was_meant(bank: Bank) -> None:
    async with await bank.open_token() as token:
        stored = next(each for each in (await token.inventory()).objects if each.kind is wire.ObjectKind.CERTIFICATE)
        another = msgspec.structs.replace(stored, der=stored.der[:-1] + b"\x00")
        assert not await token.remove(another)
        assert await token.remove(stored)
        assert not await token.remove(stored)


async def test_a_certificate_is_not_written_twice(bank: Bank) -> None:
    async with await bank.open_token() as token:
        (credential,) = (await token.inventory()).credentials
        before = await token.inventory()
        await token.write_certificate(credential.certificate, credential.key_id, "again")
        assert await token.inventory() == before


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\xc1",
        b"\x82\xa4type\xa4Don\xd5\xa5value\xc0",
        msgspec.msgpack.encode(wire.Done(msgspec.Raw(b"\xa1\xff"))),
        msgspec.msgpack.encode(wire.Done(msgspec.Raw(b"\x91\xa1x"))),
    ],
    ids=["nothing", "no MessagePack", "no text", "no text inside", "something else"],
)
async def test_a_frame_that_is_none_is_a_process_that_has_died(bank: Bank, reply: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    nobody = subprocess.Popen(["sleep", "infinity"])  # noqa: ASYNC220 - it only has to be there
    process = TokenProcess(bank.settings.token, wire.StoreKind.USB, nobody, ours)
    theirs.sendall(len(reply).to_bytes(wire.LENGTH_BYTES, "big") + reply)
    with theirs, pytest.raises(TokenProcessDied):
        await find_tokens(process)
    await process.end()


async def test_a_label_that_is_no_text_hides_neither_its_token_nor_another(bank: Bank) -> None:
    label = os.fsdecode(b"\xff\xfe\x1b[2J")  # no kiosk would make it
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", DEMO_PIN, "--so-pin", DEMO_PIN]
    subprocess.run(command, env={**os.environ, **bank.settings.token.environment}, check=True)  # noqa: ASYNC221 - short
    process = TokenProcess.start(bank.settings.token)
    labels = {each.label for each in await find_tokens(process)}
    await process.end()
    assert labels == {TOKEN_LABEL, "\ufffd\ufffd\x1b[2J"}, "what it is shown as is the screens' business"
