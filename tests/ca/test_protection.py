"""How requests may be protected, in which version they may be, and that the answer follows them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kiosk.ca.policy import Policy
from kiosk.ca.responder import Responder
from kiosk.ca.schema import CertificateState
from kiosk.cmp.algorithms import Algorithm, Family, family_of, pss_scheme
from kiosk.cmp.envelope import Protector
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind
from kiosk.cmp.requests import write_update
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType, FailInfo
from tests.ca.bank import Bank, Talk, certificate_of, new_key, refusal

QUESTION = write_general([Info(CA_CERTIFICATES)])
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {
    "rsa-pkcs1": SoftwareKey(RSA),
    "rsa-pss with SHA-256": SoftwareKey(RSA, pss_scheme(hashes.SHA256())),
    "rsa-pss with SHA-384": SoftwareKey(RSA, pss_scheme(hashes.SHA384())),
    "rsa-pss with SHA-512": SoftwareKey(RSA, pss_scheme(hashes.SHA512())),
    "ecdsa over P-256": SoftwareKey(ec.generate_private_key(ec.SECP256R1())),
    "ecdsa over P-384": SoftwareKey(ec.generate_private_key(ec.SECP384R1())),
    "ed25519": SoftwareKey(ed25519.Ed25519PrivateKey.generate()),
}
WAYS = [*KEYS, *MacKind]


def protector(bank: Bank, way: str) -> Protector:
    if way in KEYS:
        return bank.holder(key=KEYS[way])
    bank.newcomer()
    return bank.code("TKYM1408054", MacKind(way))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pvno", [2, 3])
async def test_each_is_accepted_and_the_answer_has_its_version(bank: Bank, way: str, pvno: int) -> None:
    answer = await Talk(bank, protector(bank, way), pvno).say(BodyType.GENM, QUESTION)
    assert (answer.body_type, answer.header.pvno) == (BodyType.GENP, pvno)


@pytest.mark.parametrize("way", WAYS)
async def test_each_only_where_the_bank_wants_it(bank: Bank, way: str) -> None:
    asking = protector(bank, way)
    family = family_of(asking.algorithm)
    assert family is not None
    bank.obey(Policy(protections=frozenset(Family) - {family}))
    answer = await bank.ask(asking, BodyType.GENM, QUESTION)
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_ALG})
    bank.obey(Policy(protections=frozenset({family})))
    assert (await bank.ask(asking, BodyType.GENM, QUESTION)).body_type == BodyType.GENP


def test_every_family_has_been_tried() -> None:
    print(f"{len(WAYS)} ways of protection")
    families = {family_of(key.scheme.algorithm) for key in KEYS.values()} | {Family(kind) for kind in MacKind}
    assert families == set(Family)


@pytest.mark.parametrize("way", KEYS)
async def test_a_whole_renewal_by_each_signature(bank: Bank, way: str) -> None:
    holder = bank.holder(key=KEYS[way])
    talk = Talk(bank, holder)
    answer = await talk.say(BodyType.KUR, await write_update(holder.certificate, new_key()))
    assert (await talk.confirm()).body_type == BodyType.PKICONF
    assert bank.state(certificate_of(answer)) is CertificateState.VALID


# --- certConf with a named hash (RFC 9810 §5.3.18) --------------------------------------------------------------------

SHA = {name: Algorithm(f"2.16.840.1.101.3.4.2.{number}") for name, number in (("256", 1), ("384", 2), ("512", 3))}


async def issued(bank: Bank, pvno: int) -> tuple[Talk, Signer]:
    holder = bank.holder()
    talk = Talk(bank, holder, pvno)
    await talk.say(BodyType.KUR, await write_update(holder.certificate, new_key()))
    return talk, holder


@pytest.mark.parametrize("name", SHA)
async def test_a_named_hash_confirms(bank: Bank, name: str) -> None:
    talk, _ = await issued(bank, 3)
    assert talk.last is not None
    digest = hashes.Hash({"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[name])
    digest.update(certificate_of(talk.last).der)
    answer = await talk.confirm(cert_hash=digest.finalize(), hash_algorithm=SHA[name])
    assert (answer.body_type, answer.header.pvno) == (BodyType.PKICONF, 3)


@pytest.mark.parametrize(
    ("pvno", "algorithm", "failure"),
    [
        (2, SHA["256"], FailInfo.BAD_REQUEST),
        (3, SHA["512"], FailInfo.BAD_CERT_ID),
        (3, Algorithm("1.3.14.3.2.26"), FailInfo.BAD_ALG),
        (3, Algorithm("2.16.840.1.101.3.4.2.1", b"\x30\x00"), FailInfo.BAD_ALG),
    ],
    ids=["in version 2", "another than it was made by", "SHA-1", "with parameters"],
)
async def test_a_hash_that_confirms_nothing(bank: Bank, pvno: int, algorithm: Algorithm, failure: FailInfo) -> None:
    talk, holder = await issued(bank, pvno)
    assert refusal(await talk.confirm(hash_algorithm=algorithm)) == (BodyType.ERROR, {failure})
    assert bank.state(holder.certificate) is CertificateState.VALID


class Elsewhere(SoftwareKey):
    """A key that has to be waited for."""

    async def sign(self, data: bytes) -> bytes:
        await asyncio.sleep(0)
        return await super().sign(data)


async def test_the_ca_signs_by_keys_in_memory_only(bank: Bank) -> None:
    far = Signer(Elsewhere(ec.generate_private_key(ec.SECP256R1())), bank.authority.signer.certificate)
    responder = Responder(replace(bank.authority, signer=far), bank.book, bank.policy)
    with pytest.raises(RuntimeError, match="not in memory"):
        await responder.answer(b"")
