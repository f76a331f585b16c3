"""A token is never mistaken for another one that has taken its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind
from tests.bank import Bank
from tests.tokens.swapped_token import OTHER_PIN, SAME_SERIAL, SwappedToken

NEW_ID = b"\x07" * 16

Act = Callable[[Token, Inventory], Awaitable[object]]


def _pin(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


async def sign(token: Token, own: Inventory) -> object:
    return await token.key_of(own.credentials[0]).sign(b"a request")


async def write(token: Token, own: Inventory) -> None:
    await token.write_certificate(own.credentials[0].certificate, NEW_ID, "new")


ACTS: dict[str, Act] = {
    "inventory": lambda token, _: token.inventory(),
    "key-kinds": lambda token, _: token.key_kinds(),
    "sign": sign,
    "make-key": lambda token, _: token.make_key_pair(KeyKind.EC_P256, NEW_ID, "new"),
    "write": write,
    "relabel": lambda token, own: token.relabel(own.credentials[0].key_id, "new"),
    "remove": lambda token, own: token.remove(own.objects[0]),
    "change-pin": lambda token, _: token.change_pin(_pin(DEMO_PIN), _pin("11223344")),
}


@pytest.fixture
async def swapped(bank: Bank) -> SwappedToken:
    return await SwappedToken.beside(bank)


@pytest.mark.parametrize("serial", ["", SAME_SERIAL])
async def test_nothing_is_done_with_another_token(bank: Bank, swapped: SwappedToken, serial: str) -> None:
    if serial:
        swapped.give_serial(serial)
    async with await bank.open_token() as token:
        own = await token.inventory()
        for name, act in ACTS.items():
            before = swapped.content()
            swapped.swap()
            with pytest.raises(TokenError) as raised:
                await act(token, own)
            swapped.swap()
            assert raised.value.kind is FailureKind.SWAPPED, name
            assert swapped.content() == before, name
        if not serial:
            assert await token.proves(own.credentials[0]), "the first one is taken again as soon as it is back"


async def test_a_token_is_still_known_by_what_was_written_and_removed_here(bank: Bank, swapped: SwappedToken) -> None:
    """Of the certificates that were on it at first none is left in the end."""
    swapped.give_serial(SAME_SERIAL)
    swapped.swap()
    async with await bank.open_token(pin=OTHER_PIN) as other:
        (foreign,) = (await other.inventory()).credentials
    swapped.swap()
    async with await bank.open_token() as token:
        own = await token.inventory()
        await token.write_certificate(foreign.certificate, NEW_ID, "new")
        for part in own.parts_of(own.credentials[0]):
            assert await token.remove(part)
        assert await token.relabel(NEW_ID, "newer")
        await token.log_in_afresh()
        assert [each.label for each in (await token.inventory()).objects] == ["newer"]


async def test_the_pin_is_not_given_to_another_token_of_the_same_number(bank: Bank, swapped: SwappedToken) -> None:
    """A wrong PIN would cost the other customer a try."""
    swapped.give_serial(SAME_SERIAL)
    async with await bank.open_token() as token:
        await token.inventory()
        swapped.swap()
        with pytest.raises(TokenError) as raised:
            await token.log_in_afresh()
        assert raised.value.kind is FailureKind.SWAPPED
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    await process.end()
    assert not facts.pin_few_tries, "SoftHSM says so after one wrong PIN"


async def test_softhsm_says_so_after_one_wrong_pin(bank: Bank, swapped: SwappedToken) -> None:
    swapped.swap()
    with pytest.raises(TokenError):
        await bank.open_token(pin=DEMO_PIN)
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    await process.end()
    assert facts.pin_few_tries


@pytest.mark.parametrize("serial", [SAME_SERIAL, " " * 16])
async def test_a_number_that_says_nothing_is_as_good_as_another(bank: Bank, swapped: SwappedToken, serial: str) -> None:
    swapped.give_serial(serial)
    async with await bank.open_token() as token:
        assert token.facts.serial == serial.strip()
        (credential,) = (await token.inventory()).credentials
        await token.log_in_afresh()
        assert await token.proves(credential)
