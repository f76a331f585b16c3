"""Somebody else's CA, `openssl cmp -port`, before our client; both in a network namespace of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import tests
from tests.interop.mock_server import SCENARIOS

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("CI") != "true", reason="openssl is not installed"
)

AS_ROOT, AS_ORDINARY = ("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net")
WAYS = {"root": AS_ROOT, "ordinary user": AS_ORDINARY} if os.geteuid() == 0 else {"ordinary user": AS_ORDINARY}
"""How a namespace is made: an ordinary user makes one of users first; root, who may do without, tries both ways."""


@cache
def why_not(way: str) -> str:
    """Why no namespace can be made here this way; empty where it can."""
    tried = subprocess.run([*WAYS[way], "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of every scenario; the server is started anew for each."""
    reason = why_not(request.param)
    if reason:
        pytest.skip(f"no network namespace can be made here as {request.param}: {reason}")
    directory = tmp_path_factory.mktemp("mock")
    command = [*WAYS[request.param], sys.executable, "-m", "tests.interop.mock_server", str(directory)]
    root = Path(tests.__file__).parent.parent
    went = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=180, check=False)
    assert went.returncode == 0, went.stderr + (directory / "server.log").read_text(errors="replace")
    told: dict[str, str] = json.loads(went.stdout)
    print(f"{len(told)} scenarios with {request.param}'s namespace")
    return told


@pytest.mark.parametrize("outcomes", WAYS, indirect=True)
@pytest.mark.parametrize("name", SCENARIOS)
def test_our_client_and_openssls_server(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == SCENARIOS[name].outcome


@pytest.mark.parametrize("outcomes", WAYS, indirect=True)
def test_every_scenario_was_gone_through(outcomes: dict[str, str]) -> None:
    assert list(outcomes) == list(SCENARIOS)
