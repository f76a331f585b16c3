from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from kiosk.ca.vault import Vault, VaultDamaged


def test_what_is_sealed_opens_for_its_owner_alone(tmp_path: Path) -> None:
    vault = Vault.of(tmp_path, secrets.token_bytes)
    sealed = vault.seal(b"12345678901234567", "ALICE", secrets.token_bytes)
    assert b"1234567" not in sealed
    assert Vault.of(tmp_path, secrets.token_bytes).open(sealed, "ALICE") == b"12345678901234567"
    for damaged, owner in ((sealed, "BOB"), (sealed[:-1], "ALICE"), (b"", "ALICE"), (sealed[::-1], "ALICE")):
        with pytest.raises(VaultDamaged):
            vault.open(damaged, owner)


def test_twice_the_same_looks_different(tmp_path: Path) -> None:
    vault = Vault.of(tmp_path, secrets.token_bytes)
    assert len({vault.seal(b"secret", "ALICE", secrets.token_bytes) for _ in range(3)}) == 3


def test_its_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    Vault.of(tmp_path, secrets.token_bytes)
    (path,) = tmp_path.iterdir()
    key = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Vault.of(tmp_path, secrets.token_bytes)
    assert path.read_bytes() == key


def test_another_directorys_key_opens_nothing(tmp_path: Path) -> None:
    here, there = (tmp_path / name for name in ("here", "there"))
    for directory in (here, there):
        directory.mkdir()
    sealed = Vault.of(here, secrets.token_bytes).seal(b"secret", "ALICE", secrets.token_bytes)
    with pytest.raises(VaultDamaged):
        Vault.of(there, secrets.token_bytes).open(sealed, "ALICE")


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "codes.key").write_bytes(b"short")
    with pytest.raises(VaultDamaged, match=r"codes\.key"):
        Vault.of(tmp_path, secrets.token_bytes)
