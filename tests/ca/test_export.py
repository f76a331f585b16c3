"""What leaves the ledger: everything but keys and codes, in the shapes that other programs read."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kiosk.ca.authority import Names, create_authority
from kiosk.ca.schema import METADATA
from kiosk.certificates import read_certificate_file
from kiosk.cmp.requests import write_pkcs10
from kiosk.cmp.signing import SoftwareKey
from tests.ca.office import fail, records, run

SECRETS = {"sealed", "key"}
"""Columns of the ledger that no export has."""


def issue(directory: Path, holder: str) -> None:
    key = SoftwareKey(ec.generate_private_key(ec.SECP256R1()))
    request = directory / "request"
    request.write_bytes(asyncio.run(write_pkcs10(key, x509.Name([]).public_bytes())))
    run(directory, "issue", "--csr", str(request), "--for", holder)


@pytest.fixture
def bank(directory: Path) -> Path:
    run(directory, "holder", "add", "FIRST", "--kind", "user", "--name", "=見本", "--email", "first@example.jp")
    run(directory, "holder", "add", "SECOND", "--kind", "administrator", "--language", "en")
    for holder in ("FIRST", "SECOND", "SECOND"):
        issue(directory, holder)
    revoked = records(directory, "list", "certificates", "--holder", "SECOND")[0]["serial"]
    run(directory, "revoke", revoked, "--reason", "keyCompromise")
    return directory


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_certificates_are_one_bundle(bank: Path, tmp_path: Path) -> None:
    target = tmp_path / "all.pem"
    assert run(bank, "export", "--out", str(target)) == ""
    serials = [each.serial for each in read_certificate_file(target)]
    assert serials == [each["serial"] for each in records(bank, "list")]


@pytest.mark.parametrize("what", ["certificates", "holders"])
def test_csv_and_json_say_the_same(bank: Path, what: str) -> None:
    form = ("--format", "csv")
    written = rows(run(bank, "export", what, *form))
    told = [{key: each[key] or "" for key in written[0]} for each in records(bank, "export", what)]
    assert [{**each, "name": each["name"].removeprefix("'")} for each in written] == told


def test_the_audit_is_exported_too(bank: Path) -> None:
    told = records(bank, "list", "audit")
    written = rows(run(bank, "export", "audit"))
    assert [(each["at"], each["act"]) for each in written] == [(each["at"], each["act"]) for each in told]


def test_what_was_exported_moves_into_another_ledger(bank: Path, tmp_path: Path) -> None:
    other = create_authority(tmp_path / "other", names=Names(issuing="Another Issuing CA")).directory
    file, people = tmp_path / "certificates.csv", tmp_path / "holders.csv"
    run(bank, "export", "--format", "csv", "--out", str(file))
    run(bank, "export", "holders", "--bom", "--out", str(people))
    run(other, "holder", "import", str(people))
    assert run(other, "certificate", "import", str(file)) == "2 added, 1 left out\n"
    moved = [(each["holder"], each["serial"]) for each in records(other, "list")]
    assert moved == [(each["holder"], each["serial"]) for each in records(bank, "list") if each["state"] == "valid"]
    columns = ("id", "kind", "name", "email", "language")
    assert [[each[key] for key in columns] for each in records(other, "holder", "list")] == [
        [each[key] for key in columns] for each in records(bank, "holder", "list")
    ]


def test_no_key_and_no_code_leaves(bank: Path) -> None:
    code = run(bank, "code", "FIRST").splitlines()[-1]
    secrets = [code, *(path.read_text() for path in bank.glob("*.key") if path.name != "codes.key")]
    for what in ("certificates", "holders", "audit"):
        for more in ((), ("--json",)):
            text = run(bank, "export", what, *more)
            assert not any(secret in text for secret in secrets)
    columns = {column for each in records(bank, "export") for column in each}
    assert not columns & SECRETS
    assert {column.name for table in METADATA.tables.values() for column in table.columns} >= SECRETS


def test_one_holder_and_one_time(bank: Path) -> None:
    assert {each["holder"] for each in records(bank, "export", "--holder", "FIRST")} == {"FIRST"}
    (holder,) = records(bank, "export", "holders", "--holder", "FIRST")
    assert holder["id"] == "FIRST"
    assert records(bank, "export", "audit", "--since", "9000-01-01") == []
    assert "--since goes with audit" in fail(bank, "export", "--since", "2026-01-01")
    assert "PEM" in fail(bank, "export", "holders", "--format", "pem")


def test_who_exported_what_is_in_the_audit(bank: Path) -> None:
    run(bank, "export")
    line = records(bank, "list", "audit")[-1]
    assert (line["act"], line["detail"]) == ("exported", "certificates: 3")


def test_the_certificate_is_the_very_one(bank: Path) -> None:
    for each in records(bank, "export"):
        certificate = x509.load_der_x509_certificate(base64.b64decode(each["certificate"]))
        assert certificate.serial_number == int(each["serial"], 16)
