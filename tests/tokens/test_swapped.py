"""A token is never mistaken for another one that has taken its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from kiosk.ca.authority import load_authority
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.keys import digest_for, wire_public
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind, SignatureKind
from kiosk.tokens.worker import _IN_SESSION
from tests.bank import Bank
from tests.tokens.swapped_token import OTHER_PIN, SAME_SERIAL, SwappedToken

NEW_ID = b"\x07" * 16
LIMIT = 30.0

Act = Callable[[Token, Inventory], Awaitable[object]]


def _pin(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


async def sign(token: Token, own: Inventory) -> object:
    return await token.key_of(own.credentials[0]).sign(b"a request")


async def sign_at_pad(token: Token, own: Inventory) -> object:
    (credential,) = own.credentials
    key = credential.certificate.public_key
    wanted = wire.Sign(credential.key_id, wire_public(key), b"a request", pss=False, digest=digest_for(key))
    return await token._process.call(wire.SignAtPad(wanted, 1.0), bytes, LIMIT)


async def import_key(token: Token, _: Inventory) -> object:
    """In the session's own process; the kiosk takes another one, which would find the token exchanged as it logs in."""
    return await token._process.call(wire.ImportKeyPair(KeyKind.EC_P256, NEW_ID, "new"), wire.MadeKeyPair, LIMIT)


async def signature_kinds(token: Token, _: Inventory) -> object:
    return await token._process.call(wire.SignatureKinds(), list[SignatureKind], LIMIT)


async def write(token: Token, own: Inventory) -> None:
    await token.write_certificate(own.credentials[0].certificate, NEW_ID, "new")


ACTS: dict[type[wire.Request], Act] = {
    wire.ListObjects: lambda token, _: token.inventory(),
    wire.KeyKinds: lambda token, _: token.key_kinds(),
    wire.SignatureKinds: signature_kinds,
    wire.Sign: sign,
    wire.SignAtPad: sign_at_pad,
    wire.MakeKeyPair: lambda token, _: token.make_key_pair(KeyKind.EC_P256, NEW_ID, "new"),
    wire.ImportKeyPair: import_key,
    wire.WriteCertificate: write,
    wire.Relabel: lambda token, own: token.relabel(own.credentials[0].key_id, "new"),
    wire.Remove: lambda token, own: token.remove(own.objects[0]),
    wire.ChangePin: lambda token, _: token.change_pin(_pin(DEMO_PIN), _pin("11223344")),
    wire.ChangePinAtPad: lambda token, _: token.change_pin_at_pad(),
}
"""What is asked of the token of a session, by the request that reaches its process."""


def test_nothing_that_is_asked_of_a_session_is_missing() -> None:
    assert set(ACTS) == set(_IN_SESSION)


@pytest.fixture
async def swapped(bank: Bank) -> SwappedToken:
    return await SwappedToken.beside(bank)


@pytest.mark.parametrize("serial", ["", SAME_SERIAL])
async def test_nothing_is_done_with_another_token(bank: Bank, swapped: SwappedToken, serial: str) -> None:
    if serial:
        swapped.give_serial(serial)
    async with await bank.open_token() as token:
        own = await token.inventory()
        for request, act in ACTS.items():
            before = swapped.content()
            swapped.swap()
            with pytest.raises(TokenError) as raised:
                await act(token, own)
            swapped.swap()
            assert raised.value.kind is FailureKind.SWAPPED, request
            assert swapped.content() == before, request
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


async def test_what_was_written_here_tells_it_from_another_of_the_same_number(
    bank: Bank, swapped: SwappedToken
) -> None:
    """Nobody lists what is on it between the last act of a renewal and the removal of the old credential."""
    swapped.give_serial(SAME_SERIAL)
    async with await bank.open_token() as token:
        own = await token.inventory()
        await token.write_certificate(load_authority(bank.directory / "ca").issuing, NEW_ID, "new")
        for part in own.parts_of(own.credentials[0]):
            assert await token.remove(part)
        before = swapped.content()
        swapped.swap()
        with pytest.raises(TokenError) as raised:
            await token.relabel(NEW_ID, "newer")
        swapped.swap()
        assert raised.value.kind is FailureKind.SWAPPED
        assert swapped.content() == before


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
