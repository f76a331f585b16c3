"""Somebody else's client, `openssl cmp`, against our CA as its own process: each exchange and what comes of it.

What OpenSSL says, how it exits, what the ledger says, and whether `openssl verify` takes what was issued.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.interop.openssl import AT_MOST, Counter, Outcome, by_code, open_counter

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("CI") != "true", reason="openssl is not installed"
)

ANY_TIME = "window_days = 400\n"
"""A certificate may be renewed as soon as it is there."""
TELLER = 'approval = ["additional"]\ncheck_after = "PT1S"\n'
IR_BY_HAND = ["sending IR", "received IP", "sending CERTCONF", "received PKICONF"]


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with open_counter(tmp_path_factory.mktemp("everybody's files"), ANY_TIME, "--http") as opened:
        yield opened


@pytest.fixture(scope="module")
def with_teller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with open_counter(tmp_path_factory.mktemp("where a teller decides"), TELLER, "--http") as opened:
        yield opened


# --- ir ---------------------------------------------------------------------------------------------------------------


def test_a_code_gets_a_certificate(counter: Counter) -> None:
    code = counter.code("FIRST")
    asked = ["-cmd", "ir", *by_code("FIRST", code), "-newkey", counter.key("first")]
    outcome = counter.cmp(*asked, "-certout", "first.pem", "-cacertsout", "first-root.pem")
    assert (outcome.code, outcome.exchanged[:4]) == (0, IR_BY_HAND), outcome.said
    assert counter.state("first") == "valid"
    assert counter.verifies("first")
    assert counter.read("first-root") == counter.read("ca/root")
    assert counter.read("first").public_key() == public_key_of(counter, "first")
    assert "OU=CERT/SUEDNUM - 3,CN=FIRST" in ",".join(
        reversed(counter.read("first").subject.rfc4514_string().split(","))
    )
    again = counter.cmp("-cmd", "ir", *by_code("FIRST", code), "-newkey", counter.key("more"), "-certout", "no.pem")
    assert refused(again, "ERROR", "badMessageCheck"), "the code is used up"


def test_openssl_s_own_mac_is_refused_and_costs_no_try(counter: Counter) -> None:
    code, key = counter.code("SHA1"), counter.key("sha1")
    for mac in ((), ("-mac", "hmac-sha1"), ("-mac", "hmacWithSHA1")):
        options = by_code("SHA1", code, *(mac or ("-digest", "sha256")))
        outcome = counter.cmp("-cmd", "ir", *options, "-newkey", key, "-certout", "no.pem")
        assert refused(outcome, "ERROR", "badAlg"), outcome.said
    asked = counter.cmp("-cmd", "ir", *by_code("SHA1", code), "-newkey", key, "-certout", "sha1.pem")
    assert asked.code == 0, asked.said


def test_a_wrong_code_and_nobody_s_are_told_the_same(counter: Counter) -> None:
    counter.code("WRONG")
    key, known = counter.key("wrong"), set(counter.certificates())
    said = set()
    for reference in ("WRONG", "NOBODY"):
        wrong = by_code(reference, "1" * 17)
        outcome = counter.cmp("-cmd", "ir", *wrong, "-newkey", key, "-certout", "no.pem")
        assert refused(outcome, "ERROR", "badMessageCheck"), outcome.said
        said.add(outcome.said.partition("PKIStatus")[2])
    assert len(said) == 1
    assert set(counter.certificates()) == known


def test_ten_wrong_codes_and_the_right_one_has_to_wait(counter: Counter) -> None:
    code, key = counter.code("TRIES"), counter.key("tries")
    for _ in range(10):
        counter.cmp("-cmd", "genm", "-infotype", "caCerts", *by_code("TRIES", "1" * 17))
    outcome = counter.cmp("-cmd", "ir", *by_code("TRIES", code), "-newkey", key, "-certout", "no.pem")
    assert refused(outcome, "ERROR", "systemUnavail"), outcome.said


# --- cr, p10cr, kur ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One way of asking for a certificate by one that there is."""

    kind: str
    answer: str
    implicit: bool
    old: str
    """What becomes of the certificate by which is asked."""

    @property
    def exchange(self) -> list[str]:
        first = [f"sending {self.kind.upper()}", f"received {self.answer}"]
        return first if self.implicit else [*first, "sending CERTCONF", "received PKICONF"]

    def __str__(self) -> str:
        return f"{self.kind}, {'implicitly' if self.implicit else 'explicitly'} confirmed"


WAYS = [
    Asked(kind, answer, implicit, old)
    for implicit in (False, True)
    for kind, answer, old in (
        ("ir", "IP", "valid"),
        ("cr", "CP", "valid"),
        ("p10cr", "CP", "valid"),
        ("kur", "KUP", "superseded"),
    )
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_certificate_gets_another(counter: Counter, way: Asked) -> None:
    number = WAYS.index(way)
    name, new = counter.enrolled(f"BY{number}"), f"new{number}"
    outcome = counter.cmp(
        "-cmd",
        way.kind,
        *counter.by(name),
        *wanted(counter, way.kind, new, name),
        "-certout",
        f"{new}.pem",
        *(["-implicit_confirm"] if way.implicit else []),
    )
    assert (outcome.code, outcome.exchanged[: len(way.exchange)]) == (0, way.exchange), outcome.said
    assert ("sending CERTCONF" in outcome.exchanged) is not way.implicit
    assert (counter.state(name), counter.state(new)) == (way.old, "valid")
    assert counter.verifies(new)
    assert counter.read(new).subject.public_bytes() == counter.read(name).subject.public_bytes()
    assert counter.read(new).public_key() == public_key_of(counter, new)


def test_pkcs10_by_a_code(counter: Counter) -> None:
    code = counter.code("TEN")
    by = ["-ref", "TEN", "-secret", f"pass:{code}", "-mac", "hmacWithSHA256"]
    outcome = counter.cmp("-cmd", "p10cr", *by, *wanted(counter, "p10cr", "ten", "TEN"), "-certout", "ten.pem")
    assert outcome.code == 0, outcome.said
    assert counter.verifies("ten")


def test_rsa_keys_and_longer_hashes(counter: Counter) -> None:
    code, key = counter.code("RSA"), counter.key("RSA", rsa.generate_private_key(65537, 2048))
    asked = counter.cmp("-cmd", "ir", *by_code("RSA", code), "-newkey", key, "-certout", "RSA.pem")
    assert asked.code == 0, asked.said
    for digest in ("sha384", "sha512"):
        outcome = counter.cmp("-cmd", "genm", "-infotype", "caCerts", *counter.by("RSA"), "-digest", digest)
        assert outcome.code == 0, outcome.said
    renewed = counter.cmp("-cmd", "kur", *counter.by("RSA"), "-newkey", counter.key("rsa2"), "-certout", "rsa2.pem")
    assert renewed.code == 0, renewed.said
    assert counter.verifies("rsa2")


def test_the_same_key_gets_the_same_certificate(counter: Counter) -> None:
    name, key = counter.enrolled("AGAIN"), counter.key("again")
    ask = ["-cmd", "kur", *counter.by(name), "-newkey", key]
    for number in range(2):
        outcome = counter.cmp(*ask, "-certout", f"again{number}.pem")
        assert (outcome.code, "received PKICONF" in outcome.exchanged) == (0, True), outcome.said
    assert counter.read("again0") == counter.read("again1")
    other = counter.cmp("-cmd", "kur", *counter.by(name), "-newkey", counter.key("third"), "-certout", "no.pem")
    assert refused(other, "KUP", "certRevoked"), other.said
    by_the_new_one = ["-cert", "again1.pem", "-key", key]
    taken = counter.cmp("-cmd", "cr", *by_the_new_one, "-newkey", key, "-certout", "no.pem")
    assert refused(taken, "CP", "duplicateCertReq"), taken.said


def test_what_is_not_confirmed_is_not_valid(counter: Counter) -> None:
    name, key = counter.enrolled("SILENT"), counter.key("silent")
    ask = ["-cmd", "kur", *counter.by(name), "-newkey", key, "-certout", "silent.pem"]
    assert counter.cmp(*ask, "-disable_confirm").code == 0
    assert (counter.state(name), counter.state("silent")) == ("valid", "unconfirmed")
    used = counter.cmp("-cmd", "genm", "-infotype", "caCerts", *counter.by("silent"))
    assert refused(used, "ERROR", "signerNotTrusted"), used.said
    assert counter.cmp(*ask).code == 0, "the same certificate, confirmed this time"
    assert (counter.state(name), counter.state("silent")) == ("superseded", "valid")


def test_a_certificate_that_openssl_does_not_like_is_rejected_and_revoked(counter: Counter) -> None:
    name, before = counter.enrolled("PICKY"), set(counter.certificates())
    counter.key("picky")
    outcome = counter.cmp(
        *["-cmd", "cr", *counter.by(name), "-newkey", "picky.key", "-certout", "no.pem"],
        *["-out_trusted", "ca/tls-root.pem"],
    )
    assert outcome.code != 0
    assert outcome.exchanged[:4] == ["sending CR", "received CP", "sending CERTCONF", "received PKICONF"], outcome.said
    (new,) = set(counter.certificates()) - before
    assert counter.certificates()[new]["state"] == "revoked"


def test_what_the_profile_does_not_have_is_left_out_and_said(counter: Counter) -> None:
    name = counter.enrolled("SAN")
    asked = ["-cmd", "cr", *counter.by(name), "-newkey", counter.key("san"), "-certout", "san.pem"]
    outcome = counter.cmp(*asked, "-sans", "www.example.com", "-days", "3650", "-geninfo", "1.2.3:int:7")
    assert outcome.code == 0, outcome.said
    assert "grantedWithMods" in outcome.said
    issued = counter.read("san")
    with pytest.raises(x509.ExtensionNotFound):
        issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert (issued.not_valid_after_utc - issued.not_valid_before_utc).days <= 366


# --- refused ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """One request that OpenSSL can be told to send, and what the CA says to it."""

    what: str
    kind: str
    options: tuple[str, ...]
    answer: str
    reason: str


WRONG = (
    Wrong("unprotected", "cr", ("-unprotected_requests",), "ERROR", "badMessageCheck"),
    Wrong("unprotected kur", "kur", ("-unprotected_requests",), "ERROR", "badMessageCheck"),
    Wrong("SHA-1", "cr", ("-digest", "sha1"), "ERROR", "badAlg"),
    Wrong("SHA-224", "cr", ("-digest", "sha224"), "ERROR", "badAlg"),
    Wrong("no proof of possession", "cr", ("-popo", "-1"), "CP", "badPOP"),
    Wrong("an RA's word", "kur", ("-popo", "0"), "KUP", "notAuthorized"),
    Wrong("another subject", "cr", ("-subject", "/CN=SOMEBODY ELSE"), "CP", "notAuthorized"),
    Wrong("another issuer", "cr", ("-issuer", "/CN=Another CA"), "CP", "badCertTemplate"),
    Wrong("another's old certificate", "kur", ("-oldcert", "OTHER.pem", "-subject", "/"), "KUP", "badCertId"),
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_it_is_refused(counter: Counter, wrong: Wrong) -> None:
    name = counter.enrolled(f"WRONG{WRONG.index(wrong)}")
    if "OTHER.pem" in wrong.options and not (counter.files / "OTHER.pem").exists():
        counter.enrolled("OTHER")
    before = counter.certificates()
    asked = ["-cmd", wrong.kind, *counter.by(name), "-newkey", counter.key("wrong"), "-certout", "no.pem"]
    outcome = counter.cmp(*asked, *wrong.options)
    assert refused(outcome, wrong.answer, wrong.reason), outcome.said
    assert counter.certificates() == before
    assert not (counter.files / "no.pem").exists()


def test_a_key_update_cannot_be_asked_for_by_a_code(counter: Counter) -> None:
    name = counter.enrolled("KUR")
    code = counter.code("KUR")
    asked = ["-cmd", "kur", *by_code("KUR", code), "-oldcert", f"{name}.pem", "-newkey", counter.key("kur")]
    outcome = counter.cmp(*asked, "-certout", "no.pem")
    assert refused(outcome, "ERROR", "wrongIntegrity"), outcome.said


def test_a_recorded_request_issues_once(counter: Counter) -> None:
    name, key = counter.enrolled("RECORDED"), counter.key("recorded")
    first = ["-cmd", "cr", *counter.by(name), "-newkey", key, "-certout", "recorded.pem"]
    assert counter.cmp(*first, "-reqout", "cr.der certconf.der").code == 0
    before = counter.certificates()
    again = counter.cmp(*first, "-reqin", "cr.der certconf.der")
    assert refused(again, "ERROR", "transactionIdInUse"), again.said
    assert counter.certificates() == before


# --- rr, and what a teller revokes ------------------------------------------------------------------------------------


def test_a_certificate_is_revoked_by_another_of_the_same_holder(counter: Counter) -> None:
    name = counter.enrolled("LOST")
    asked = ["-cmd", "cr", *counter.by(name), "-newkey", counter.key("kept"), "-certout", "kept.pem"]
    assert counter.cmp(*asked).code == 0
    revoke = ["-cmd", "rr", *counter.by("kept"), "-oldcert", f"{name}.pem"]
    outcome = counter.cmp(*revoke, "-revreason", "1")
    assert (outcome.code, outcome.exchanged[:2]) == (0, ["sending RR", "received RP"]), outcome.said
    record = counter.certificates()[counter.serial(name)]
    assert (record["state"], record["reason"]) == ("revoked", "keyCompromise")
    twice = counter.cmp(*revoke)
    assert refused(twice, "RP", "certRevoked"), twice.said
    used = counter.cmp("-cmd", "kur", *counter.by(name), "-newkey", counter.key("lost2"), "-certout", "no.pem")
    assert refused(used, "KUP", "certRevoked"), used.said
    (counter.files / "crl.pem").write_text(counter.teller("crl"), encoding="ascii")
    with_list = ("-crl_check", "-CRLfile", "crl.pem")
    assert (counter.verifies(name, *with_list), counter.verifies("kept", *with_list)) == (False, True)


def test_a_certificate_revokes_itself(counter: Counter) -> None:
    name = counter.enrolled("SELF")
    assert counter.cmp("-cmd", "rr", *counter.by(name), "-oldcert", f"{name}.pem").code == 0
    assert counter.state(name) == "revoked"


def test_somebody_else_s_certificate_cannot_be_revoked(counter: Counter) -> None:
    name, victim = counter.enrolled("THIEF"), counter.enrolled("VICTIM")
    outcome = counter.cmp("-cmd", "rr", *counter.by(name), "-oldcert", f"{victim}.pem", "-revreason", "1")
    assert refused(outcome, "RP", "badCertId"), outcome.said
    assert counter.state(victim) == "valid"


def test_what_a_teller_has_revoked_is_refused(counter: Counter) -> None:
    name = counter.enrolled("GONE")
    counter.teller("revoke", counter.serial(name), "--reason", "cessationOfOperation")
    for kind, answer in (("kur", "KUP"), ("cr", "CP")):
        asked = ["-cmd", kind, *counter.by(name), "-newkey", counter.key("gone2"), "-certout", "no.pem"]
        outcome = counter.cmp(*asked)
        assert refused(outcome, answer, "certRevoked"), outcome.said


# --- genm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ("caCerts", True),
        ("certReqTemplate", True),
        ("currentCRL", True),
        ("rootCaKeyUpdate", False),
        ("caProtEncCert", False),
        ("signKeyPairTypes", False),
        ("encKeyPairTypes", False),
        ("preferredSymmAlg", False),
        ("caKeyUpdateInfo", False),
        ("keyPairParamReq", False),
        ("revPassphrase", False),
        ("suppLangTags", False),
    ],
)
@pytest.mark.parametrize("by", ["a certificate", "a code"])
def test_each_question_that_openssl_can_ask(counter: Counter, info: str, told: bool, by: str) -> None:
    protection = asking_by(counter, by)
    outcome = counter.cmp("-cmd", "genm", "-infotype", info, *protection)
    if told:
        assert outcome.code == 0, outcome.said
        assert f"id-it-{info}" in outcome.said
    else:
        assert refused(outcome, "ERROR", "badRequest"), outcome.said


def asking_by(counter: Counter, by: str) -> list[str]:
    """Whoever asks; the code without any name, as OpenSSL does when it knows none."""
    if by == "a code":
        return ["-ref", "ASKER", "-secret", f"pass:{counter.code('ASKER')}", "-mac", "hmacWithSHA256"]
    if not (counter.files / "ASKING.pem").exists():
        counter.enrolled("ASKING")
    return counter.by("ASKING")


def test_a_question_about_nothing_is_refused(counter: Counter) -> None:
    outcome = counter.cmp("-cmd", "genm", *asking_by(counter, "a certificate"))
    assert refused(outcome, "ERROR", "badRequest"), outcome.said


# --- a teller decides -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "approve"), [("ir", True), ("cr", True), ("p10cr", True), ("cr", False)])
def test_openssl_waits_for_a_teller(with_teller: Counter, kind: str, approve: bool) -> None:
    counter, new = with_teller, f"{kind}-{approve}"
    name = counter.enrolled(f"WAITING-{kind}-{approve}")
    asked = ["-cmd", kind, *counter.by(name), *wanted(counter, kind, new, name), "-certout", f"{new}.pem"]
    command = ["openssl", *counter.command([*asked, "-total_timeout", str(AT_MOST)])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=counter.files, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        waits = what_waits(counter, process)
        assert waits["holder"] == name
        counter.teller("approve" if approve else "refuse", str(waits["number"]))
        outcome = Outcome(process.wait(AT_MOST), process.stdout.read() if process.stdout else "")
    assert "sending POLLREQ" in outcome.exchanged, outcome.said
    if approve:
        assert (outcome.code, counter.state(new), counter.verifies(new)) == (0, "valid", True), outcome.said
    else:
        assert outcome.code != 0
        assert "notAuthorized" in outcome.said
        assert not (counter.files / f"{new}.pem").exists()


def what_waits(counter: Counter, asking: subprocess.Popen[str]) -> dict[str, str]:
    """The one request that a teller sees, as soon as it is there."""
    while asking.poll() is None:
        waiting = json.loads(counter.teller("approve", "--list", "--json"))
        if waiting:
            found: dict[str, str] = waiting[0]
            return found
    raise AssertionError(asking.stdout.read() if asking.stdout else "")


# --- as it is written down --------------------------------------------------------------------------------------------


def test_the_commands_of_the_page_work(counter: Counter) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cmp.md").read_text(encoding="utf-8")
    commands = page.partition("```sh\n")[2].partition("```")[0]
    told = {"URL": counter.url, "ID": "PAGE", "CODE": counter.code("PAGE")}
    done = subprocess.run(
        ["bash", "-eu"],
        input=commands,
        env=os.environ | told,
        cwd=counter.files,
        capture_output=True,
        text=True,
        timeout=4 * AT_MOST,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [counter.state(each) for each in ("first", "more", "ten", "renewed")] == [
        "superseded",
        "revoked",
        "valid",
        "valid",
    ]


# --- over TLS ---------------------------------------------------------------------------------------------------------


def test_everything_goes_over_https_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_counter(tmp_path_factory.mktemp("over TLS"), ANY_TIME) as counter:
        assert counter.url.startswith("https://")
        name = counter.enrolled("TLS")
        renewed = counter.cmp("-cmd", "kur", *counter.by(name), "-newkey", counter.key("tls"), "-certout", "tls.pem")
        assert renewed.code == 0, renewed.said
        assert (counter.state(name), counter.state("tls"), counter.verifies("tls")) == ("superseded", "valid", True)
        distrusting = [each.replace("ca/tls-root.pem", "ca/root.pem") for each in counter.command(["-cmd", "genm"])]
        outcome = counter.openssl(*distrusting, "-infotype", "caCerts", *counter.by("tls"))
        assert outcome.code != 0
        assert "received" not in outcome.said


# --- helpers ----------------------------------------------------------------------------------------------------------


def refused(outcome: Outcome, answer: str, reason: str) -> bool:
    """Whether the answer was of this type, OpenSSL took it for the CA's, and it gave this reason."""
    said = outcome.said
    return outcome.code != 0 and f"received {answer}" in said and reason in said and "validation" not in said


def wanted(counter: Counter, kind: str, new: str, holder: str) -> list[str]:
    """A new key; in PKCS #10 where it is asked for so."""
    key = counter.key(new)
    if kind != "p10cr":
        return ["-newkey", key]
    made = counter.openssl("req", "-new", "-key", key, "-subj", f"/CN={holder}", "-out", f"{new}.csr")
    assert made.code == 0, made.said
    return ["-csr", f"{new}.csr"]


def public_key_of(counter: Counter, name: str) -> object:
    return load_pem_private_key((counter.files / f"{name}.key").read_bytes(), None).public_key()
