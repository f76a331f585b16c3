from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from kiosk.cmp import der
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import read_message
from kiosk.cmp.errors import MalformedMessage, Refused
from kiosk.cmp.general import read_general
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import WrongCertificate
from kiosk.cmp.messages import PkiMessage
from kiosk.cmp.requests import read_requests
from kiosk.cmp.responses import CertificateResponse, CertificateResponses, certificate_hash
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, rejection, write_error
from kiosk.cmp.vocabulary import CA_CERTIFICATES, REQUEST_TEMPLATE, BodyType, FailInfo, Status
from tests.cmp.conftest import URL
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import NOW, Pki, new_key

ClientOf = Callable[[FakeCa], CmpClient]


def with_status(status: StatusInfo) -> Callable[[CertificateResponses], CertificateResponses]:
    response = CertificateResponse(request_id=0, status=status)
    return lambda _: CertificateResponses(responses=(response,))


async def test_the_ca_tells_its_certificates_key_kinds_and_time(pki: Pki, client_of: ClientOf) -> None:
    answer = await client_of(FakeCa(pki)).general(pki.customer)
    assert answer.ca_certificates == (pki.issuing.certificate,)
    assert answer.template is not None
    assert answer.template.key_kinds == {"rsa-2048", "ec-p256"}
    assert (answer.message_time, answer.offset) == (NOW, timedelta())
    assert answer.signer == pki.ca_signer.certificate


async def test_a_clock_far_off_is_reported_by_genp_not_refused(pki: Pki, trust: Trust) -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(FakeCa(pki)))
    client = CmpClient(http, URL, trust, clock=lambda: NOW + timedelta(hours=2))
    assert (await client.general(pki.customer)).offset == timedelta(hours=-2)


async def test_a_renewal_asks_for_the_same_subject_names_the_old_and_proves_the_new_key(
    pki: Pki, client_of: ClientOf
) -> None:
    ca, key = FakeCa(pki), SoftwareKey(new_key())
    issued = await client_of(ca).update(pki.customer, key)
    (request,) = read_requests(ca.asked[0].body)
    request.verify_proof(key.public_key)
    ca.asked[0].verify_protection(pki.customer.certificate.public_key)
    assert request.subject_der == pki.customer.certificate.subject_der
    assert request.old_certificate is not None
    assert request.old_certificate.names(pki.customer.certificate)
    assert issued.certificate.public_key == key.public_key
    assert issued.confirm_before == NOW + timedelta(days=14)
    assert not issued.modified


async def test_confirming_stays_in_the_transaction_and_returns_the_cas_nonce(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki)
    client = client_of(ca)
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    await client.confirm(issued)
    update, confirmation = ca.asked
    assert confirmation.header.transaction_id == update.header.transaction_id
    assert confirmation.header.recipient_nonce == b"b" * 16
    assert confirmation.header.sender_nonce != update.header.sender_nonce
    assert [(each.cert_hash, each.status) for each in ca.confirmations] == [
        (certificate_hash(issued.certificate), None)
    ]


async def test_rejecting_says_so_and_why(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki)
    client = client_of(ca)
    await client.reject(await client.update(pki.customer, SoftwareKey(new_key())), "wrong key")
    (confirmation,) = ca.confirmations
    assert confirmation.status == rejection((), "wrong key")


async def test_every_transaction_has_its_own_id_and_nonce(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki)
    client = client_of(ca)
    for _ in range(3):
        await client.general(pki.customer)
    headers = [message.header for message in ca.asked]
    assert len({header.transaction_id for header in headers} | {header.sender_nonce for header in headers}) == 12


async def test_a_message_asks_one_question(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki)
    await client_of(ca).general(pki.customer)
    assert [read_general(message.body) for message in ca.asked] == [(Info(CA_CERTIFICATES),), (Info(REQUEST_TEMPLATE),)]


@pytest.mark.parametrize("failures", [(), (FailInfo.BAD_REQUEST,), (FailInfo.ADD_INFO_NOT_AVAILABLE,)])
async def test_a_ca_that_knows_no_template_does_not_say(
    pki: Pki, client_of: ClientOf, failures: tuple[FailInfo, ...]
) -> None:
    ca = FakeCa(pki, refused={REQUEST_TEMPLATE: rejection(failures, "what?")})
    answer = await client_of(ca).general(pki.customer)
    assert (answer.template, answer.ca_certificates) == (None, (pki.issuing.certificate,))
    assert (answer.message_time, answer.offset) == (NOW, timedelta())


async def test_a_refusal_that_is_about_the_customer_is_one(pki: Pki, client_of: ClientOf) -> None:
    for kind, failure in (
        (REQUEST_TEMPLATE, FailInfo.CERT_REVOKED),
        (REQUEST_TEMPLATE, FailInfo.SYSTEM_UNAVAIL),
        (CA_CERTIFICATES, FailInfo.BAD_REQUEST),
    ):
        with pytest.raises(Refused) as caught:
            await client_of(FakeCa(pki, refused={kind: rejection([failure], "no")})).general(pki.customer)
        assert caught.value.fail_info == {failure.field_name}


async def test_an_unproven_refusal_of_the_template_says_nothing(pki: Pki, client_of: ClientOf) -> None:
    def strip(wire: bytes) -> bytes:
        message = der.decode(PkiMessage, wire)
        if read_message(wire).body_type == BodyType.ERROR:
            message.protection = None
        return der.encode(message)

    ca = FakeCa(pki, refused={REQUEST_TEMPLATE: rejection([FailInfo.BAD_REQUEST], "what?")}, wire=strip)
    with pytest.raises(Refused) as caught:
        await client_of(ca).general(pki.customer)
    assert not caught.value.proven


async def test_the_offset_is_that_of_the_first_answer(pki: Pki, trust: Trust) -> None:
    ticks = itertools.count()
    http = httpx.AsyncClient(transport=httpx.MockTransport(FakeCa(pki)))
    client = CmpClient(http, URL, trust, clock=lambda: NOW + timedelta(seconds=next(ticks)))
    # Looked at four times a message: asked, written, checked, and answered.
    assert (await client.general(pki.customer)).offset == timedelta(seconds=-1.5)


async def test_grant_with_modifications_is_a_grant(pki: Pki, client_of: ClientOf) -> None:
    def modify(content: CertificateResponses) -> CertificateResponses:
        certificate = content.responses[0].certificate
        status = StatusInfo(Status.GRANTED_WITH_MODS)
        return CertificateResponses(
            responses=(CertificateResponse(request_id=0, status=status, certificate=certificate),)
        )

    assert (await client_of(FakeCa(pki, responses=modify)).update(pki.customer, SoftwareKey(new_key()))).modified


async def test_rejection_in_kup_is_a_proven_refusal(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, responses=with_status(rejection([FailInfo.BAD_POP, FailInfo.BAD_ALG], "no\x1b[31m\nred")))
    with pytest.raises(Refused) as caught:
        await client_of(ca).update(pki.customer, SoftwareKey(new_key()))
    refused = caught.value
    assert (set(refused.fail_info), refused.text, refused.proven) == ({"badPOP", "badAlg"}, "no [31m red", True)
    assert refused.message_time == NOW
    assert refused.decided


async def test_a_refusal_decides_only_where_it_is_all_there_is(pki: Pki, client_of: ClientOf) -> None:
    no = CertificateResponse(request_id=0, status=rejection([], "no"))

    def beside_a_grant(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(no, *content.responses))

    def of_another(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(replace(no, request_id=1),))

    def with_a_certificate(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(replace(content.responses[0], status=no.status),))

    for spoil in (beside_a_grant, of_another, with_a_certificate):
        with pytest.raises(Refused) as caught:
            await client_of(FakeCa(pki, responses=spoil)).update(pki.customer, SoftwareKey(new_key()))
        assert (caught.value.proven, caught.value.decided) == (True, False)


async def test_an_error_decides_nothing(pki: Pki, client_of: ClientOf) -> None:
    error = write_error(rejection([FailInfo.TRANSACTION_ID_IN_USE], "used"))
    with pytest.raises(Refused) as caught:
        await client_of(FakeCa(pki, body=lambda _, __: (BodyType.ERROR, error))).update(
            pki.customer, SoftwareKey(new_key())
        )
    assert (caught.value.proven, caught.value.decided) == (True, False)


async def test_a_pinned_signer_needs_no_purpose(pki: Pki, foreign: Pki) -> None:
    pinned: Signer = foreign.customer
    http = httpx.AsyncClient(transport=httpx.MockTransport(FakeCa(pki, signer=pinned)))
    trust = Trust((pki.root.certificate,), pinned_signers=(pinned.certificate,))
    answer = await CmpClient(http, URL, trust, clock=lambda: NOW).general(pki.customer)
    assert answer.signer == pinned.certificate


async def test_pkiconf_is_empty(pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, only_for=BodyType.CERTCONF, body=lambda kind, _: (kind, b"\x30\x00"))
    client = client_of(ca)
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    with pytest.raises(MalformedMessage):
        await client.confirm(issued)


async def test_garbage_is_no_message(trust: Trust, pki: Pki) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"\x30\x03\x02\x01\x02", headers={"Content-Type": "application/pkixcmp"})

    client = CmpClient(httpx.AsyncClient(transport=httpx.MockTransport(answer)), URL, trust)
    with pytest.raises(MalformedMessage):
        await client.general(pki.customer)


async def test_a_wrong_certificate_can_be_rejected(pki: Pki, client_of: ClientOf) -> None:
    def another_subject(responses: CertificateResponses) -> CertificateResponses:
        other = pki.issue("Other", new_key().public_key()).der
        return replace(responses, responses=(replace(responses.responses[0], certificate=other),))

    ca = FakeCa(pki, responses=another_subject)
    client = client_of(ca)
    with pytest.raises(WrongCertificate) as raised:
        await client.update(pki.customer, SoftwareKey(new_key()))
    await client.reject(raised.value.issued, raised.value.reason.value)
    (confirmation,) = ca.confirmations
    assert confirmation.status == rejection((), "certificate-key")
    assert confirmation.cert_hash == certificate_hash(raised.value.issued.certificate)


async def test_a_certificate_in_an_answer_of_another_form_can_be_rejected(pki: Pki, client_of: ClientOf) -> None:
    def for_another_request(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(replace(content.responses[0], request_id=7),))

    def with_roots(content: CertificateResponses) -> CertificateResponses:
        return replace(content, ca_pubs=(pki.root.certificate.der,))

    for spoil, request_id in ((for_another_request, 7), (with_roots, 0)):
        ca = FakeCa(pki, responses=spoil)
        client = client_of(ca)
        with pytest.raises(WrongCertificate) as raised:
            await client.update(pki.customer, SoftwareKey(new_key()))
        await client.reject(raised.value.issued, "no")
        assert [each.request_id for each in ca.confirmations] == [request_id]
