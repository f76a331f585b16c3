"""`kiosk ca issue`: the same checks as for a request by a one-time code, and the same certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.ca.commands import ca
from kiosk.certificates import check_path, read_certificate_file
from kiosk.clock import one_year_after, system_clock
from tests.ca.office import fail, records, run


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common_names])


def write(
    directory: Path,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey | None = None,
    *,
    pem: bool = True,
    extensions: bool = False,
) -> tuple[str, str]:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if extensions:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    request = builder.sign(key or new_key(), hashes.SHA256())
    path = directory / "request"
    path.write_bytes(request.public_bytes(Encoding.PEM if pem else Encoding.DER))
    return "--csr", str(path)


@pytest.fixture
def bank(directory: Path) -> Path:
    run(directory, "holder", "add", "FIRST", "--kind", "user", "--name", "見本")
    run(directory, "holder", "add", "SECOND", "--kind", "user")
    return directory


def issued(directory: Path) -> list[tuple[str, str]]:
    return [(each["holder"], each["state"]) for each in records(directory, "list")]


@pytest.mark.parametrize("pem", [True, False])
@pytest.mark.parametrize(("subject", "more"), [(named("FIRST"), ()), (named(), ("--for", "FIRST"))])
def test_whoever_is_named_or_said_has_a_certificate_at_once(
    bank: Path, tmp_path: Path, subject: x509.Name, more: tuple[str, ...], pem: bool
) -> None:
    key, target = new_key(), tmp_path / "new.pem"
    assert run(bank, "issue", *write(bank, subject, key, pem=pem), *more, "--out", str(target)) == ""
    (certificate,) = read_certificate_file(target)
    assert certificate.public_key == key.public_key()
    assert certificate.common_name == "FIRST 見本"
    chain = read_certificate_file(bank / "chain.pem")
    check_path(certificate, roots=chain[:1], intermediates=chain[1:], at=system_clock())
    assert certificate.not_after <= one_year_after(system_clock())
    assert issued(bank) == [("FIRST", "valid")]
    acts = [(line["act"], line["holder"], line["serial"]) for line in records(bank, "list", "audit")[2:]]
    assert acts == [(each, "FIRST", certificate.serial) for each in ("issued", "confirmed")]


def test_the_whole_subject_names_its_holder(bank: Path) -> None:
    first = read_certificate_of(run(bank, "issue", *write(bank, named("FIRST"))))
    again = read_certificate_of(run(bank, "issue", *write(bank, first.subject)))
    assert again.subject == first.subject


def read_certificate_of(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_programs_are_told_in_json(bank: Path) -> None:
    (told,) = records(bank, "issue", *write(bank, named("FIRST")))
    certificate = read_certificate_of(told["pem"])
    assert (told["holder"], int(told["serial"], 16)) == ("FIRST", certificate.serial_number)


@pytest.mark.parametrize(
    ("subject", "more", "said"),
    [
        (named("FIRST"), ("--for", "SECOND"), "not that of the holder"),
        (named("FIRST somebody else"), (), "not that of the holder"),
        (named("SECOND", "FIRST"), (), "not that of the holder"),
        (named(), (), "names nobody"),
        (named("NOBODY"), (), "no holder 'NOBODY'"),
        (named("\x1b[2J"), (), r"no holder '\x1b[2J'"),
        (named(), ("--for", "NOBODY"), "no holder 'NOBODY'"),
    ],
)
def test_nobody_else_gets_one(bank: Path, subject: x509.Name, more: tuple[str, ...], said: str) -> None:
    assert said in fail(bank, "issue", *write(bank, subject), *more)
    assert issued(bank) == []
    assert len(records(bank, "list", "audit")) == 2


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP224R1()])
def test_keys_are_of_the_kinds_of_the_policy(bank: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    assert "keys of this kind are not certified" in fail(bank, "issue", *write(bank, named("FIRST"), key))
    assert issued(bank) == []


def test_possession_has_to_be_proven(bank: Path) -> None:
    option, path = write(bank, named("FIRST"), pem=False)
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"FIRST")
    data[at : at + 5] = b"THIRD"
    Path(path).write_bytes(data)
    run(bank, "holder", "add", "THIRD", "--kind", "user")
    assert "possession" in fail(bank, "issue", option, path)


def test_a_key_is_certified_once(bank: Path) -> None:
    key = new_key()
    run(bank, "issue", *write(bank, named("FIRST"), key))
    for whose in ("FIRST", "SECOND"):
        assert "brought before" in fail(bank, "issue", *write(bank, named(whose), key))
    assert issued(bank) == [("FIRST", "valid")]


def test_a_holder_has_so_many_at_most(bank: Path) -> None:
    (bank / "policy.toml").write_text("most_certificates = 1\n")
    run(bank, "issue", *write(bank, named("FIRST")))
    assert "too many" in fail(bank, "issue", *write(bank, named("FIRST")))


def test_it_takes_the_place_of_an_open_code_and_leaves_that_one_if_it_fails(bank: Path) -> None:
    (bank / "policy.toml").write_text("most_certificates = 1\n")
    run(bank, "code", "FIRST")
    option, path = write(bank, named("FIRST"))
    done = CliRunner().invoke(ca, ["issue", option, path, "--directory", str(bank)])
    assert done.stderr == "The code made before is no longer good.\n"
    assert [each["state"] for each in records(bank, "list", "codes")] == ["replaced", "used"]
    run(bank, "code", "FIRST")
    assert "too many" in fail(bank, "issue", *write(bank, named("FIRST")))
    assert [each["state"] for each in records(bank, "list", "codes")] == ["replaced", "used", "open"]


def test_where_it_cannot_be_written_it_is_told_where_it_is(bank: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "nowhere" / "new.pem")
    told = fail(bank, "issue", *write(bank, named("FIRST")), "--out", target)
    assert target in told
    assert "kiosk ca export --holder FIRST has it" in told
    assert issued(bank) == [("FIRST", "valid")]
    assert read_certificate_of(run(bank, "export", "--holder", "FIRST"))


def test_who_gives_the_command_is_the_teller_who_approves(bank: Path) -> None:
    (bank / "policy.toml").write_text('approval = ["update", "code", "additional"]\n')
    run(bank, "issue", *write(bank, named("FIRST")))
    assert issued(bank) == [("FIRST", "valid")]


def test_what_a_request_asks_for_besides_is_told_to_be_left_out(bank: Path) -> None:
    option, path = write(bank, named("FIRST"), extensions=True)
    done = CliRunner().invoke(ca, ["issue", option, path, "--directory", str(bank)])
    assert "profile" in done.stderr
    extensions = read_certificate_of(done.stdout).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\n", b"\x30\x00", b"x" * 40_000])
def test_what_is_no_request_is_named(bank: Path, content: bytes) -> None:
    path = bank / "letter"
    path.write_bytes(content)
    said = fail(bank, "issue", "--csr", str(path))
    assert f"{path} holds no certification request" in said
