"""A whole CA in one process, with a clock that tests turn, and holders who ask it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from kiosk.ca import codes, holders, ledger, promises, succession
from kiosk.ca.authority import Authority
from kiosk.ca.enrolment import enter
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.responder import Responder
from kiosk.ca.schema import CERTIFICATES, PROMISES, CertificateState, PromiseKind, PromiseState
from kiosk.ca.status import StatusService
from kiosk.ca.web import create_app
from kiosk.certificates import Certificate, read_certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, Algorithm
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.requests import write_request
from kiosk.cmp.responses import Confirmation, certificate_hash, read_responses, write_confirmation
from kiosk.cmp.revocations import read_revocation_answer
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, read_error
from kiosk.cmp.vocabulary import IMPLICIT_CONFIRM, BodyType, FailInfo
from kiosk.credentials import HolderKind

Spoil = Callable[[Header], Header]
START = datetime(2026, 3, 1, 3, 4, 5, tzinfo=UTC)


on_both = pytest.mark.on_both
"""Tests whose `bank` keeps its ledger in SQLite, and the same with PostgreSQL."""


def settle(directory: Path, url: str) -> None:
    """Have the ledger of a CA's directory in this PostgreSQL."""
    (directory / "ledger.toml").write_text(f'url = "{url}"\n')


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
        self.secrets: list[bytes] = []
        self.book = self.book.told_by(lambda: self.now)
        self.obey(self.policy)

    def obey(self, policy: Policy) -> None:
        """Go on under another policy, as after a restart of the server."""
        self.policy = policy
        self.responder = Responder(self.authority, self.book, policy)
        self.status = StatusService(self.authority, self.book, policy)
        app = create_app(self.responder, status=self.status)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app))
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

    def certificates(self) -> set[bytes]:
        """The DER of every one that was ever issued."""
        with self.book.begin() as connection:
            return set(connection.execute(select(CERTIFICATES.c.der)).scalars())

    def rows(self) -> int:
        with self.book.begin() as connection:
            return len(connection.execute(select(PROMISES.c.id)).all())

    def newcomer(self, holder: str = "TKYM1408054", kind: HolderKind = HolderKind.USER) -> SharedSecret:
        """A holder without a certificate, with a code that a teller has just made."""
        name = holders.manual_subject(self.authority.issuing, self.policy, holder, kind, "1403")
        with self.book.begin() as connection:
            holders.ensure(connection, holder, kind, name)
        return self.code(holder)

    def code(self, holder: str, mac: MacKind = MacKind.PBM) -> SharedSecret:
        """What a teller hands out, in place of the code made before."""
        with self.book.begin() as connection:
            made, replaced = codes.make(
                connection, self.authority.vault, holder, self.policy.code_life, self.authority.random, self.now
            )
            if replaced is not None:
                succession.withdraw_code(connection, replaced, self.now)
        self.secrets.append(made.secret)
        return SharedSecret(reference=holder.encode(), secret=made.secret, kind=mac, iterations=100)

    def decide(self, *, approve: bool) -> int:
        """A teller's word on all that waits; answers with how many that were."""
        with self.book.begin() as connection:
            waiting = promises.waiting(connection, self.now)
            decided = [succession.decide(connection, each.id, approve=approve, now=self.now) for each in waiting]
        return sum(decided)

    def promises(self) -> list[tuple[PromiseKind, PromiseState]]:
        with self.book.read() as connection:
            rows = connection.execute(select(PROMISES).order_by(PROMISES.c.id)).all()
        return [(PromiseKind(row.kind), PromiseState(row.state)) for row in rows]

    def hand_over(self) -> None:
        """Whoever asks next asks another process of this CA, where there are several."""

    async def write(self, signer: Protector, kind: int, body: bytes, spoil: Spoil = as_it_is) -> bytes:
        header = Header(
            sender=None,
            recipient=self.authority.issuing.subject_der,
            message_time=self.now,
            transaction_id=self.random(16),
            sender_nonce=self.random(16),
        )
        return await write_protected(spoil(header), kind, body, signer)

    async def ask(self, signer: Protector, kind: int, body: bytes, spoil: Spoil = as_it_is) -> Message:
        return await self.send(await self.write(signer, kind, body, spoil))

    async def send(self, request: bytes) -> Message:
        return read_message(await self.responder.answer(request))


@dataclass
class Talk:
    """One transaction: remembers what the next message has to return."""

    bank: Bank
    protector: Protector
    pvno: int = 2
    implicit: bool = False
    last: Message | None = None

    async def say(self, kind: int, body: bytes, spoil: Spoil = as_it_is) -> Message:
        self.last = await self.bank.send(await self.write(kind, body, spoil))
        return self.last

    async def write(self, kind: int, body: bytes, spoil: Spoil = as_it_is) -> bytes:
        last = self.last

        def continued(sent: Header) -> Header:
            info = (Info(IMPLICIT_CONFIRM, NULL),) if self.implicit else ()
            sent = replace(sent, pvno=self.pvno, general_info=info)
            if last is not None:
                sent = replace(
                    sent, transaction_id=last.header.transaction_id, recipient_nonce=last.header.sender_nonce
                )
            return spoil(sent)

        return await self.bank.write(self.protector, kind, body, continued)

    async def request(self, kind: int, key: SoftwareKey, subject_der: bytes | None = None) -> Message:
        return await self.say(kind, await write_request(key, subject_der=subject_der))

    async def confirm(self, request_id: int = 0, **changes: object) -> Message:
        assert self.last is not None
        confirmation = Confirmation(cert_hash=certificate_hash(certificate_of(self.last)), request_id=request_id)
        return await self.say(
            BodyType.CERTCONF,
            write_confirmation(replace(confirmation, **changes)),  # type: ignore[arg-type]
        )


def certificate_of(answer: Message) -> Certificate:
    """That which an `ip`, `cp` or `kup` brings."""
    return read_certificate(read_responses(answer.body).responses[0].certificate or b"")


def status_of(answer: Message) -> StatusInfo:
    """Of an `error`, `rp`, `ip`, `cp` or `kup`."""
    if answer.body_type == BodyType.ERROR:
        return read_error(answer.body)
    if answer.body_type == BodyType.RP:
        return read_revocation_answer(answer.body)[0]
    return read_responses(answer.body).responses[0].status


def refusal(answer: Message) -> tuple[int, set[FailInfo]]:
    return answer.body_type, set(status_of(answer).failures)


@dataclass(frozen=True)
class Greedy:
    """Claims parameters by which nobody has worked."""

    claimed: SharedSecret
    sender: bytes = der.EMPTY_SEQUENCE
    extra_certificates: tuple[bytes, ...] = ()

    @property
    def key_id(self) -> bytes:
        return self.claimed.reference

    @property
    def algorithm(self) -> Algorithm:
        return self.claimed.algorithm

    async def protect(self, _: bytes) -> bytes:
        return b"m" * 32
