"""Whatever is done to a good message of any type, the CA answers, protected, and issues nothing that was not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kiosk.cmp import der
from kiosk.cmp.envelope import Message, read_message
from kiosk.cmp.general import CrlStatus, write_crl_statuses, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, is_mac
from kiosk.cmp.messages import PkiMessage
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import write_pkcs10, write_request, write_update
from kiosk.cmp.responses import Confirmation, write_confirmation
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import CRL_STATUS_LIST, BodyType, FailInfo
from tests.ca.bank import Bank, Talk, new_key

Write = Callable[[Bank], Coroutine[None, None, bytes]]


async def ir(bank: Bank, mac: MacKind) -> bytes:
    bank.newcomer()
    return await bank.write(bank.code("TKYM1408054", mac), BodyType.IR, await write_request(new_key()))


async def cr(bank: Bank) -> bytes:
    return await bank.write(bank.holder(), BodyType.CR, await write_request(new_key()))


async def p10cr(bank: Bank) -> bytes:
    return await bank.write(bank.holder(), BodyType.P10CR, await write_pkcs10(new_key(), der.EMPTY_SEQUENCE))


async def kur(bank: Bank) -> bytes:
    holder = bank.holder()
    return await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))


async def rr(bank: Bank) -> bytes:
    holder = bank.holder()
    return await bank.write(holder, BodyType.RR, write_revocations([RevocationRequest.of(holder.certificate, 1)]))


async def genm(bank: Bank) -> bytes:
    status = write_crl_statuses([CrlStatus(bank.authority.issuing.subject_der, bank.now)])
    return await bank.write(bank.holder(), BodyType.GENM, write_general([Info(CRL_STATUS_LIST, status)]))


async def pollreq(bank: Bank) -> bytes:
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    return await talk.write(BodyType.POLLREQ, write_poll_request([0]))


async def certconf(bank: Bank) -> bytes:
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    return await talk.write(BodyType.CERTCONF, write_confirmation(Confirmation(cert_hash=b"h" * 32)))


async def error(bank: Bank) -> bytes:
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    return await talk.write(BodyType.ERROR, write_error(rejection((FailInfo.BAD_DATA_FORMAT,), "no")))


MESSAGES: dict[str, Write] = {
    "ir by PBM": lambda bank: ir(bank, MacKind.PBM),
    "ir by PBMAC1": lambda bank: ir(bank, MacKind.PBMAC1),
    "cr": cr,
    "p10cr": p10cr,
    "kur": kur,
    "rr": rr,
    "genm": genm,
    "pollReq": pollreq,
    "certConf": certconf,
    "error": error,
}


def check_answered(bank: Bank, answer: Message) -> None:
    algorithm = answer.header.protection_algorithm
    assert algorithm is not None
    if not is_mac(algorithm):
        answer.verify_protection(bank.authority.signer.certificate.public_key)


def damage(good: bytes, flips: list[tuple[int, int]]) -> bytes:
    spoiled = bytearray(good)
    for place, change in flips:
        spoiled[place % len(spoiled)] ^= change
    return bytes(spoiled)


FLIPS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255)), min_size=1, max_size=3)
BOUNDED = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", MESSAGES)
@BOUNDED
@given(flips=FLIPS)
def test_a_damaged_message_is_answered_and_issues_nothing(bank: Bank, name: str, flips: list[tuple[int, int]]) -> None:
    good = asyncio.run(MESSAGES[name](bank))
    spoiled = damage(good, flips)
    assume(spoiled != good)
    before = (bank.issued(), bank.rows())
    check_answered(bank, asyncio.run(bank.send(spoiled)))
    if (bank.issued(), bank.rows()) != before:  # a certificate further down the chain, which nobody reads
        assert read_message(spoiled).protected_part == read_message(good).protected_part


@pytest.mark.parametrize("name", MESSAGES)
@BOUNDED
@given(flips=FLIPS)
def test_a_damaged_body_under_good_protection_crashes_nothing(
    bank: Bank, name: str, flips: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    """The body is damaged before it is protected, so that everything behind the gate is reached."""
    message = read_message(asyncio.run(MESSAGES[name](bank)))
    algorithm = message.header.protection_algorithm
    protector = bank.newcomer() if algorithm is not None and is_mac(algorithm) else bank.holder()
    request = asyncio.run(bank.write(protector, message.body_type, damage(message.body, flips)))
    answer = asyncio.run(bank.send(request))
    check_answered(bank, answer)
    assert answer.body_type in {BodyType.ERROR, BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.RP, BodyType.GENP}
    assert not caplog.records, "nothing was answered as a fault of ours"


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_recorded_message_issues_once(bank: Bank, name: str) -> None:
    recorded = await MESSAGES[name](bank)
    await bank.send(recorded)
    before = (bank.issued(), bank.rows())
    bare = der.decode(PkiMessage, recorded)
    bare.extra_certs = None
    for again in (recorded, der.encode(bare)):
        check_answered(bank, await bank.send(again))
    assert (bank.issued(), bank.rows()) == before
