from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from kiosk.ca.passphrase import Passphrase
from kiosk.ca.vault import VAULT_FILE, Vault, VaultDamaged, encrypt_bare

PASSPHRASE = Passphrase(Path("/nowhere/passphrase"), secrets.token_hex(32).encode())


def open_vault(directory: Path, passphrase: Passphrase = PASSPHRASE) -> Vault:
    return Vault.of(directory, passphrase, secrets.token_bytes)


def test_what_is_sealed_opens_for_its_owner_alone(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    sealed = vault.seal(b"12345678901234567", "ALICE", secrets.token_bytes)
    assert b"1234567" not in sealed
    assert open_vault(tmp_path).open(sealed, "ALICE") == b"12345678901234567"
    for damaged, owner in ((sealed, "BOB"), (sealed[:-1], "ALICE"), (b"", "ALICE"), (sealed[::-1], "ALICE")):
        with pytest.raises(VaultDamaged):
            vault.open(damaged, owner)


def test_twice_the_same_looks_different(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    assert len({vault.seal(b"secret", "ALICE", secrets.token_bytes) for _ in range(3)}) == 3


def test_its_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    open_vault(tmp_path)
    (path,) = tmp_path.iterdir()
    key = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    open_vault(tmp_path)
    assert path.read_bytes() == key


def test_another_directorys_key_opens_nothing(tmp_path: Path) -> None:
    here, there = (tmp_path / name for name in ("here", "there"))
    for directory in (here, there):
        directory.mkdir()
    sealed = open_vault(here).seal(b"secret", "ALICE", secrets.token_bytes)
    with pytest.raises(VaultDamaged):
        open_vault(there).open(sealed, "ALICE")


def test_without_the_passphrase_the_file_is_worth_nothing(tmp_path: Path) -> None:
    open_vault(tmp_path)
    with pytest.raises(VaultDamaged, match=r"codes\.key .*/elsewhere"):
        open_vault(tmp_path, Passphrase(Path("/elsewhere"), secrets.token_hex(32).encode()))


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / VAULT_FILE).write_bytes(b"short")
    with pytest.raises(VaultDamaged, match=r"codes\.key"):
        open_vault(tmp_path)


def test_a_key_of_an_earlier_version_is_encrypted_and_opens_what_it_sealed(tmp_path: Path) -> None:
    bare = secrets.token_bytes(32)
    (tmp_path / VAULT_FILE).write_bytes(bare)
    sealed = Vault(bare).seal(b"secret", "ALICE", secrets.token_bytes)
    with pytest.raises(VaultDamaged, match="kiosk ca init"):
        open_vault(tmp_path)
    for _ in range(2):
        encrypt_bare(tmp_path, PASSPHRASE, secrets.token_bytes)
        assert bare not in (tmp_path / VAULT_FILE).read_bytes()
        assert open_vault(tmp_path).open(sealed, "ALICE") == b"secret"
