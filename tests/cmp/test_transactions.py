"""What the client asks, in every kind of transaction, and what it makes of good answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from kiosk.cmp.algorithms import Family, family_of, pss_scheme
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import (
    AnswerWaits,
    Distrust,
    NotRejectable,
    Refused,
    TransferError,
    TransferFailure,
    UntrustedAnswer,
)
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.peer import EJBCA, KIOSK, RFC9483, Confirming, Peer, Polling, SignerRule
from kiosk.cmp.polling import read_poll_request
from kiosk.cmp.requests import read_pkcs10, read_requests
from kiosk.cmp.responses import certificate_hash
from kiosk.cmp.revocations import RevocationRequest
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, rejection
from kiosk.cmp.vocabulary import (
    CLIENT_AUTH,
    CMC_CA,
    CONTENT_TYPE,
    IMPLICIT_CONFIRM,
    PVNO,
    PVNO_2021,
    BodyType,
    FailInfo,
    Status,
)
from tests.cmp.conftest import URL
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import LATER, NOW, Pki, name, new_key
from tests.cmp.spoiled_answers import CODE, MAC1, crl

ClientOf = Callable[[FakeCa], CmpClient]


@dataclass
class Watch:
    """A clock that goes on only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def talking_to(
    ca: FakeCa | Callable[[httpx.Request], httpx.Response],
    trust: Trust,
    peer: Peer = KIOSK,
    watch: Watch | None = None,
) -> CmpClient:
    watch = watch or Watch()
    http = httpx.AsyncClient(transport=httpx.MockTransport(ca))
    return CmpClient(http, URL, trust, peer=peer, clock=lambda: NOW, sleep=watch.sleep, monotonic=lambda: watch.now)


@pytest.mark.parametrize("code", [CODE, MAC1], ids=["PBM", "PBMAC1"])
@pytest.mark.parametrize("by_mac", [True, False], ids=["answered by MAC", "answered by signature"])
async def test_a_code_enrols(pki: Pki, client_of: ClientOf, code: SharedSecret, by_mac: bool) -> None:
    ca, key = FakeCa(pki, secret=code if by_mac else None), SoftwareKey(new_key())
    client = client_of(ca)
    issued = await client.enrol(code, key)
    await client.confirm(issued)

    assert ca.kinds == [BodyType.IR, BodyType.CERTCONF]
    for message in ca.asked:
        message.verify_mac(code.secret)
        assert (message.header.sender_key_id, message.header.sender) == (code.reference, b"\x30\x00")
    (request,) = read_requests(ca.asked[0].body)
    request.verify_proof(key.public_key)
    assert (request.subject_der, request.old_certificate, request.request_id) == (b"\x30\x00", None, 0)
    assert issued.certificate.public_key == key.public_key
    (confirmation,) = ca.confirmations
    assert confirmation.cert_hash == certificate_hash(issued.certificate)


@pytest.mark.parametrize("code", [CODE, MAC1], ids=["PBM", "PBMAC1"])
async def test_nobody_answers_by_sending_our_own_message_back(pki: Pki, trust: Trust, code: SharedSecret) -> None:
    """It has the right secret, reference, transaction id and time; only what it returns is not ours."""

    def mirror(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.content, headers={"Content-Type": CONTENT_TYPE})

    issued = await talking_to(FakeCa(pki, secret=code), trust).enrol(code, SoftwareKey(new_key()))
    client = talking_to(mirror, trust)
    for ask in (client.general(code), client.enrol(code, SoftwareKey(new_key())), client.confirm(issued)):
        with pytest.raises(UntrustedAnswer) as caught:
            await ask
        assert caught.value.reason is Distrust.RECIPIENT_NONCE


async def test_a_code_asks_about_the_ca(pki: Pki, client_of: ClientOf) -> None:
    by_mac = await client_of(FakeCa(pki, secret=MAC1)).general(MAC1)
    assert (by_mac.ca_certificates, by_mac.signer, by_mac.proven) == ((pki.issuing.certificate,), None, True)
    by_signature = await client_of(FakeCa(pki)).general(MAC1)
    assert by_signature.signer == pki.ca_signer.certificate


async def test_roots_that_come_in_answer_to_a_code_are_not_looked_at(pki: Pki, foreign: Pki, trust: Trust) -> None:
    """They come beside a certificate of the pinned CA, and make none of another CA's count."""
    ca = FakeCa(pki, secret=CODE, responses=lambda it: replace(it, ca_pubs=(foreign.root.certificate.der, b"\x30\x00")))
    assert (await talking_to(ca, trust).enrol(CODE, SoftwareKey(new_key()))).certificate.common_name == "Customer"
    ca.issue = foreign.successor
    with pytest.raises(WrongCertificate) as raised:
        await talking_to(ca, trust).enrol(CODE, SoftwareKey(new_key()))
    assert raised.value.reason is Distrust.CERTIFICATE_PATH


async def test_who_it_is_to_be_for_may_be_left_to_the_ca(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, issue=lambda key: pki.issue("Anybody", key, purposes=[CLIENT_AUTH], end=LATER))
    assert (await client_of(ca).enrol(pki.customer, SoftwareKey(new_key()))).certificate.common_name == "Anybody"
    with pytest.raises(WrongCertificate) as raised:
        await client_of(ca).enrol(pki.customer, SoftwareKey(new_key()), pki.customer.certificate.subject_der)
    assert raised.value.reason is Distrust.CERTIFICATE_SUBJECT
    assert read_requests(ca.asked[-1].body)[0].subject_der == pki.customer.certificate.subject_der


async def test_a_holder_asks_for_a_further_certificate(pki: Pki, client_of: ClientOf) -> None:
    ca, key = FakeCa(pki), SoftwareKey(new_key())
    client = client_of(ca)
    await client.confirm(await client.certify(pki.customer, key))
    assert ca.kinds == [BodyType.CR, BodyType.CERTCONF]
    read_requests(ca.asked[0].body)[0].verify_proof(key.public_key)


@pytest.mark.parametrize("request_id", [-1, 0])
async def test_a_request_in_pkcs10(pki: Pki, client_of: ClientOf, request_id: int) -> None:
    ca, key = FakeCa(pki), SoftwareKey(new_key())
    ca.responses = lambda it: replace(it, responses=(replace(it.responses[0], request_id=request_id),))
    client, subject = client_of(ca), pki.customer.certificate.subject_der
    await client.confirm(await client.certify_pkcs10(CODE, key, subject))
    request = read_pkcs10(ca.asked[0].body)
    request.verify_proof(key.public_key)
    assert request.subject_der == subject
    assert [each.request_id for each in ca.confirmations] == [request_id]


async def test_a_revocation(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki)
    await client_of(ca).revoke(pki.customer, pki.customer.certificate, 1)
    assert ca.revocations == [RevocationRequest.of(pki.customer.certificate, 1)]
    ca.asked[0].verify_protection(pki.customer.certificate.public_key)


async def test_a_refused_revocation(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, statuses=(rejection([FailInfo.CERT_REVOKED], "was it already"),))
    with pytest.raises(Refused) as caught:
        await client_of(ca).revoke(pki.customer, pki.customer.certificate)
    assert caught.value.fail_info == {"certRevoked"}
    assert (caught.value.proven, caught.value.decided) == (True, True)
    with pytest.raises(AnswerWaits):
        await client_of(FakeCa(pki, statuses=(StatusInfo(Status.WAITING),))).revoke(
            pki.customer, pki.customer.certificate
        )


async def test_crls(pki: Pki, client_of: ClientOf) -> None:
    ca, issuer = FakeCa(pki, crl=crl(pki, pki)), pki.issuing.certificate
    client = client_of(ca)
    current = await client.current_crl(pki.customer)
    assert current is not None
    assert (current.der, current.issuer, current.revoked) == (ca.crl, issuer, frozenset())
    assert await client.newer_crl(pki.customer, issuer) == current
    assert await client.newer_crl(pki.customer, issuer, current) is None
    assert await client_of(FakeCa(pki)).current_crl(pki.customer) is None


# Waiting ----------------------------------------------------------------------------------------------------------


def patient(total: float = 60.0) -> Peer:
    return Peer(polling=Polling(total=total, shortest_wait=2.0, longest_wait=20.0))


async def test_an_answer_that_waits_is_asked_for(pki: Pki, trust: Trust) -> None:
    ca, watch = FakeCa(pki, polls=3), Watch()
    client = talking_to(ca, trust, patient(), watch)
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    await client.confirm(issued)

    assert ca.kinds == [BodyType.KUR, *[BodyType.POLLREQ] * 4, BodyType.CERTCONF]
    assert watch.slept == [7.0, 7.0, 7.0], "the CA's checkAfter"
    headers = [message.header for message in ca.asked]
    assert len({header.transaction_id for header in headers}) == 1
    assert len({header.sender_nonce for header in headers}) == len(headers)
    assert [header.recipient_nonce for header in headers] == [None, *(bytes([ord("b") + n]) * 16 for n in range(5))]
    assert [read_poll_request(message.body) for message in ca.asked[1:5]] == [(0,)] * 4


@pytest.mark.parametrize(("check_after", "waits"), [(0, 2.0), (1, 2.0), (7, 7.0), (20, 20.0), (10**12, 20.0)])
async def test_what_the_ca_says_is_bounded_by_what_we_say(
    pki: Pki, trust: Trust, check_after: int, waits: float
) -> None:
    ca, watch = FakeCa(pki, polls=1, check_after=check_after), Watch()
    await talking_to(ca, trust, patient(), watch).update(pki.customer, SoftwareKey(new_key()))
    assert watch.slept == [waits]


async def test_the_waiting_ends(pki: Pki, trust: Trust) -> None:
    ca, watch = FakeCa(pki, polls=100, check_after=20), Watch()
    with pytest.raises(AnswerWaits) as caught:
        await talking_to(ca, trust, patient(total=60.0), watch).update(pki.customer, SoftwareKey(new_key()))
    assert watch.slept == [20.0, 20.0, 20.0]
    assert caught.value.check_after == 20


async def test_a_ca_that_is_not_polled(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki, polls=1)
    with pytest.raises(AnswerWaits):
        await talking_to(ca, trust, Peer(polls=False)).update(pki.customer, SoftwareKey(new_key()))
    assert ca.kinds == [BodyType.KUR]


async def test_everything_can_wait(pki: Pki, trust: Trust) -> None:
    """What is not about one certificate waits as an error, and is polled for as a whole (RFC 9483 §4.4)."""
    key = SoftwareKey(new_key())

    async def confirm(client: CmpClient) -> None:
        issued = await client.update(pki.customer, key)
        ca.polls = 2
        await client.confirm(issued)

    asks: dict[BodyType, Callable[[CmpClient], object]] = {
        BodyType.GENM: lambda client: client.general(pki.customer),
        BodyType.RR: lambda client: client.revoke(pki.customer, pki.customer.certificate),
        BodyType.CERTCONF: confirm,
        BodyType.IR: lambda client: client.enrol(CODE, key),
        BodyType.CR: lambda client: client.certify(pki.customer, key),
        BodyType.P10CR: lambda client: client.certify_pkcs10(CODE, key, pki.customer.certificate.subject_der),
    }
    for body_type, ask in asks.items():
        ca, watch = FakeCa(pki, secret=CODE, polls=0 if body_type is BodyType.CERTCONF else 2), Watch()
        await ask(talking_to(ca, trust, watch=watch))  # type: ignore[misc]
        assert watch.slept == [7.0, 7.0], body_type
        polled = [read_poll_request(message.body) for message in ca.asked if message.body_type == BodyType.POLLREQ]
        assert polled == [(0,) if body_type in (BodyType.IR, BodyType.CR) else (-1,)] * 3, body_type


async def test_a_refusal_after_the_waiting_is_decided(pki: Pki, trust: Trust) -> None:
    def no(kind: int, body: bytes) -> tuple[int, bytes]:
        ca.responses = lambda it: replace(
            it, responses=(replace(it.responses[0], status=rejection([], "no"), certificate=None),)
        )
        return kind, body

    ca = FakeCa(pki, polls=1, only_for=BodyType.POLLREQ, body=no)
    with pytest.raises(Refused) as caught:
        await talking_to(ca, trust).update(pki.customer, SoftwareKey(new_key()))
    assert caught.value.decided


async def test_waiting_once_more_after_having_been_ready_is_waiting(pki: Pki, trust: Trust) -> None:
    waiting = StatusInfo(Status.WAITING)
    ca = FakeCa(pki, polls=1)
    ca.responses = lambda it: replace(it, responses=(replace(it.responses[0], status=waiting, certificate=None),))
    with pytest.raises(AnswerWaits):
        await talking_to(ca, trust).update(pki.customer, SoftwareKey(new_key()))


async def test_a_poll_that_never_leaves_does_not_unmake_the_request(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki, polls=1)

    async def cut(request: httpx.Request) -> httpx.Response:
        if ca.asked:
            raise httpx.ConnectError("refused")
        return await ca(request)

    with pytest.raises(TransferError) as caught:
        await talking_to(cut, trust).update(pki.customer, SoftwareKey(new_key()))  # type: ignore[arg-type]
    assert caught.value.may_have_arrived


# Confirming -------------------------------------------------------------------------------------------------------


def asks_for_none(ca: FakeCa) -> bool:
    return not any(each.kind == IMPLICIT_CONFIRM for message in ca.asked for each in message.header.general_info)


async def test_an_implicit_confirmation_is_asked_for_and_then_nothing_is_said(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki, implicit=True)
    client = talking_to(ca, trust, Peer(confirming=Confirming.IMPLICIT))
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    assert issued.implicitly_confirmed
    assert Info(IMPLICIT_CONFIRM, b"\x05\x00") in ca.asked[0].header.general_info
    await client.confirm(issued)
    assert ca.kinds == [BodyType.KUR]
    with pytest.raises(NotRejectable):
        await client.reject(issued, "no")


async def test_where_it_is_not_granted_the_client_confirms(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki)
    client = talking_to(ca, trust, Peer(confirming=Confirming.IMPLICIT))
    await client.confirm(await client.update(pki.customer, SoftwareKey(new_key())))
    assert ca.kinds == [BodyType.KUR, BodyType.CERTCONF]


async def test_what_was_not_asked_for_is_no_confirmation(pki: Pki, trust: Trust) -> None:
    def granting(header: object) -> object:
        return replace(header, general_info=(Info(IMPLICIT_CONFIRM, b"\x05\x00"),))  # type: ignore[type-var]

    ca = FakeCa(pki, header=granting)  # type: ignore[arg-type]
    client = talking_to(ca, trust)
    await client.confirm(await client.update(pki.customer, SoftwareKey(new_key())))
    assert ca.kinds == [BodyType.KUR, BodyType.CERTCONF]
    assert asks_for_none(ca)


async def test_a_ca_that_knows_no_confirmation_hears_none(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki)
    client = talking_to(ca, trust, Peer(confirming=Confirming.NONE))
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    await client.confirm(issued)
    with pytest.raises(NotRejectable):
        await client.reject(issued, "no")
    assert ca.kinds == [BodyType.KUR]
    assert asks_for_none(ca)


@pytest.mark.parametrize(("newest", "version", "names"), [(3, PVNO_2021, True), (2, PVNO, False)])
async def test_a_certificate_without_a_hash_of_its_own_is_confirmed_by_a_named_one(
    pki: Pki, trust: Trust, newest: int, version: int, names: bool
) -> None:
    """RFC 9810 §5.3.18: the certificate is signed by Ed25519, and version 3 is used for this message only."""
    edwards = Pki(issuing_key=ed25519.Ed25519PrivateKey.generate())
    ca = FakeCa(pki)
    client = talking_to(ca, trust, Peer(newest_version=newest))
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    issued = replace(issued, certificate=edwards.customer.certificate)
    await client.confirm(issued)
    assert [message.header.pvno for message in ca.asked] == [PVNO, version]
    (confirmation,) = ca.confirmations
    assert confirmation.cert_hash == certificate_hash(issued.certificate)
    assert len(confirmation.cert_hash) == 64
    assert (confirmation.hash_algorithm is not None) == names


# What differs -----------------------------------------------------------------------------------------------------


async def test_the_address_says_what_is_asked_and_does_not_change_within_a_transaction(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki, crl=crl(pki, pki), polls=1)
    client, key = talking_to(ca, trust, Peer(profile="bank", operation_labels=True)), SoftwareKey(new_key())
    await client.confirm(await client.update(pki.customer, key))
    await client.general(pki.customer)
    await client.current_crl(pki.customer)
    await client.newer_crl(pki.customer, pki.issuing.certificate)
    await client.revoke(pki.customer, pki.customer.certificate)
    await client.enrol(pki.customer, key)
    await client.certify(pki.customer, key)
    await client.certify_pkcs10(pki.customer, key, pki.customer.certificate.subject_der)
    assert [address.removeprefix(f"{URL}/p/bank/") for address in ca.addresses] == [
        *["keyupdate"] * 4,
        "getcacerts",
        "getcertreqtemplate",
        *["getcrls"] * 2,
        "revocation",
        "initialization",
        "certification",
        "pkcs10",
    ]


async def test_a_kur_may_say_less(pki: Pki, trust: Trust) -> None:
    ca = FakeCa(pki)
    peer = Peer(subject_in_update=False, old_certificate_in_update=False)
    await talking_to(ca, trust, peer).update(pki.customer, SoftwareKey(new_key()))
    (request,) = read_requests(ca.asked[0].body)
    assert (request.subject_der, request.old_certificate) == (None, None)


async def test_the_recipient(pki: Pki, trust: Trust) -> None:
    ca, called = FakeCa(pki, secret=CODE), name("Called otherwise").public_bytes()
    await talking_to(ca, trust).general(pki.customer)
    await talking_to(ca, trust).general(CODE)
    await talking_to(ca, trust, Peer(recipient=called)).general(CODE)
    told = [message.header.recipient for message in ca.asked]
    assert told == [pki.issuing.certificate.subject_der] * 2 + [b"\x30\x00"] * 2 + [called] * 2


def test_a_code_is_protected_as_the_peer_wants_it() -> None:
    for kind in MacKind:
        secret = Peer(code_protection=kind).secret(b"ID", b"12345678901234560")
        assert (secret.kind, secret.reference) == (kind, b"ID")
        assert "1234567" not in repr(secret)


async def test_only_the_protections_that_are_accepted_count(pki: Pki, trust: Trust) -> None:
    """One row for each family: an answer protected by it counts, and does not where the settings leave it out."""
    keys = {
        Family.RSA_PKCS1: SoftwareKey(RSA),
        Family.RSA_PSS: SoftwareKey(RSA, pss_scheme(SHA256())),
        Family.ECDSA: SoftwareKey(new_key()),
        Family.ED25519: SoftwareKey(ed25519.Ed25519PrivateKey.generate()),
    }
    for family in Family:
        code = None
        if family in keys:
            key = keys[family]
            issued = pki.issue("CMP Signer", key.public_key, purposes=[CMC_CA])
            ca = FakeCa(pki, signer=Signer(key, issued, (pki.issuing.certificate,)))
        else:
            code = CODE if family is Family.PBM else MAC1
            ca = FakeCa(pki, secret=code)
        asker = code or pki.customer
        await talking_to(ca, trust, Peer(protections=frozenset({family}))).general(asker)
        algorithm = (ca.signer or ca.secret).algorithm  # type: ignore[union-attr]
        assert family_of(algorithm) is family
        with pytest.raises(UntrustedAnswer) as caught:
            await talking_to(ca, trust, Peer(protections=frozenset(Family) - {family})).general(asker)
        assert caught.value.reason is Distrust.ALGORITHM


RSA = rsa.generate_private_key(65537, 2048)


def signers(pki: Pki) -> dict[str, Signer]:
    return {
        "cmcCA": pki.ca_signer,
        "another purpose": pki.signer("RA", purposes=["1.3.6.1.5.5.7.3.28"]),
        "the issuer": Signer(SoftwareKey(pki.issuing.key), pki.issuing.certificate),
        "the root": Signer(SoftwareKey(pki.root.key), pki.root.certificate),
        "a customer": pki.other_customer,
        "pinned": pki.signer("Pinned"),
    }


RULES: dict[str, tuple[SignerRule, str, set[str]]] = {
    "cmcCA": (SignerRule.PURPOSE, CMC_CA, {"cmcCA", "pinned"}),
    "another purpose": (SignerRule.PURPOSE, "1.3.6.1.5.5.7.3.28", {"another purpose", "pinned"}),
    "the issuer": (SignerRule.ISSUER, CMC_CA, {"the issuer", "the root", "pinned"}),
    "pinned": (SignerRule.PINNED, CMC_CA, {"pinned"}),
}


@pytest.mark.parametrize("rule", RULES)
async def test_whose_signature_counts_is_the_settings_to_say(rule: str) -> None:
    pki = Pki(cas_sign=True)
    kind, purpose, counting = RULES[rule]
    candidates = signers(pki)
    for name_of, signer in candidates.items():
        trust = Trust(
            (pki.root.certificate,),
            (pki.issuing.certificate,),
            pinned_signers=(candidates["pinned"].certificate,),
            signer_purpose=purpose,
            signer_rule=kind,
        )
        client = talking_to(FakeCa(pki, signer=signer), trust)
        if name_of in counting:
            assert (await client.general(pki.customer)).signer == signer.certificate, name_of
            continue
        with pytest.raises(UntrustedAnswer) as caught:
            await client.general(pki.customer)
        assert caught.value.reason is Distrust.SIGNER_PURPOSE, name_of


async def test_a_ca_that_signs_itself_need_not_send_its_certificate() -> None:
    able = Pki(cas_sign=True)
    ca = FakeCa(able, signer=Bare(SoftwareKey(able.issuing.key), able.issuing.certificate))
    trust = Trust((able.root.certificate,), (able.issuing.certificate,), signer_rule=SignerRule.ISSUER)
    assert (await talking_to(ca, trust).general(able.customer)).signer == able.issuing.certificate


class Bare(Signer):
    """Sends no certificates."""

    @property
    def extra_certificates(self) -> tuple[bytes, ...]:
        return ()


# A CA like EJBCA --------------------------------------------------------------------------------------------------


@dataclass
class LikeEjbca:
    """Answers as EJBCA does: signed by the issuing CA, caPubs always, no genm, HEAD refused."""

    ca: FakeCa
    date: str = "Sun, 01 Mar 2026 03:05:05 GMT"
    status: int = 405
    heads: int = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            self.heads += 1
            return httpx.Response(self.status, headers={"Date": self.date})
        return await self.ca(request)


def like_ejbca(pki: Pki, **facts: object) -> tuple[LikeEjbca, Trust]:
    ca = FakeCa(
        pki,
        signer=Signer(SoftwareKey(pki.issuing.key), pki.issuing.certificate),
        responses=lambda it: replace(it, ca_pubs=(pki.issuing.certificate.der,)),
    )
    trust = Trust((pki.root.certificate,), (pki.issuing.certificate,), signer_rule=EJBCA.signer_rule)
    return LikeEjbca(ca, **facts), trust  # type: ignore[arg-type]


async def test_a_renewal_with_a_ca_like_ejbca() -> None:
    pki = Pki(cas_sign=True)
    ejbca, trust = like_ejbca(pki)
    client = talking_to(ejbca, trust, EJBCA)  # type: ignore[arg-type]
    told = await client.general(pki.customer)
    assert (told.proven, told.offset, told.template) == (False, timedelta(minutes=1), None)
    await client.confirm(await client.update(pki.customer, SoftwareKey(new_key())))
    assert ejbca.ca.kinds == [BodyType.KUR, BodyType.CERTCONF], "no genm"


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Sun, 01 Mar 2026 03:04:05 -0000",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Sun, 01 Mar 2026 03:04:05 +99999999999999",
        "Sun, 01 Mar 99999999999 03:04:05 GMT",
    ],
)
async def test_a_server_that_tells_no_time_is_there_all_the_same(date: str) -> None:
    pki = Pki(cas_sign=True)
    ejbca, trust = like_ejbca(pki, date=date)
    told = await talking_to(ejbca, trust, EJBCA).general(pki.customer)  # type: ignore[arg-type]
    assert (told.message_time, told.offset) == (NOW, timedelta())


@pytest.mark.parametrize(("status", "works"), [(200, True), (404, True), (501, True), (500, False), (503, False)])
async def test_a_server_that_does_not_work_is_told(status: int, works: bool) -> None:
    pki = Pki(cas_sign=True)
    ejbca, trust = like_ejbca(pki, status=status)
    client = talking_to(ejbca, trust, EJBCA)  # type: ignore[arg-type]
    if works:
        assert not (await client.general(pki.customer)).proven
        return
    with pytest.raises(TransferError) as caught:
        await client.general(pki.customer)
    assert caught.value.kind is (TransferFailure.BUSY if status == 503 else TransferFailure.STATUS)


def test_presets_say_what_they_promise() -> None:
    assert Peer() == KIOSK
    assert (RFC9483.operation_labels, RFC9483.confirming) == (True, Confirming.EXPLICIT)
    assert not EJBCA.unconfirmed_ends


async def test_an_issued_certificate_tells_no_secret(pki: Pki, client_of: ClientOf) -> None:
    issued: Issued = await client_of(FakeCa(pki, secret=CODE)).enrol(CODE, SoftwareKey(new_key()))
    assert CODE.secret.decode() not in repr(issued)
