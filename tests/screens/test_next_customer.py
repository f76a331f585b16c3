"""Nothing of one customer is there for the next: searched in the whole heap of a kiosk with a real token and CA."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from textual import events

from kiosk.app import Branch, KioskApp
from kiosk.demo_bank import Customer, DemoBank
from kiosk.desk import CodeQuestion, Desk, PinQuestion, Tries
from kiosk.one_time_code import make
from kiosk.pin import Pin, wipe
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.wire import KeyKind, StoreKind
from screens.frame import Question
from screens.standby import StandbyScreen
from tests.bank import Bank, open_bank
from tests.heap import Heap
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, OneQuestion, screen_text, until

ID = "QZVX5550199"
NAME = f"{ID} 髙﨑𠮷野"
PIN = "48151623"
_TURNS = 5
CUSTOMER = Customer(20, KeyKind.EC_P256, common_name=NAME)


@dataclass
class Counter:
    """A running kiosk, worked by keys as a terminal sends them; a pilot's timers would keep what it waited for."""

    app: KioskApp
    heap: Heap

    async def at(self, name: str, *keys: str) -> None:
        """Press `keys` on the screen `name`, once it waits for an answer."""
        try:
            await until(lambda: type(self.app.screen).__name__ == name and self._waits())
        except TimeoutError:
            pytest.fail(f"{name} did not come; there is {self.app.screen!r}\n{screen_text(self.app)}")
        asked = weakref.ref(self.app.screen)
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        if keys:
            try:
                await until(lambda: self.app.screen is not asked() or not self._waits())
            except TimeoutError:
                pytest.fail(f"{name} heard no {keys}\n{screen_text(self.app)}")

    def _waits(self) -> bool:
        screen = self.app.screen
        return screen.is_mounted and not (isinstance(screen, Question) and screen.is_over) and bool(screen.focused)

    async def standby(self) -> None:
        """Wait until the next customer can begin."""
        await until(lambda: isinstance(self.app.screen, StandbyScreen) and self.app.screen.query("#begin"))


Visit = Callable[[Counter], Awaitable[None]]


async def logged_in(counter: Counter) -> None:
    """PIN, and which of two IDs on the token."""
    await counter.at("PinScreen", *PIN, "enter")
    await counter.at("ChooseIdScreen", "1")


async def everything(counter: Counter) -> None:
    """Certificate, new PIN, renewal with both choices to keep: as much as a customer can leave behind."""
    await logged_in(counter)
    await counter.at("RenewalNoticeScreen", "2")
    await counter.at("MainMenuScreen", "2")
    await counter.at("CertificateDetailsScreen")
    assert counter.heap.finds(), "the search finds what stands on a screen"
    await counter.at("CertificateDetailsScreen", "0")
    await counter.at("MainMenuScreen", "1")
    await counter.at("RenewalStartScreen", "3")
    await counter.at("WebAccessScreen", "1")
    await counter.at("WebAccessScreen", "1")
    await counter.at("KeyExportScreen", "1")
    await counter.at("CertificateImportScreen", "1")
    await counter.at("ImportCompleteScreen", "1")
    await counter.at("CompletionUsbScreen", "3")
    await counter.at("ReminderScreen", "0")
    await counter.at("CompletionUsbScreen", "1")
    await counter.at("TakeOutScreen")


async def left_alone(counter: Counter) -> None:
    """The customer walks away from the notice."""
    await logged_in(counter)
    await counter.at("RenewalNoticeScreen")
    await counter.at("TakeOutScreen")


async def fault(counter: Counter) -> None:
    """The CA cannot be reached."""
    await logged_in(counter)
    await counter.at("RenewalNoticeScreen", "1")
    await counter.at("ProblemScreen", "1")


@asynccontextmanager
async def counter_of(bank: Bank, heap: Heap) -> AsyncIterator[Counter]:
    async with open_services(bank.settings) as services:
        front_desk = FrontDesk(services, bank.settings.token)
        app = KioskApp(front_desk, Branch("みほん信用金庫", "本店営業部"), services.clock, settle_seconds=0.0)
        try:
            async with app.run_test(size=(160, 45)):
                yield Counter(app, heap)
        finally:
            await front_desk.close()


@pytest.mark.parametrize("visit", [everything, left_alone, fault])
async def test_nothing_of_a_customer_is_in_the_heap_of_the_next(visit: Visit, tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", others=(CUSTOMER,)) as bank:
        serial = await new_pin_and_serial(bank)
        if visit is fault:
            ca = msgspec.structs.replace(bank.settings.ca, url="https://127.0.0.1:9/.well-known/cmp")
            bank = Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=ca)))
        if visit is left_alone:
            bank = bank.with_policy(idle_seconds=2.0, idle_warning_seconds=1)
        heap = Heap(ID, PIN, f"{serial:x}", f"{serial:X}", serial)
        async with counter_of(bank, heap) as counter:
            await counter.standby()
            counter.app.post_message(events.Key("1", "1"))
            await visit(counter)
            await counter.at("TakeOutScreen", "1")
            await counter.standby()
            await nothing_of(heap)


async def nothing_of(heap: Heap) -> None:
    """Wait until the heap has let go, which takes a few turns of the loop; what it holds for good fails the test."""
    for _ in range(_TURNS):
        await asyncio.sleep(0.1)
        if not heap.finds():
            return
    pytest.fail("\n".join(heap.found()))


async def new_pin_and_serial(bank: Bank) -> int:
    """Give the token the PIN; the serial number of the customer's certificate."""
    async with await bank.open_token() as token:
        await token.change_pin(Pin(bytearray(DEMO_PIN, "ascii")), Pin(bytearray(PIN, "ascii")))
        credentials = (await token.inventory()).credentials
        return next(each.certificate.serial_number for each in credentials if each.holder.id == ID)


CODE = make(lambda size: bytes(range(2, size + 2))).secret.decode()
GROUP = CODE[4:8]
"""Begins with 0, so that no number that stands alone looks like it."""


def test_a_group_of_digits_counts_where_no_digit_is_beside_it() -> None:
    """As part of a long random number, which rich gives to each Style with a link or meta, it says nothing."""
    heap = Heap(alone=(GROUP,))
    held: list[object] = [f"83{GROUP}24-1", f"83{GROUP}24-1".encode()]
    assert not heap.finds()
    held.append(bytearray(f"{CODE[:4]} {GROUP} ", "ascii"))
    assert heap.finds()
    held.clear()


async def test_nothing_of_a_one_time_code_is_in_the_heap_of_the_next() -> None:
    """It is shown while it is typed, so that what drew it has to forget it too."""

    async def ask(desk: Desk) -> None:
        code = await desk.ask_code(CodeQuestion(ID))
        assert code is not None

    reception = OneQuestion(ask)
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=(160, 45)):
        counter = Counter(app, Heap(CODE, " ".join(GROUP), alone=(GROUP,)))
        await counter.at("EnrolCodeScreen")
        for digit in CODE:
            app.post_message(events.Key(digit, digit))
        await until(lambda: " ".join(GROUP) in screen_text(app) or GROUP in screen_text(app))
        assert counter.heap.finds(), "the search finds what stands on a screen"
        await counter.at("EnrolCodeScreen", "enter")
        await reception.ended()
        await nothing_of(counter.heap)


PASSWORD = "QZvx-5550199!kt"


async def test_nothing_of_a_password_is_in_the_heap_of_the_next() -> None:
    """That of the PC's certificate database, which a token process was handed."""

    async def ask(desk: Desk) -> None:
        pin = await desk.ask_pin(PinQuestion("", False, Tries.PLENTY, shortest=0, longest=64, store=StoreKind.PC))
        assert pin is not None
        typed = pin.take()
        assert bytes(typed[:4]) == PASSWORD[:4].encode()
        wipe(typed)

    reception = OneQuestion(ask)
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=(160, 45)):
        counter = Counter(app, Heap(PASSWORD))
        await counter.at("PasswordScreen")
        for letter in PASSWORD:
            app.post_message(events.Key(letter, letter))
        await until(counter.heap.finds)
        await counter.at("PasswordScreen", "enter")
        await reception.ended()
        await nothing_of(counter.heap)
