"""Each path of the CA against each kind of message."""

from __future__ import annotations

import pytest

from kiosk.ca.paths import OPERATIONS, accepted_at
from kiosk.cmp.envelope import read_message
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.requests import write_update
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CONTENT_TYPE, BodyType, FailInfo
from tests.ca.bank import Bank, new_key, refusal, status_of

PKIX = {"Content-Type": CONTENT_TYPE}
ROOT = "/.well-known/cmp"
BEGINNINGS = {
    "": {BodyType.IR, BodyType.CR, BodyType.KUR, BodyType.P10CR, BodyType.RR, BodyType.GENM},
    "/initialization": {BodyType.IR},
    "/certification": {BodyType.CR},
    "/keyupdate": {BodyType.KUR},
    "/pkcs10": {BodyType.P10CR},
    "/revocation": {BodyType.RR},
    "/getcacerts": {BodyType.GENM},
    "/getcertreqtemplate": {BodyType.GENM},
    "/getcrls": {BodyType.GENM},
}
"""RFC 9483 §6.1, without what this CA does not offer."""
ALWAYS = {BodyType.CERTCONF, BodyType.POLLREQ, BodyType.ERROR}
REQUESTS = BEGINNINGS[""] | ALWAYS


@pytest.mark.parametrize("prefix", [ROOT, ROOT + "/p/renewals"])
@pytest.mark.parametrize("label", BEGINNINGS)
async def test_a_path_takes_its_own_operation_and_no_other(bank: Bank, prefix: str, label: str) -> None:
    holder = bank.holder()
    taken = set()
    for kind in REQUESTS:
        request = await bank.write(holder, kind, b"\x30\x00")
        answer = await bank.http.post("http://ca.invalid" + prefix + label, content=request, headers=PKIX)
        assert answer.status_code == 200
        if b"not answered at this path" not in answer.content:
            taken.add(kind)
    assert taken == BEGINNINGS[label] | ALWAYS


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.well-known",
        ROOT + "/",
        ROOT + "/p",
        ROOT + "/p/",
        ROOT + "/p/others",
        ROOT + "/p/renewals/",
        ROOT + "/p/renewals/others",
        ROOT + "/p/renewals/keyupdate/more",
        ROOT + "/keyupdate/",
        ROOT + "/KeyUpdate",
        ROOT + "/kur",
        *(f"{ROOT}{prefix}/{label}" for prefix in ("", "/p/renewals") for label in ("nested", "getrootupdate")),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_elsewhere_is_nothing(bank: Bank, path: str, method: str) -> None:
    """A client learns by the status that its path is not supported (RFC 9483 §6.1), and is sent nowhere else."""
    headers = PKIX | {"Host": "evil.invalid"}
    answer = await bank.http.request(method, "http://ca.invalid" + path, headers=headers)
    assert (answer.status_code, "Location" in answer.headers) == (404, False)


def test_every_registered_label_is_known_or_known_not_to_be_offered() -> None:
    """IANA, CMP Well-Known URI Path Segments, those of HTTP."""
    offered = {label.lstrip("/") for label in BEGINNINGS if label}
    assert set(OPERATIONS) == offered | {"getrootupdate", "nested"}


def test_a_ca_goes_by_the_names_it_is_given() -> None:
    assert f"{ROOT}/p/users/keyupdate" in accepted_at({"users", "administrators"})
    assert not any("/p/" in path for path in accepted_at(()))


async def test_a_message_at_the_wrong_path_has_not_been_seen(bank: Bank) -> None:
    """HTTP must not change what becomes of a transaction (RFC 9811 §5 item 2)."""
    holder = bank.holder()
    request = await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))

    async def send(label: str) -> bytes:
        url = f"http://ca.invalid{ROOT}/{label}"
        return (await bank.http.post(url, content=request, headers=PKIX)).content

    wrong, right = read_message(await send("getcacerts")), read_message(await send("keyupdate"))
    assert refusal(wrong) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})
    wrong.verify_protection(bank.authority.signer.certificate.public_key)
    assert (right.body_type, status_of(right).failures) == (BodyType.KUP, frozenset())


async def test_a_general_message_may_ask_anything_at_the_path_of_another(bank: Bank) -> None:
    request = await bank.write(bank.holder(), BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    url = f"http://ca.invalid{ROOT}/getcertreqtemplate"
    answer = await bank.http.post(url, content=request, headers=PKIX)
    assert read_message(answer.content).body_type == BodyType.GENP
