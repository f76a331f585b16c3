"""What may not be loaded where; the contracts in pyproject.toml say the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("kiosk.conversation", {"textual", "pkcs11", "sqlalchemy"}),
        ("kiosk.visit", {"textual", "pkcs11", "sqlalchemy"}),
        ("kiosk.plain", {"textual", "pkcs11"}),
        ("kiosk.terminal", {"pkcs11", "sqlalchemy", "uvicorn"}),
        ("kiosk.audit.commands", {"textual", "pkcs11", "sqlalchemy"}),
        ("kiosk.doctor.command", {"textual", "pkcs11", "sqlalchemy"}),
        ("kiosk.tokens.worker", {"textual", "httpx", "cryptography", "asyncio"}),
        ("kiosk.cli", {"textual", "httpx", "cryptography", "sqlalchemy"}),
    ],
)
def test_nobody_loads_what_is_not_his(module: str, foreign: set[str]) -> None:
    assert not loaded_by(module) & foreign


def test_only_cmp_writes_asn1() -> None:
    users = {
        path.parts[path.parts.index("kiosk") + 1]
        for path in Path("kiosk").rglob("*.py")
        if "hazmat.asn1" in path.read_text() or "hazmat import asn1" in path.read_text()
    }
    assert users == {"cmp"}
