"""Certificates that another CA has issued to our holders: they are in the ledger, and nothing more."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus
from sqlalchemy.exc import IntegrityError

from kiosk.ca import crl, holders, ledger
from kiosk.ca.authority import Authority, Names, create_authority
from kiosk.ca.ledger import Overtaken
from kiosk.ca.policy import Policy
from kiosk.ca.profile import Issuer, Validity, holder_certificate, new_serial
from kiosk.ca.schema import CertificateState
from kiosk.certificates import Certificate
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.requests import write_pkcs10, write_request
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType, FailInfo
from kiosk.credentials import HolderKind
from tests.ca.bank import START, Bank, certificate_of, new_key, on_both, refusal, subject
from tests.ca.office import fail, records, run
from tests.ca.test_ocsp import ask

pytestmark = on_both


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    names = Names(issuing="Another Issuing CA", root="Another Root")
    return create_authority(tmp_path_factory.mktemp("elsewhere") / "ca", clock=lambda: START, names=names)


def enter(bank: Bank, certificate: Certificate, holder: str, state: CertificateState = CertificateState.VALID) -> None:
    with bank.book.begin() as connection:
        holders.ensure(connection, holder, HolderKind.USER, subject())
        ledger.record(connection, certificate, holder=holder, state=state, now=bank.now)


def issued(
    elsewhere: Authority, *, key: SoftwareKey | None = None, serial: int | None = None, name: str = "TKYM1408054 1403"
) -> Certificate:
    validity = Validity(START - timedelta(days=300), START + timedelta(days=20))
    issuer = Issuer(elsewhere.issuing_key, elsewhere.issuing)
    public_key = (key or new_key()).public_key
    return holder_certificate(issuer, subject(name), public_key, validity, serial or new_serial(secrets.token_bytes))


async def test_they_sign_no_messages(bank: Bank, elsewhere: Authority) -> None:
    key = new_key()
    certificate = issued(elsewhere, key=key)
    enter(bank, certificate, "MOVED")
    stranger = Signer(key, certificate, (elsewhere.issuing,))
    answer = await bank.ask(stranger, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.SIGNER_NOT_TRUSTED})


def test_one_serial_may_come_from_two_issuers_but_not_twice_from_one(bank: Bank, elsewhere: Authority) -> None:
    ours = bank.holder().certificate
    theirs = issued(elsewhere, serial=ours.serial_number)
    enter(bank, theirs, "MOVED")
    with bank.book.read() as connection:
        for each in (ours, theirs):
            found = ledger.find_serial(connection, ledger.issuer_hash(each.issuer_der), ours.serial)
            assert found is not None
            assert found.certificate == each
    with pytest.raises((IntegrityError, Overtaken)):
        enter(bank, issued(elsewhere, serial=ours.serial_number), "MOVED")


def test_they_are_on_no_crl_of_ours(bank: Bank, elsewhere: Authority) -> None:
    enter(bank, issued(elsewhere), "MOVED", CertificateState.REVOKED)
    ours = bank.holder().certificate
    bank.revoke(ours)
    with bank.book.begin() as connection:
        made = crl.current(connection, bank.authority, bank.policy, bank.now)
    listed = x509.load_der_x509_crl(made.der)
    assert [each.serial_number for each in listed] == [ours.serial_number]


def test_ocsp_does_not_take_them_for_ours(bank: Bank, elsewhere: Authority) -> None:
    ours = bank.holder().certificate
    enter(bank, issued(elsewhere, serial=ours.serial_number), "MOVED", CertificateState.REVOKED)
    assert ask(bank, ours).certificate_status is OCSPCertStatus.GOOD
    enter(bank, other := issued(elsewhere), "MOVED", CertificateState.REVOKED)
    assert ask(bank, other).certificate_status is OCSPCertStatus.UNKNOWN


async def test_they_do_not_count_among_those_issued_to_a_holder(bank: Bank, elsewhere: Authority) -> None:
    bank.obey(Policy(most_certificates=2))
    signer = bank.holder()
    owner = bank.entry(signer.certificate).holder
    for _ in range(3):
        enter(bank, issued(elsewhere), owner)
    answer = await bank.ask(signer, BodyType.CR, await write_request(new_key()))
    assert certificate_of(answer).issuer_der == bank.authority.issuing.subject_der
    answer = await bank.ask(signer, BodyType.CR, await write_request(new_key()))
    assert refusal(answer) == (BodyType.CP, {FailInfo.BAD_REQUEST})


def text(certificate: Certificate) -> str:
    return base64.b64encode(certificate.der).decode()


def pem(*certificates: Certificate) -> bytes:
    return b"".join(each.x509.public_bytes(Encoding.PEM) for each in certificates)


def write(directory: Path, content: str) -> str:
    path = directory / "certificates.csv"
    path.write_text(content)
    return str(path)


def listed(directory: Path) -> list[tuple[str, str, str]]:
    return [(each["holder"], each["serial"], each["state"]) for each in records(directory, "list")]


def test_a_file_of_them_is_entered_with_its_holders(directory: Path, elsewhere: Authority) -> None:
    run(directory, "holder", "add", "KNOWN", "--kind", "user", "--email", "known@example.jp")
    one, two, three = (issued(elsewhere) for _ in range(3))
    (directory / "two.pem").write_bytes(pem(two))
    file = write(
        directory,
        "id,kind,certificate,name,email\n"
        f"NEW,利用者,{text(one)},見本太郎,new@example.jp\n"
        "NEW,利用者,two.pem,見本太郎,new@example.jp\n"
        f'KNOWN,,"{pem(three).decode()}",,known@example.jp\n',
    )
    assert run(directory, "certificate", "import", file, "--dry-run") == "3 added (nothing was done: --dry-run)\n"
    assert listed(directory) == []
    assert run(directory, "certificate", "import", file) == "3 added\n"
    expected = [("KNOWN", three.serial, "valid"), ("NEW", one.serial, "valid"), ("NEW", two.serial, "valid")]
    assert listed(directory) == expected
    (new,) = records(directory, "holder", "show", "NEW")
    assert (new["name"], new["email"], new["language"]) == ("見本太郎", "new@example.jp", "ja")
    acts = [(each["act"], each["holder"], each["serial"]) for each in records(directory, "list", "audit")[1:]]
    assert acts == [
        ("holder added", "NEW", None),
        *(
            ("certificate imported", *each)
            for each in (("NEW", one.serial), ("NEW", two.serial), ("KNOWN", three.serial))
        ),
    ]
    assert run(directory, "certificate", "import", file) == "3 unchanged\n"
    assert listed(directory) == expected
    assert "no certificate" in fail(directory, "revoke", one.serial, "--reason", "keyCompromise")


def test_a_directory_of_them_names_its_holders_itself(directory: Path, elsewhere: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    first, second = issued(elsewhere, name="FIRST 見本太郎"), issued(elsewhere, name="SECOND")
    (folder / "1.pem").write_bytes(pem(first, elsewhere.issuing, elsewhere.root))
    (folder / "2.CER").write_bytes(second.der)
    (folder / "readme.txt").write_text("not looked at")
    assert run(directory, "certificate", "import", str(folder)) == "2 added\n"
    assert listed(directory) == [("FIRST", first.serial, "valid"), ("SECOND", second.serial, "valid")]
    (holder,) = records(directory, "holder", "show", "FIRST")
    assert (holder["kind"], holder["name"]) == ("user", "見本太郎")
    assert run(directory, "certificate", "import", str(folder)) == "2 unchanged\n"


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_every_bad_row_is_told_and_none_of_the_good_is_entered(
    directory: Path, elsewhere: Authority, office_template: Path
) -> None:
    ours = create_authority(office_template)
    one = issued(elsewhere)
    run(directory, "certificate", "import", write(directory, f"id,kind,certificate\nKNOWN,user,{text(one)}\n"))
    (directory / "many.pem").write_bytes(pem(issued(elsewhere), issued(elsewhere)))
    (directory / "large.pem").write_bytes(pem(one) * 200)
    os.mkfifo(directory / "pipe")
    # Seventeen octets, the first of them zero: now the sign.
    negative = issued(elsewhere).der.replace(b"\x02\x11\x00", b"\x02\x11\x80", 1)
    lines = [
        f"GOOD,user,{text(issued(elsewhere))}",
        f"NEW,,{text(issued(elsewhere))}",
        "NEW,user,nowhere.pem",
        "NEW,user,MIIB",
        "NEW,user,",
        "NEW,user,many.pem",
        "NEW,user,large.pem",
        "NEW,user,pipe",
        "NEW,user,/dev/zero",
        "NEW,user,.",
        f"NEW,user,{text(elsewhere.issuing)}",
        f"NEW,user,{text(one)}",
        f"KNOWN,user,{text(issued(elsewhere, serial=one.serial_number))}",
        f"KNOWN,user,{text(issued(ours))}",
        f"KNOWN,administrator,{text(issued(elsewhere))}",
        f"KNOWN,user,{base64.b64encode(negative).decode()}",
    ]
    told = fail(directory, "certificate", "import", write(directory, "id,kind,certificate\n" + "\n".join(lines)))
    reasons = (
        "line 3: the kind of a new holder",
        "line 4: the certificate is neither",
        "line 5: this is no certificate",
        "line 6: the certificate is neither",
        "line 7: one certificate is wanted, not 2",
        "line 8: the file has more than",
        "line 9: the certificate is neither",
        "line 10: the certificate is neither",
        "line 11: the certificate is neither",
        "line 12: it is the certificate of a CA",
        "line 13: the certificate is in the ledger as one of KNOWN",
        "line 14: another certificate of this issuer",
        "line 15: it names this CA as its issuer",
        "line 16: KNOWN is in the ledger with other details",
        "line 17: its serial number",
    )
    assert len(told.splitlines()) == len(reasons)
    for reason, line in zip(reasons, told.splitlines(), strict=True):
        assert line.removeprefix("Error: ").startswith(reason)
    assert listed(directory) == [("KNOWN", one.serial, "valid")]


def test_one_of_ours_that_the_ledger_knows_changes_nothing(directory: Path, tmp_path: Path) -> None:
    run(directory, "holder", "add", "FIRST", "--kind", "user")
    request = tmp_path / "request"
    key = new_key()
    request.write_bytes(asyncio.run(write_pkcs10(key, x509.Name([]).public_bytes())))
    run(directory, "issue", "--csr", str(request), "--for", "FIRST", "--out", str(tmp_path / "own.pem"))
    file = write(tmp_path, "id,certificate\nFIRST,own.pem\n")
    assert run(directory, "certificate", "import", file) == "1 unchanged\n"


def test_one_that_was_revoked_elsewhere_is_retired(directory: Path, elsewhere: Authority) -> None:
    one = issued(elsewhere)
    file = write(directory, f"id,kind,certificate\nNEW,user,{text(one)}\n")
    run(directory, "certificate", "import", file)
    assert run(directory, "certificate", "retire", one.serial.upper()) == f"{one.serial} of NEW is retired\n"
    assert listed(directory) == [("NEW", one.serial, "revoked")]
    assert records(directory, "list", "audit")[-1]["detail"] == "elsewhere"
    assert "no valid certificate" in fail(directory, "certificate", "retire", one.serial)
    assert run(directory, "certificate", "import", file) == "1 unchanged\n"
    assert listed(directory) == [("NEW", one.serial, "revoked")]
    crl_now = x509.load_pem_x509_crl(run(directory, "crl").encode())
    assert len(crl_now) == 0


def test_none_of_ours_is_retired(directory: Path, tmp_path: Path) -> None:
    run(directory, "holder", "add", "FIRST", "--kind", "user")
    request = tmp_path / "request"
    request.write_bytes(asyncio.run(write_pkcs10(new_key(), x509.Name([]).public_bytes())))
    (own,) = records(directory, "issue", "--csr", str(request), "--for", "FIRST")
    assert "no valid certificate" in fail(directory, "certificate", "retire", own["serial"])
    assert listed(directory) == [("FIRST", own["serial"], "valid")]


def test_a_directory_without_any_is_told(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no certificates" in fail(directory, "certificate", "import", str(tmp_path / "empty"))
    (tmp_path / "empty" / "broken.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    assert "broken.pem: the PEM is damaged" in fail(directory, "certificate", "import", str(tmp_path / "empty"))
