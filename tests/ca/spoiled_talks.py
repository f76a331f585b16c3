"""Transactions that go wrong at a later message, and requests that come at the wrong time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from sqlalchemy import Connection

from kiosk.ca import audit
from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, CertificateState, PromiseKind
from kiosk.cmp import der
from kiosk.cmp.envelope import Header
from kiosk.cmp.general import CrlStatus, write_crl_statuses, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.messages import CertTemplate, Extension, RevDetails
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import write_request, write_update
from kiosk.cmp.responses import Confirmation, certificate_hash, write_confirmation
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import CRL_REASON, CRL_STATUS_LIST, BodyType, FailInfo
from tests.ca.bank import Bank, Spoil, Talk, as_it_is, certificate_of, new_key
from tests.ca.spoiled import Send, put, rule

DAY = timedelta(days=1)
KUR, CR, IR, RR, GENM = BodyType.KUR, BodyType.CR, BodyType.IR, BodyType.RR, BodyType.GENM
CERTCONF, POLLREQ, ERROR = BodyType.CERTCONF, BodyType.POLLREQ, BodyType.ERROR
A_CLIENT_S_ERROR = write_error(rejection({FailInfo.BAD_DATA_FORMAT}, "the answer cannot be read"))


async def updating(bank: Bank, key: SoftwareKey | None = None, holder: Signer | None = None) -> Talk:
    """A renewal as far as `kup`."""
    holder = holder or bank.holder()
    talk = Talk(bank, holder)
    await talk.say(KUR, await write_update(holder.certificate, key or new_key()))
    return talk


async def waiting(bank: Bank) -> Talk:
    """A renewal that waits for a teller."""
    rule(bank, approval=frozenset({PromiseKind.UPDATE}))
    return await updating(bank)


# --- certConf ---------------------------------------------------------------------------------------------------------


def confirmation_of(talk: Talk, **changes: object) -> bytes:
    assert talk.last is not None
    confirmation = Confirmation(cert_hash=certificate_hash(certificate_of(talk.last)))
    return write_confirmation(replace(confirmation, **changes))  # type: ignore[arg-type]


def confirming(spoil: Spoil = as_it_is, *, pvno: int = 2, **changes: object) -> Send:
    """A `certConf` with such a header, and such content."""

    async def send(bank: Bank) -> bytes:
        talk = await updating(bank)
        talk.pvno = pvno
        return await talk.write(CERTCONF, confirmation_of(talk, **changes), spoil)

    return send


def confirming_after(event: Callable[[Bank, Talk], Awaitable[object]]) -> Send:
    """A good `certConf` after something has happened."""

    async def send(bank: Bank) -> bytes:
        talk = await updating(bank)
        body = confirmation_of(talk)
        await event(bank, talk)
        return await talk.write(CERTCONF, body)

    return send


async def it_was_confirmed(_: Bank, talk: Talk) -> None:
    """The transaction has ended; the same nonces again."""
    last = talk.last
    await talk.confirm()
    talk.last = last


async def it_was_rejected(_: Bank, talk: Talk) -> None:
    last = talk.last
    await talk.confirm(status=rejection({FailInfo.BAD_CERT_TEMPLATE}, "no"))
    talk.last = last


async def the_time_went_by(bank: Bank, _: Talk) -> None:
    bank.now += bank.policy.confirmation + timedelta(seconds=1)


async def another_key_came(bank: Bank, talk: Talk) -> None:
    await updating(bank, holder=holder_of(talk))


async def the_old_one_was_revoked(bank: Bank, talk: Talk) -> None:
    bank.revoke(holder_of(talk).certificate)


async def the_old_one_was_superseded(bank: Bank, talk: Talk) -> None:
    put(bank, holder_of(talk).certificate, CertificateState.SUPERSEDED)


async def the_new_one_was_revoked(bank: Bank, talk: Talk) -> None:
    assert talk.last is not None
    bank.revoke(certificate_of(talk.last))


def holder_of(talk: Talk) -> Signer:
    assert isinstance(talk.protector, Signer)
    return talk.protector


async def confirming_a_replaced_one(bank: Bank) -> bytes:
    """One that was rejected in a second transaction, and issued anew for the same key in a third."""
    holder, key = bank.holder(), new_key()
    talk = await updating(bank, key, holder)
    body = confirmation_of(talk)
    second = await updating(bank, key, holder)
    await second.confirm(status=rejection({FailInfo.BAD_CERT_TEMPLATE}, "no"))
    await updating(bank, key, holder)
    return await talk.write(CERTCONF, body)


async def confirming_what_was_implicitly(bank: Bank) -> bytes:
    """The old certificate is superseded by then, and its transaction closed."""
    holder = bank.holder()
    talk = Talk(bank, holder, implicit=True)
    await talk.say(KUR, await write_update(holder.certificate, new_key()))
    return await talk.write(CERTCONF, confirmation_of(talk))


async def confirming_what_was_refused(bank: Bank) -> bytes:
    """A `certConf` all the same."""
    holder = bank.holder()
    talk = Talk(bank, holder)
    await talk.say(KUR, der.EMPTY_SEQUENCE)
    return await talk.write(CERTCONF, write_confirmation(Confirmation(cert_hash=b"h" * 32)))


async def rejecting_what_was_confirmed(bank: Bank) -> bytes:
    """In a transaction of its own, about the same certificate."""
    holder, key = bank.holder(), new_key()
    await (await updating(bank, key, holder)).confirm()
    talk = await updating(bank, key, holder)
    return await talk.write(CERTCONF, confirmation_of(talk, status=rejection({FailInfo.BAD_CERT_TEMPLATE}, "no")))


async def confirming_twice_at_once(bank: Bank) -> bytes:
    talk = await updating(bank)
    (one,) = der.read_items(confirmation_of(talk))
    return await talk.write(CERTCONF, der.sequence_of([der.value_bytes(one)] * 2))


async def confirming_nothing(bank: Bank) -> bytes:
    return await bank.write(bank.holder(), CERTCONF, write_confirmation(Confirmation(cert_hash=b"h" * 32)))


async def confirming_what_waits(bank: Bank) -> bytes:
    talk = await waiting(bank)
    return await talk.write(CERTCONF, write_confirmation(Confirmation(cert_hash=b"h" * 32)))


def confirming_by(other: Callable[[Bank, Talk], Signer]) -> Send:
    async def send(bank: Bank) -> bytes:
        talk = await updating(bank)
        body = confirmation_of(talk)
        talk.protector = other(bank, talk)
        return await talk.write(CERTCONF, body)

    return send


def another_holder(bank: Bank, _: Talk) -> Signer:
    return bank.holder()


async def confirming_by_the_new_one(bank: Bank) -> bytes:
    key = new_key()
    talk = await updating(bank, key)
    body = confirmation_of(talk)
    assert talk.last is not None
    talk.protector = Signer(key, certificate_of(talk.last), (bank.authority.issuing,))
    return await talk.write(CERTCONF, body)


async def confirming_by_a_code(bank: Bank) -> bytes:
    """What was begun by a certificate, by the same holder's code."""
    talk = await updating(bank)
    body = confirmation_of(talk)
    talk.protector = bank.code("holder-1")
    return await talk.write(CERTCONF, body)


# --- codes ------------------------------------------------------------------------------------------------------------


async def enrolling_with(bank: Bank, key: SoftwareKey, code: SharedSecret | None = None) -> Talk:
    talk = Talk(bank, code or bank.newcomer())
    await talk.request(IR, key)
    return talk


async def another_key_by_the_same_code(bank: Bank) -> bytes:
    talk = await enrolling_with(bank, new_key())
    return await bank.write(talk.protector, IR, await write_request(new_key()))


async def a_used_code(bank: Bank) -> bytes:
    talk = await enrolling_with(bank, new_key())
    await talk.confirm()
    return await bank.write(talk.protector, IR, await write_request(new_key()))


async def another_mac_in_certconf(bank: Bank) -> bytes:
    """Begun by PBM, and gone on with PBMAC1 over other content: only its MAC is wrong."""
    talk = await enrolling_with(bank, new_key())
    body = confirmation_of(talk)
    assert isinstance(talk.protector, SharedSecret)
    talk.protector = replace(talk.protector, kind=MacKind.PBMAC1, secret=b"1" * 17)
    return await talk.write(CERTCONF, body)


class Racing(Ledger):
    """A ledger to which something happens just before the answer's own transaction in the database."""

    def __init__(self, book: Ledger, number: int, happen: Callable[[], object]) -> None:
        self.__dict__.update(vars(book))
        self._book = book
        self._before = number
        self._happen = happen

    @contextmanager
    def begin(self, by: str = audit.SCHEDULE) -> Iterator[Connection]:
        """Count down to the one before which it happens."""
        self._before -= 1
        if self._before == 0:
            self._happen()
        with self._book.begin(by) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As before."""
        with self._book.read() as connection:
            yield connection


async def replaced_while_its_mac_is_checked(bank: Bank) -> bytes:
    """Between the check of the MAC and the issuing: count, forgive, tidy, then comes the answer's transaction."""
    talk, book = Talk(bank, bank.newcomer()), bank.book
    request = await talk.write(IR, await write_request(new_key()))

    def replace_code() -> None:
        bank.book = book
        bank.code("TKYM1408054")

    bank.book = Racing(book, 4, replace_code)
    bank.obey(bank.policy)
    return request


# --- requests at the wrong time ---------------------------------------------------------------------------------------


async def a_successor_that_was_revoked(bank: Bank) -> bytes:
    holder, key = bank.holder(), new_key()
    talk = await updating(bank, key, holder)
    assert talk.last is not None
    issued = certificate_of(talk.last)
    await talk.confirm()
    bank.revoke(issued)
    return await bank.write(holder, KUR, await write_update(holder.certificate, key))


async def a_key_that_a_teller_refused(bank: Bank) -> bytes:
    rule(bank, approval=frozenset({PromiseKind.UPDATE}))
    holder, key = bank.holder(), new_key()
    await updating(bank, key, holder)
    assert bank.decide(approve=False) == 1
    return await bank.write(holder, KUR, await write_update(holder.certificate, key))


async def a_successor_that_has_one_itself(bank: Bank) -> bytes:
    rule(bank, window_days=400)
    holder, key = bank.holder(), new_key()
    talk = await updating(bank, key, holder)
    assert talk.last is not None
    successor = Signer(key, certificate_of(talk.last))
    await talk.confirm()
    bank.now += DAY
    await (await updating(bank, holder=successor)).confirm()
    return await bank.write(holder, KUR, await write_update(holder.certificate, key))


async def a_second_successor(bank: Bank) -> bytes:
    holder = bank.holder()
    await (await updating(bank, holder=holder)).confirm()
    return await bank.write(holder, KUR, await write_update(holder.certificate, new_key()))


async def too_many_keys(bank: Bank) -> bytes:
    rule(bank, most_new_keys=2)
    holder = bank.holder()
    for _ in range(2):
        await updating(bank, holder=holder)
    return await bank.write(holder, KUR, await write_update(holder.certificate, new_key()))


async def too_many_certificates(bank: Bank) -> bytes:
    """The same key again and again, each certificate rejected: neither the ledger nor the CRL grows without end."""
    rule(bank, most_certificates=4)
    holder, key = bank.holder(), new_key()
    for _ in range(3):
        issued = await bank.client.update(holder, key)
        await bank.client.reject(issued, "no")
    return await bank.write(holder, KUR, await write_update(holder.certificate, key))


def with_a_used_id(kind: BodyType, body: Callable[[Signer], Awaitable[bytes]]) -> Send:
    """The transaction id of a renewal that has been granted."""

    async def send(bank: Bank) -> bytes:
        talk = await updating(bank)
        return await again(bank, talk, kind, await body(holder_of(talk)))

    return send


async def with_the_id_of_a_refused_one(bank: Bank) -> bytes:
    """A good request with the id of one that was not."""
    holder = bank.holder()
    talk = Talk(bank, holder)
    await talk.say(KUR, der.EMPTY_SEQUENCE)
    return await again(bank, talk, KUR, await write_update(holder.certificate, new_key()))


async def again(bank: Bank, talk: Talk, kind: BodyType, body: bytes) -> bytes:
    def same_id(sent: Header) -> Header:
        assert talk.last is not None
        return replace(sent, transaction_id=talk.last.header.transaction_id)

    return await bank.write(talk.protector, kind, body, same_id)


async def an_update(holder: Signer) -> bytes:
    return await write_update(holder.certificate, new_key())


async def an_additional(_: Signer) -> bytes:
    return await write_request(new_key())


async def a_revocation(holder: Signer) -> bytes:
    return write_revocations([RevocationRequest.of(holder.certificate, 1)])


# --- polling ----------------------------------------------------------------------------------------------------------


def polling(request_ids: tuple[int, ...] = (0,), spoil: Spoil = as_it_is) -> Send:
    async def send(bank: Bank) -> bytes:
        talk = await waiting(bank)
        return await talk.write(POLLREQ, write_poll_request(request_ids), spoil)

    return send


def polling_after(event: Callable[[Bank, Talk], Awaitable[object]]) -> Send:
    async def send(bank: Bank) -> bytes:
        talk = await waiting(bank)
        await event(bank, talk)
        return await talk.write(POLLREQ, write_poll_request([0]))

    return send


async def a_teller_refused(bank: Bank, _: Talk) -> None:
    assert bank.decide(approve=False) == 1


async def nobody_decided(bank: Bank, _: Talk) -> None:
    bank.now += bank.policy.approval_time + timedelta(seconds=1)


async def it_was_answered(bank: Bank, talk: Talk) -> None:
    bank.decide(approve=True)
    answer = await talk.say(POLLREQ, write_poll_request([0]))
    assert answer.body_type == BodyType.KUP


async def it_is_another_s(bank: Bank, talk: Talk) -> None:
    talk.protector = bank.holder()


async def polling_for_nothing(bank: Bank) -> bytes:
    return await bank.write(bank.holder(), POLLREQ, write_poll_request([0]))


async def polling_for_what_was_granted(bank: Bank) -> bytes:
    talk = await updating(bank)
    return await talk.write(POLLREQ, write_poll_request([0]))


# --- revocation -------------------------------------------------------------------------------------------------------


def revoking(
    change: Callable[[RevocationRequest], RevocationRequest] = lambda request: request,
    *,
    count: int = 1,
    reason: int | None = 1,
) -> Send:
    """An `rr` by the certificate that is to be revoked."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        request = change(RevocationRequest.of(holder.certificate, reason))
        return await bank.write(holder, RR, write_revocations([request] * count))

    return send


async def revoking_another_s(bank: Bank) -> bytes:
    request = RevocationRequest.of(bank.holder().certificate, 1)
    return await bank.write(bank.holder(), RR, write_revocations([request]))


async def revoking_the_signer(bank: Bank) -> bytes:
    """The certificate that answers for the CA itself."""
    request = RevocationRequest.of(bank.authority.signer.certificate, 1)
    return await bank.write(bank.holder(), RR, write_revocations([request]))


async def revoking_twice(bank: Bank) -> bytes:
    """What is revoked already, by another certificate of the same holder."""
    holder = bank.holder()
    talk = Talk(bank, holder)
    await talk.request(CR, new_key())
    assert talk.last is not None
    additional = certificate_of(talk.last)
    await talk.confirm()
    request = write_revocations([RevocationRequest.of(additional, 4)])
    await bank.ask(holder, RR, request)
    return await bank.write(holder, RR, request)


async def revoking_what_has_expired(bank: Bank) -> bytes:
    """An older certificate of the same holder, by one that goes on."""
    holder, key = bank.holder(), new_key()
    talk = Talk(bank, holder)
    additional = certificate_of(await talk.request(CR, key))
    await talk.confirm()
    bank.now = holder.certificate.not_after + timedelta(seconds=1)
    return await bank.write(Signer(key, additional), RR, await a_revocation(holder))


def revoking_by(state: CertificateState) -> Send:
    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        put(bank, holder.certificate, state)
        return await bank.write(holder, RR, await a_revocation(holder))

    return send


async def revoking_by_one_that_has_expired(bank: Bank) -> bytes:
    holder = bank.holder()
    bank.now = holder.certificate.not_after + timedelta(seconds=1)
    return await bank.write(holder, RR, await a_revocation(holder))


def with_reasons(*reasons: bytes) -> Send:
    """An `rr` whose entry extensions hold these values as reasons."""

    async def send(bank: Bank) -> bytes:
        holder = bank.holder()
        certificate = holder.certificate
        template = CertTemplate(serial_number=certificate.serial_number, issuer=der.read_items(certificate.issuer_der))
        kind = x509.ObjectIdentifier(CRL_REASON)
        entry = [Extension(kind=kind, critical=False, value=value) for value in reasons]
        details = der.encode(RevDetails(certificate=template, entry=entry))
        return await bank.write(holder, RR, der.sequence_of([details]))

    return send


# --- questions --------------------------------------------------------------------------------------------------------


def asking_for(*infos: Info) -> Send:
    async def send(bank: Bank) -> bytes:
        return await bank.write(bank.holder(), GENM, write_general(infos))

    return send


def asking_about_crls(statuses: Callable[[Bank], list[CrlStatus]]) -> Send:
    async def send(bank: Bank) -> bytes:
        value = write_crl_statuses(statuses(bank))
        return await bank.write(bank.holder(), GENM, write_general([Info(CRL_STATUS_LIST, value)]))

    return send


def of_another_issuer(bank: Bank) -> list[CrlStatus]:
    return [CrlStatus(bank.authority.root.subject_der)]


def of_two(bank: Bank) -> list[CrlStatus]:
    return [CrlStatus(bank.authority.issuing.subject_der)] * 2


def of_none(_: Bank) -> list[CrlStatus]:
    return []


# --- errors of a client's ---------------------------------------------------------------------------------------------


async def telling_an_error_outside(bank: Bank) -> bytes:
    return await bank.write(bank.holder(), ERROR, A_CLIENT_S_ERROR)


async def telling_an_error_twice(bank: Bank) -> bytes:
    talk = await updating(bank)
    last = talk.last
    answer = await talk.say(ERROR, A_CLIENT_S_ERROR)
    assert answer.body_type == BodyType.PKICONF
    talk.last = last
    return await talk.write(ERROR, A_CLIENT_S_ERROR)


async def confirming_after_an_error(bank: Bank) -> bytes:
    talk = await updating(bank)
    last, body = talk.last, confirmation_of(talk)
    await talk.say(ERROR, A_CLIENT_S_ERROR)
    talk.last = last
    return await talk.write(CERTCONF, body)


async def telling_an_error_in_another_s(bank: Bank) -> bytes:
    talk = await updating(bank)
    talk.protector = bank.holder()
    return await talk.write(ERROR, A_CLIENT_S_ERROR)


# --- our own faults ---------------------------------------------------------------------------------------------------


async def with_a_damaged_ledger(bank: Bank) -> bytes:
    request = await bank.write(bank.holder(), GENM, write_general([Info("1.3.6.1.5.5.7.4.17")]))
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(der=b"\x30\x00"))
    return request
