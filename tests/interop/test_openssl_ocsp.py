"""Somebody else's clients against what our CA tells of its certificates: `openssl ocsp`, `crl` and `verify`.

The CA is its own process and speaks HTTPS; status is told at a port of its own without TLS, as certificates want it.
"""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.interop.openssl import Counter, Outcome, open_counter

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("CI") != "true", reason="openssl is not installed"
)

PUBLIC = "http://pki.example.jp/status"


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """With one valid certificate and one that a teller has revoked while the server ran."""
    files = tmp_path_factory.mktemp("everybody's files")
    with open_counter(files, f'status_url = "{PUBLIC}"\n', "--status-port", "0") as opened:
        for name in ("good", "bad"):
            opened.enrolled(name)
        opened.teller("revoke", opened.serial("bad"), "--reason", "keyCompromise")
        yield opened


def ocsp(counter: Counter, *arguments: str) -> Outcome:
    """Asked of the CA, and verified under its root."""
    trust = ["-issuer", "ca/issuing.pem", "-CAfile", "ca/root.pem", "-verify_other", "ca/issuing.pem"]
    return counter.openssl("ocsp", *trust, "-url", counter.status + "/ocsp", *arguments)


NONCES = pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])


@NONCES
@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
def test_good_and_revoked_by_post(counter: Counter, nonce: str, digest: str) -> None:
    for name, said in (("good", "good.pem: good"), ("bad", "bad.pem: revoked")):
        outcome = ocsp(counter, digest, "-cert", f"{name}.pem", nonce)
        assert outcome.code == 0
        assert "Response verify OK" in outcome.said
        assert said in outcome.said
        assert ("Reason: keyCompromise" in outcome.said) == (name == "bad")
        # OpenSSL's words where it has sent a nonce and none came back.
        assert "no nonce in response" not in outcome.said


def test_the_nonce_comes_back(counter: Counter) -> None:
    told = ocsp(counter, "-cert", "good.pem", "-nonce", "-text").said
    lines = [line.strip() for line in told.splitlines()]
    nonces = [lines[at + 1] for at, line in enumerate(lines) if "Nonce" in line]
    assert len(nonces) == 2
    assert nonces[0] == nonces[1]


def test_by_get(counter: Counter) -> None:
    """OpenSSL writes the request and reads the answer; between them is what any HTTP client does."""
    for name, said in (("good", ": good"), ("bad", ": revoked")):
        outcome = counter.openssl(
            "ocsp", "-issuer", "ca/issuing.pem", "-cert", f"{name}.pem", "-no_nonce", "-reqout", "asked.der"
        )
        assert outcome.code == 0
        text = base64.b64encode((counter.files / "asked.der").read_bytes()).decode()
        with urllib.request.urlopen(f"{counter.status}/ocsp/{urllib.parse.quote(text, safe='')}", timeout=30) as got:  # noqa: S310
            assert got.headers["Content-Type"] == "application/ocsp-response"
            assert got.headers["Cache-Control"].startswith("max-age=")
            (counter.files / "told.der").write_bytes(got.read())
        read = counter.openssl(
            *["ocsp", "-respin", "told.der", "-issuer", "ca/issuing.pem", "-cert", f"{name}.pem"],
            *["-CAfile", "ca/root.pem", "-verify_other", "ca/issuing.pem", "-no_nonce"],
        )
        assert "Response verify OK" in read.said
        assert f"{name}.pem{said}" in read.said


def test_by_serial_numbers_one_after_the_other(counter: Counter) -> None:
    rows = {f"0x{counter.serial('good')}": "good", f"0x{counter.serial('bad')}": "revoked", "0x1234": "unknown"}
    for serial, said in rows.items():
        outcome = ocsp(counter, "-serial", serial)
        assert "Response verify OK" in outcome.said
        assert f"{serial}: {said}" in outcome.said


def test_several_in_one_request_are_refused_in_ocsps_own_words(counter: Counter) -> None:
    outcome = ocsp(counter, "-serial", "0x12", "-serial", "0x34")
    assert "Responder Error: unauthorized (6)" in outcome.said


def test_another_issuer_is_not_answered_for(counter: Counter) -> None:
    outcome = counter.openssl(
        "ocsp", "-issuer", "ca/root.pem", "-serial", "0x12", "-url", counter.status + "/ocsp", "-CAfile", "ca/root.pem"
    )
    assert "Responder Error: unauthorized (6)" in outcome.said


def test_whoever_signs_the_answers_is_nobody_else(counter: Counter) -> None:
    """OpenSSL does not take an answer under another root: it looks at who has signed."""
    outcome = counter.openssl(
        *["ocsp", "-issuer", "ca/issuing.pem", "-cert", "good.pem", "-url", counter.status + "/ocsp"],
        *["-CAfile", "ca/tls-root.pem"],
    )
    assert "Response Verify Failure" in outcome.said


def test_over_tls_at_the_port_of_cmp(counter: Counter) -> None:
    tls = ssl.create_default_context(cafile=str(counter.files / "ca" / "tls-root.pem"))
    base = counter.url.removesuffix("/.well-known/cmp")
    assert base.startswith("https:")
    with urllib.request.urlopen(f"{base}/crl", timeout=30, context=tls) as got:  # noqa: S310
        assert x509.load_der_x509_crl(got.read()).next_update_utc is not None


def test_the_crl_over_http_by_openssl(counter: Counter) -> None:
    crl = fetch(counter, "crl", "application/pkix-crl")
    read = counter.openssl("crl", "-inform", "DER", "-in", crl, "-CAfile", "ca/chain.pem", "-text", "-noout")
    assert read.code == 0
    assert "verify OK" in read.said
    assert counter.serial("bad").upper() in read.said.replace(":", "")
    assert counter.serial("good").upper() not in read.said.replace(":", "")
    counter.openssl("crl", "-inform", "DER", "-in", crl, "-out", "crl.pem")
    assert counter.verifies("good", "-crl_check", "-CRLfile", "crl.pem")
    assert not counter.verifies("bad", "-crl_check", "-CRLfile", "crl.pem")
    assert counter.verifies("bad")


def test_the_issuing_certificate_over_http(counter: Counter) -> None:
    got = x509.load_der_x509_certificate(
        (counter.files / fetch(counter, "issuing.cer", "application/pkix-cert")).read_bytes()
    )
    assert got == counter.read("ca/issuing")


def test_a_revocation_is_told_at_once(counter: Counter) -> None:
    counter.enrolled("late")
    assert "late.pem: good" in ocsp(counter, "-cert", "late.pem").said
    counter.teller("revoke", counter.serial("late"), "--reason", "cessationOfOperation")
    assert "late.pem: revoked" in ocsp(counter, "-cert", "late.pem").said
    crl = x509.load_der_x509_crl((counter.files / fetch(counter, "crl", "application/pkix-crl")).read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(int(counter.serial("late"), 16)) is not None


def test_certificates_say_where_all_this_is(counter: Counter) -> None:
    extensions = counter.read("good").extensions
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    told = {each.access_method: each.access_location.value for each in access}
    assert told == {
        AuthorityInformationAccessOID.OCSP: f"{PUBLIC}/ocsp",
        AuthorityInformationAccessOID.CA_ISSUERS: f"{PUBLIC}/issuing.cer",
    }
    assert counter.openssl("x509", "-in", "good.pem", "-noout", "-ocsp_uri").said.strip() == f"{PUBLIC}/ocsp"
    assert f"URI:{PUBLIC}/crl" in counter.openssl("x509", "-in", "good.pem", "-noout", "-text").said


def fetch(counter: Counter, name: str, kind: str) -> str:
    """What is at the status port under this name, as a file."""
    with urllib.request.urlopen(f"{counter.status}/{name}", timeout=30) as got:  # noqa: S310
        assert got.headers["Content-Type"] == kind
        content: bytes = got.read()
    Path(counter.files / f"{name}.got").write_bytes(content)
    return f"{name}.got"
