"""A whole CA in one process, with a clock that tests turn, and holders who ask it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from kiosk.ca import ledger
from kiosk.ca.authority import Authority
from kiosk.ca.enrolment import enter
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.responder import Responder
from kiosk.ca.schema import CERTIFICATES, PROMISES, CertificateState
from kiosk.ca.server import create_app
from kiosk.certificates import Certificate
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import Header, Message, read_message, write_protected
from kiosk.cmp.responses import read_responses
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, read_error
from kiosk.cmp.vocabulary import BodyType, FailInfo

Spoil = Callable[[Header], Header]
START = datetime(2026, 3, 1, 3, 4, 5, tzinfo=UTC)


def as_it_is(header: Header) -> Header:
    return header


def new_key() -> SoftwareKey:
    return SoftwareKey(ec.generate_private_key(ec.SECP256R1()))


def subject(common_name: str = "TKYM1408054 1403") -> x509.Name:
    units = ("Shinkin Internet Banking Intermediate CA", "USER/PE - 2", "CERT/SUEDNUM - 3")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "The Shinkin Banks Information System Center Co.,Ltd"),
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass
class Bank:
    authority: Authority
    book: Ledger
    policy: Policy = field(default_factory=Policy)
    now: datetime = START

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._holders = itertools.count(1)
        self.responder = Responder(self.authority, self.book, self.policy, clock=lambda: self.now)
        transport = httpx.ASGITransport(app=create_app(self.responder))
        self.http = httpx.AsyncClient(transport=transport)
        self.client = CmpClient(
            self.http,
            "http://ca.invalid/.well-known/cmp",
            Trust((self.authority.root,)),
            clock=lambda: self.now,
            random=self.random,
        )

    def random(self, length: int) -> bytes:
        return next(self._numbers).to_bytes(length, "big")

    def holder(self, *, days_left: float = 20, key: SoftwareKey | None = None, name: str | None = None) -> Signer:
        key = key or new_key()
        certificate = enter(
            self.authority,
            self.book,
            subject=subject(name or "TKYM1408054 1403"),
            public_key=key.public_key,
            not_before=self.now - timedelta(days=300),
            not_after=self.now + timedelta(days=days_left),
            holder_id=f"holder-{next(self._holders)}",
            kind="user",
            clock=lambda: self.now,
        )
        return Signer(key, certificate, (self.authority.issuing,))

    def entry(self, certificate: Certificate) -> Entry:
        with self.book.begin() as connection:
            found = ledger.find(connection, certificate.fingerprint)
        assert found is not None
        return found

    def state(self, certificate: Certificate) -> CertificateState:
        return self.entry(certificate).state

    def revoke(self, certificate: Certificate) -> None:
        number = self.entry(certificate).id
        with self.book.begin() as connection:
            ledger.change_state(connection, number, CertificateState.REVOKED, reason="keyCompromise", now=self.now)

    def issued(self) -> int:
        with self.book.begin() as connection:
            return len(connection.execute(select(CERTIFICATES.c.id)).all())

    def rows(self) -> int:
        with self.book.begin() as connection:
            return len(connection.execute(select(PROMISES.c.id)).all())

    async def write(self, signer: Signer, kind: int, body: bytes, spoil: Spoil = as_it_is) -> bytes:
        header = Header(
            sender=None,
            recipient=self.authority.issuing.subject_der,
            message_time=self.now,
            transaction_id=self.random(16),
            sender_nonce=self.random(16),
        )
        return await write_protected(spoil(header), kind, body, signer)

    async def ask(self, signer: Signer, kind: int, body: bytes, spoil: Spoil = as_it_is) -> Message:
        return await self.send(await self.write(signer, kind, body, spoil))

    async def send(self, request: bytes) -> Message:
        return read_message(await self.responder.answer(request))


def status_of(answer: Message) -> StatusInfo:
    """Of an `error`, or of a `kup`."""
    if answer.body_type == BodyType.ERROR:
        return read_error(answer.body)
    return read_responses(answer.body).responses[0].status


def refusal(answer: Message) -> tuple[int, set[FailInfo]]:
    return answer.body_type, set(status_of(answer).failures)
