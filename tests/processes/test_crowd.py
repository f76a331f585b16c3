"""Two hundred clients renew at once at two CA processes, of which one is killed: all end with one certificate."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPRequestBuilder, load_der_ocsp_response

from kiosk.ca import ledger
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.certificates import Certificate
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.signing import Signer, SoftwareKey
from tests.ca.bank import new_key
from tests.postgres import Postgres
from tests.processes.database import until
from tests.processes.entering import enter
from tests.processes.offices import Offices, offices
from tests.ready_ca import ReadyCa

CLIENTS = 200
FROM_TWO_SIDES = 20
CONFIRMED = "SELECT count(*) FROM promises WHERE state = 'confirmed'"
HERE, THERE = "here", "there"
_AGAIN_AFTER = 0.3
"""Seconds that a client waits which was asked to come again."""


@dataclass
class Customer:
    """Somebody with an old certificate and a new key, at one kiosk or at two at once."""

    holder: Signer
    key: SoftwareKey = field(default_factory=new_key)
    certificates: list[Certificate] = field(default_factory=list)
    failures: list[TransferFailure] = field(default_factory=list)

    async def renew(self, http: httpx.AsyncClient, trust: Trust, urls: Iterator[str]) -> None:
        """As the kiosk does: after a failure of the way it asks anew, with the same key; no bytes are sent twice."""
        while True:
            client = CmpClient(http, next(urls), trust)
            try:
                issued = await client.update(self.holder, self.key)
                await client.confirm(issued)
            except TransferError as error:
                self.failures.append(error.kind)
                if error.kind is TransferFailure.BUSY:
                    await asyncio.sleep(_AGAIN_AFTER)
            else:
                self.certificates.append(issued.certificate)
                return


@dataclass
class Square:
    """Where the crowd meets the CA: two processes, each known to the database by a name of its own."""

    offices: Offices
    book: Ledger
    here: ReadyCa
    there: ReadyCa


@pytest.fixture
def square(authority: Authority, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Square]:
    place = tmp_path_factory.mktemp("square")
    with (
        postgres.users(HERE, THERE),
        postgres.database() as url,
        offices(authority, postgres, url, place) as opened,
        Ledger.open(opened.directory(Policy())) as book,
    ):
        yield Square(opened, book, *(opened.open(Policy(), user) for user in (HERE, THERE)))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """As many connections as there are clients, for each would come from a machine of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as opened:
        yield opened


async def test_two_hundred_clients_at_two_processes_of_which_one_dies(square: Square, http: httpx.AsyncClient) -> None:
    authority = square.offices.authority
    names = [f"CROWD{number:03}" for number in range(CLIENTS)]
    customers = [Customer(holder) for holder in enter(square.book, authority, *names)]
    sides = (square.here.url, square.there.url)
    trust = Trust((authority.root,))

    def from_side(side: int) -> Iterator[str]:
        return itertools.cycle(sides[side:] + sides[:side])

    conversations = [customer.renew(http, trust, from_side(number % 2)) for number, customer in enumerate(customers)]
    for number, customer in enumerate(customers[:FROM_TWO_SIDES]):
        conversations.append(customer.renew(http, trust, from_side(1 - number % 2)))
    crowd = asyncio.gather(*conversations)

    # In a loop of its own, for that of the crowd is busy.
    before = await asyncio.to_thread(asyncio.run, kill_one_in_the_middle(square))
    await crowd

    check_customers(square, customers)
    await check_revoked(square, http, customers)
    ways = Counter(kind for customer in customers for kind in set(customer.failures))
    assert before < CLIENTS
    assert ways[TransferFailure.BROKEN_OFF] >= 2, "their requests were on their way when the process died"
    print(
        f"{len(conversations)} conversations of {CLIENTS} clients; {before} had confirmed when one process died, "
        f"{ways[TransferFailure.BROKEN_OFF]} were cut, {ways[TransferFailure.BUSY]} were asked to come again; "
        f"{len(good(square))} certificates are valid, {len(customers)} superseded, none twice"
    )


async def kill_one_in_the_middle(square: Square) -> int:
    """Once some have confirmed, and while it works for others; answers with how many had."""
    database = square.offices.database
    await until(lambda: confirmed(square) >= CLIENTS // 10)
    with database.server.connect(database.name) as gate, gate.transaction():
        gate.execute("LOCK TABLE promises IN ACCESS EXCLUSIVE MODE")
        await until(lambda: database.waiting(HERE) >= 2)
        square.here.kill()
        ((before,),) = gate.execute(CONFIRMED)
    return int(before)


def confirmed(square: Square) -> int:
    ((count,),) = square.offices.database.ask(CONFIRMED)
    return int(count)


def good(square: Square) -> list[tuple[object, ...]]:
    return square.offices.database.ask("SELECT der, key_hash FROM certificates WHERE state = 'valid'")


def check_customers(square: Square, customers: Sequence[Customer]) -> None:
    ask = square.offices.database.ask
    assert sum(len(customer.certificates) for customer in customers) == CLIENTS + FROM_TWO_SIDES
    for customer in customers:
        assert len({each.der for each in customer.certificates}) == 1
        assert customer.certificates[0].public_key == customer.key.public_key
    theirs = {(customer.certificates[0].der, ledger.key_hash(customer.key.public_key)) for customer in customers}
    assert set(good(square)) == theirs
    old = {(customer.holder.certificate.der, "superseded") for customer in customers}
    assert set(ask("SELECT der, reason FROM certificates WHERE state = 'superseded'")) == old
    assert ask("SELECT count(*) FROM certificates") == [(2 * CLIENTS,)], "nobody was issued one more"
    assert ask("SELECT state, count(*) FROM promises GROUP BY state") == [("confirmed", CLIENTS)]
    twice = "SELECT {0} FROM certificates GROUP BY {0} HAVING count(*) > 1"
    assert ask(twice.format("serial")) == ask(twice.format("key_hash")) == []


async def check_revoked(square: Square, http: httpx.AsyncClient, customers: Sequence[Customer]) -> None:
    """What the process that is left tells by CRL, and by OCSP of every certificate, is what the ledger says."""
    authority, ask = square.offices.authority, square.offices.database.ask
    status = httpx.URL(square.there.url)
    revoked = {int(serial, 16) for (serial,) in ask("SELECT serial FROM certificates WHERE state = 'superseded'")}
    assert len(revoked) == CLIENTS
    crl = x509.load_der_x509_crl((await http.get(status.copy_with(path="/crl"))).content)
    assert crl.is_signature_valid(authority.issuing_key.public_key())
    assert {each.serial_number for each in crl} == revoked

    async def ocsp_of(certificate: Certificate) -> OCSPCertStatus:
        question = OCSPRequestBuilder().add_certificate(certificate.x509, authority.issuing.x509, SHA256()).build()
        body = question.public_bytes(Encoding.DER)
        kind = {"Content-Type": "application/ocsp-request"}
        answer = await http.post(status.copy_with(path="/ocsp"), content=body, headers=kind)
        return load_der_ocsp_response(answer.content).certificate_status

    old = [customer.holder.certificate for customer in customers]
    new = [customer.certificates[0] for customer in customers]
    assert {await ocsp_of(each) for each in old} == {OCSPCertStatus.REVOKED}
    assert {await ocsp_of(each) for each in new} == {OCSPCertStatus.GOOD}
