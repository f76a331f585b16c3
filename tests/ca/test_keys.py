"""The CA's keys at rest: encrypted, all under one passphrase that can lie elsewhere."""

from __future__ import annotations

import secrets
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from kiosk.ca import vault
from kiosk.ca.authority import Authority, AuthorityDamaged, create_authority, load_authority
from kiosk.ca.commands import ca
from kiosk.ca.passphrase import PASSPHRASE_FILE, read_passphrase
from kiosk.ca.server import tls_context
from kiosk.ca.vault import VAULT_FILE, Vault
from tests.ca.bank import START

KEYS = ("root", "issuing", "signer", "ocsp", "tls")


@pytest.fixture
def directory(authority: Authority, tmp_path: Path) -> Path:
    """A copy of the authority's."""
    return Path(shutil.copytree(authority.directory, tmp_path / "ca"))


def teller(*arguments: str | Path, **environment: str | None) -> Result:
    return CliRunner(env=environment).invoke(ca, [str(each) for each in arguments])


def make_plain(directory: Path) -> bytes:
    """As the version before had it: no passphrase, plain keys, nobody who signs OCSP; answers with the codes' key."""
    passphrase = read_passphrase(directory / PASSPHRASE_FILE)
    for name in KEYS:
        path = directory / f"{name}.key"
        key = load_pem_private_key(path.read_bytes(), passphrase.secret)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name in ("ocsp.pem", "ocsp.key", PASSPHRASE_FILE):
        (directory / name).unlink()
    codes = secrets.token_bytes(32)
    (directory / VAULT_FILE).write_bytes(codes)
    return codes


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("name", KEYS)
def test_openssl_opens_a_key_with_the_passphrase_and_not_without(directory: Path, name: str) -> None:
    def code(passphrase: str) -> int:
        command = ["openssl", "pkey", "-in", f"{name}.key", "-noout", "-passin", passphrase]
        return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode

    assert code(f"file:{PASSPHRASE_FILE}") == 0
    assert code("pass:") != 0
    described = ["openssl", "asn1parse", "-in", f"{name}.key"]
    done = subprocess.run(described, cwd=directory, capture_output=True, text=True, check=True)
    assert {"PBES2", "aes-256-cbc"} <= set(done.stdout.replace("\n", ":").split(":"))


def test_the_tls_key_is_opened_too(authority: Authority) -> None:
    assert tls_context(authority).get_ca_certs() == []


def test_the_passphrase_is_in_no_other_file_and_no_repr(authority: Authority) -> None:
    secret = authority.passphrase.secret
    assert len(secret) == 64
    found = {name for name, content in contents(authority.directory).items() if secret in content}
    assert found == {PASSPHRASE_FILE}
    assert secret.decode() not in repr(authority)


def test_a_missing_passphrase_says_where_it_should_be(directory: Path) -> None:
    (directory / PASSPHRASE_FILE).unlink()
    for command in ("init", "list", "serve"):
        done = teller(command, "--directory", directory)
        assert done.exit_code == 1
        (line,) = done.output.splitlines()
        assert line == (
            f"Error: the passphrase file {directory / PASSPHRASE_FILE} is missing; "
            "if it lies elsewhere, say so with --passphrase-file"
        )
    assert not (directory / PASSPHRASE_FILE).exists()


@pytest.mark.parametrize("content", ["", "too short", secrets.token_hex(32)], ids=["empty", "short", "another"])
def test_a_wrong_passphrase_is_one_clear_line(directory: Path, content: str) -> None:
    (directory / PASSPHRASE_FILE).write_text(content)
    before = contents(directory)
    for command in ("init", "list"):
        done = teller(command, "--directory", directory)
        assert done.exit_code == 1
        (line,) = done.output.splitlines()
        assert str(directory / PASSPHRASE_FILE) in line
        assert ("openssl rand" in line) == (len(content) < 64)
        assert ("issuing.key cannot be decrypted" in line) == (len(content) == 64)
        assert not content or content not in line
    assert contents(directory) == before


def test_the_root_key_may_be_taken_away(directory: Path) -> None:
    (directory / "root.key").unlink()
    for command in ("list", "init", "list"):
        done = teller(command, "--directory", directory)
        assert done.exit_code == 0, done.output
    assert not (directory / "root.key").exists()


def test_a_vault_under_another_passphrase_is_told(directory: Path, tmp_path: Path) -> None:
    other = create_authority(tmp_path / "other", clock=lambda: START).directory
    shutil.copy(other / VAULT_FILE, directory)
    done = teller("list", "--directory", directory)
    assert done.exit_code == 1
    assert "codes.key cannot be decrypted" in done.output


def test_the_passphrase_can_lie_elsewhere(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(directory / PASSPHRASE_FILE, elsewhere)
    handed = tmp_path / "credentials"
    handed.mkdir()
    shutil.copy(elsewhere, handed / "kiosk-ca-passphrase")
    list_ = ("list", "--directory", directory)
    assert teller(*list_).exit_code == 1
    assert teller(*list_, "--passphrase-file", elsewhere).exit_code == 0
    assert teller(*list_, KIOSK_CA_PASSPHRASE_FILE=str(elsewhere)).exit_code == 0
    assert teller(*list_, CREDENTIALS_DIRECTORY=str(handed)).exit_code == 0
    assert teller(*list_, "--passphrase-file", tmp_path / "nowhere", CREDENTIALS_DIRECTORY=str(handed)).exit_code == 1
    assert load_authority(directory, passphrase_file=elsewhere).passphrase.path == elsewhere


def test_credentials_of_others_do_not_matter(directory: Path, tmp_path: Path) -> None:
    assert teller("list", "--directory", directory, CREDENTIALS_DIRECTORY=str(tmp_path)).exit_code == 0


def test_init_makes_the_passphrase_where_it_is_to_lie(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    done = teller("init", "--directory", tmp_path / "ca", "--passphrase-file", elsewhere)
    assert done.exit_code == 0
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert not (tmp_path / "ca" / PASSPHRASE_FILE).exists()
    kept = elsewhere.read_bytes()
    assert teller("init", "--directory", tmp_path / "other", "--passphrase-file", elsewhere).exit_code == 0
    assert elsewhere.read_bytes() == kept


# --- what the version before has made -------------------------------------------------------------------------------


def test_an_earlier_authority_says_what_to_do(directory: Path) -> None:
    make_plain(directory)
    for wanted in ("passphrase", "is not encrypted; kiosk ca init"):
        done = teller("list", "--directory", directory)
        assert done.exit_code == 1
        assert wanted in done.output
        (directory / PASSPHRASE_FILE).write_text(secrets.token_hex(32))


def test_init_brings_an_earlier_authority_up_to_date(authority: Authority, directory: Path) -> None:
    codes = make_plain(directory)
    sealed = Vault(codes).seal(b"a code", "ALICE", secrets.token_bytes)
    plain = contents(directory)
    assert teller("init", "--directory", directory).exit_code == 0
    now = load_authority(directory)
    assert (now.root, now.issuing, now.signer.certificate) == (
        authority.root,
        authority.issuing,
        authority.signer.certificate,
    )
    assert now.vault.open(sealed, "ALICE") == b"a code"
    assert now.ocsp.x509.issuer == authority.issuing.x509.subject
    for name in ("root.key", "issuing.key", "signer.key", "tls.key", VAULT_FILE):
        assert plain[name] not in (directory / name).read_bytes(), name
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    after = contents(directory)
    assert teller("init", "--directory", directory).exit_code == 0
    assert contents(directory) == after


def test_an_upgrade_that_was_cut_goes_on(directory: Path, tmp_path: Path) -> None:
    """Cut after each file in turn: what is done stays, the rest follows."""
    codes = make_plain(directory)
    before = tmp_path / "before"
    shutil.copytree(directory, before)
    create_authority(directory, clock=lambda: START)
    sealed = Vault(codes).seal(b"a code", "ALICE", secrets.token_bytes)
    order = [PASSPHRASE_FILE, "root.key", "issuing.key", "signer.key", "tls.key", VAULT_FILE, "ocsp.key", "ocsp.pem"]
    for done in range(1, len(order)):
        cut = shutil.copytree(before, tmp_path / f"cut-{done}")
        for name in order[:done]:
            shutil.copy(directory / name, cut)
        again = create_authority(cut, clock=lambda: START)
        assert again.vault.open(sealed, "ALICE") == b"a code", order[done]


def test_a_passphrase_that_went_missing_in_an_upgrade_is_not_made_anew(directory: Path) -> None:
    make_plain(directory)
    create_authority(directory, clock=lambda: START)
    (directory / PASSPHRASE_FILE).unlink()
    before = contents(directory)
    with pytest.raises(AuthorityDamaged, match="is missing"):
        create_authority(directory, clock=lambda: START)
    assert contents(directory) == before
    assert not vault.is_bare(before[VAULT_FILE])
