"""Spoiled messages and replayed ones: there is always an answer, and nothing ever comes of them.

`KIOSK_SOAK` in the environment is how many examples are tried of each kind; `make soak` sets it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.certificates import read_certificate
from kiosk.cmp import der
from kiosk.cmp.envelope import Message, Protector, read_message
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.general import CrlStatus, write_crl_statuses, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind
from kiosk.cmp.messages import PkiMessage
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import write_pkcs10, write_request, write_update
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.signing import Signer
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CRL_STATUS_LIST, CURRENT_CRL, BodyType, FailInfo
from tests.ca.bank import Bank, new_key, refusal, status_of
from tests.ca.dump import certificates, dump, revocations
from tests.ca.spoiled import rule
from tests.ca.spoiled_talks import A_CLIENT_S_ERROR, confirmation_of, updating, waiting
from tests.mutations import TRIED, ByHypothesis, mutated, parse, reprotected

pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length")
EXAMPLES = int(os.environ.get("KIOSK_SOAK", "30"))
often = settings(
    max_examples=EXAMPLES,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Record = Callable[[Bank], Coroutine[None, None, tuple[bytes, Protector]]]
"""Writes a good message that has not been sent yet, and tells who protects it."""


def by_code(mac: MacKind) -> Record:
    async def record(bank: Bank) -> tuple[bytes, Protector]:
        code = replace(bank.newcomer(), kind=mac)
        return await bank.write(code, BodyType.IR, await write_request(new_key())), code

    return record


def by_holder(kind: BodyType, body: Callable[[Bank, Signer], Awaitable[bytes]]) -> Record:
    async def record(bank: Bank) -> tuple[bytes, Protector]:
        holder = bank.holder()
        return await bank.write(holder, kind, await body(bank, holder)), holder

    return record


async def additional(_: Bank, holder: Signer) -> bytes:
    return await write_request(new_key(), subject_der=holder.certificate.subject_der)


async def pkcs10(_: Bank, holder: Signer) -> bytes:
    return await write_pkcs10(new_key(), holder.certificate.subject_der)


async def update(_: Bank, holder: Signer) -> bytes:
    return await write_update(holder.certificate, new_key())


async def revocation(_: Bank, holder: Signer) -> bytes:
    return write_revocations([RevocationRequest.of(holder.certificate, 1)])


async def questions(bank: Bank, _: Signer) -> bytes:
    known = write_crl_statuses([CrlStatus(bank.authority.issuing.subject_der, bank.now)])
    return write_general([Info(CA_CERTIFICATES), Info(CURRENT_CRL), Info(CRL_STATUS_LIST, known)])


async def confirmation(bank: Bank) -> tuple[bytes, Protector]:
    talk = await updating(bank)
    return await talk.write(BodyType.CERTCONF, confirmation_of(talk)), talk.protector


async def poll(bank: Bank) -> tuple[bytes, Protector]:
    talk = await waiting(bank)
    return await talk.write(BodyType.POLLREQ, write_poll_request([0])), talk.protector


async def error(bank: Bank) -> tuple[bytes, Protector]:
    talk = await updating(bank)
    return await talk.write(BodyType.ERROR, A_CLIENT_S_ERROR), talk.protector


RECORDERS: dict[str, Record] = {
    "ir by PBM": by_code(MacKind.PBM),
    "ir by PBMAC1": by_code(MacKind.PBMAC1),
    "cr": by_holder(BodyType.CR, additional),
    "p10cr": by_holder(BodyType.P10CR, pkcs10),
    "kur": by_holder(BodyType.KUR, update),
    "rr": by_holder(BodyType.RR, revocation),
    "genm": by_holder(BodyType.GENM, questions),
    "certConf": confirmation,
    "pollReq": poll,
    "error": error,
}


@dataclass
class Recording:
    """A good message, sent or not yet."""

    bank: Bank
    runner: asyncio.Runner
    record: Record
    request: bytes
    protector: Protector

    @classmethod
    def make(cls, bank: Bank, runner: asyncio.Runner, record: Record) -> Recording:
        request, protector = runner.run(record(bank))
        return cls(bank, runner, record, request, protector)

    def anew(self) -> Recording:
        """Another like it, in a transaction of its own."""
        return self.make(self.bank, self.runner, self.record)

    @property
    def holder(self) -> str:
        """Whose message it is."""
        if isinstance(self.protector, Signer):
            return self.bank.entry(self.protector.certificate).holder
        return (self.protector.key_id or b"").decode()

    def protect(self, part: bytes) -> bytes:
        """What its protector makes of header and body."""
        return self.runner.run(self.protector.protect(part))

    def send(self, request: bytes) -> Message:
        TRIED["CA: CMP, whole answers"] += 1
        answer = self.runner.run(self.bank.send(request))
        assert FailInfo.SYSTEM_FAILURE not in failures(answer)
        return answer

    def is_the_same(self, request: bytes) -> bool:
        """Whether header, body and protection are those of the good message, byte for byte."""
        try:
            mine, theirs = read_message(self.request), read_message(request)
        except MalformedMessage:
            return False
        return (mine.protected_part, mine.protection) == (theirs.protected_part, theirs.protection)


def failures(answer: Message) -> frozenset[FailInfo]:
    if answer.body_type in (BodyType.GENP, BodyType.PKICONF, BodyType.POLLREP):
        return frozenset()
    return status_of(answer).failures


@pytest.fixture(params=RECORDERS)
def recording(bank: Bank, request: pytest.FixtureRequest) -> Iterator[Recording]:
    rule(bank, most_tries=10**9)  # a pause would hide what lies behind it
    with asyncio.Runner() as runner:
        yield Recording.make(bank, runner, RECORDERS[request.param])


@often
@given(data=st.data())
def test_nothing_comes_of_what_somebody_has_changed_on_the_way(recording: Recording, data: st.DataObject) -> None:
    changed = mutated(ByHypothesis(data), recording.request)
    if not recording.is_the_same(changed):
        before = dump(recording.bank.book)
        recording.send(changed)
        assert dump(recording.bank.book) == before


@often
@given(data=st.data())
def test_nothing_comes_of_what_is_sent_again_with_changes(recording: Recording, data: st.DataObject) -> None:
    recording.send(recording.request)
    before = dump(recording.bank.book)
    recording.send(mutated(ByHypothesis(data), recording.request))
    assert dump(recording.bank.book) == before


@often
@given(data=st.data())
def test_whoever_sends_nonsense_under_good_protection_is_answered(recording: Recording, data: st.DataObject) -> None:
    """It gets past the protection, into every parser behind that; what is issued all the same is the holder's own."""
    bank, fresh = recording.bank, recording.anew()
    before, revoked = certificates(bank.book), revocations(bank.book)
    fresh.send(reprotected(ByHypothesis(data), fresh.request, fresh.protect))
    for der_of_new in certificates(bank.book) - before:
        assert bank.entry(read_certificate(der_of_new)).holder == fresh.holder
    for der_of_gone in revocations(bank.book) - revoked:
        assert bank.entry(read_certificate(der_of_gone)).holder == fresh.holder


@pytest.mark.parametrize("name", RECORDERS)
async def test_a_recorded_message_counts_once(
    name: str, authority: Authority, empty_ledger: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_ledger, tmp_path)
    with Ledger.open(tmp_path) as book:
        bank = Bank(authority, book)
        recorded, _ = await RECORDERS[name](bank)
        await bank.send(recorded)
        await send_in_vain(bank, recorded)
        policy, now = bank.policy, bank.now
    with Ledger.open(tmp_path) as book:
        bank = Bank(authority, book, policy, now)
        await send_in_vain(bank, recorded)
        bank.now += 2 * policy.time_window + timedelta(seconds=1)
        await updating(bank)
        await send_in_vain(bank, recorded)
        assert refusal(await bank.send(recorded)) == (BodyType.ERROR, {FailInfo.BAD_TIME})


async def send_in_vain(bank: Bank, recorded: bytes) -> None:
    """Send it as it is, and without the certificates that came along, which nothing protects."""
    bare = der.decode(PkiMessage, recorded)
    bare.extra_certs = None
    before = dump(bank.book)
    for request in (recorded, der.encode(bare)):
        assert FailInfo.SYSTEM_FAILURE not in failures(await bank.send(request))
        assert dump(bank.book) == before


@pytest.mark.parametrize("name", RECORDERS)
async def test_a_recording_sent_many_times_at_once_counts_once(bank: Bank, name: str) -> None:
    recorded, _ = await RECORDERS[name](bank)
    before, revoked = certificates(bank.book), revocations(bank.book)
    answers = await asyncio.gather(*(bank.send(recorded) for _ in range(8)))
    assert len(certificates(bank.book) - before) <= 1
    assert len(revocations(bank.book) - revoked) <= 1
    assert all(FailInfo.SYSTEM_FAILURE not in failures(each) for each in answers)
    good = [each for each in answers if not failures(each)]
    assert len(good) == (len(answers) if name == "genm" else 1)


async def test_a_code_sent_with_many_keys_at_once_gets_one_certificate(bank: Bank) -> None:
    code, before = bank.newcomer(), certificates(bank.book)
    requests = [await bank.write(code, BodyType.IR, await write_request(new_key())) for _ in range(8)]
    answers = await asyncio.gather(*(bank.send(each) for each in requests))
    assert len(certificates(bank.book) - before) == 1
    assert sorted(len(failures(each)) for each in answers) == [0] + [1] * 7


@pytest.mark.parametrize("name", RECORDERS)
async def test_what_is_recorded_is_good(bank: Bank, name: str) -> None:
    """Else the tests above would test nothing."""
    recorded, _ = await RECORDERS[name](bank)
    answer = await bank.send(recorded)
    assert answer.body_type != BodyType.ERROR
    assert not failures(answer)


def test_a_tree_is_written_as_it_was_read(bank: Bank) -> None:
    recorded, _ = asyncio.run(RECORDERS["kur"](bank))
    assert parse(recorded).encode() == recorded
