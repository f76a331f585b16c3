"""Our CA as its own process: how it starts, ends, is killed, and whom it lets in."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.enrolment import enrol
from kiosk.clock import system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import Refused, TransferError, TransferFailure
from kiosk.cmp.signing import PrivateKey, Signer, SoftwareKey
from kiosk.cmp.transfer import open_http_client
from tests.ca.bank import new_key, subject


@dataclass
class Office:
    """A CA's directory, and a holder's files beside it."""

    authority: Authority
    files: Path

    def enrol(self, key: PrivateKey, name: str) -> Signer:
        now = system_clock()
        certificate = enrol(
            self.authority.directory,
            subject=subject(),
            public_key=key.public_key(),
            not_before=now - timedelta(days=300),
            not_after=now + timedelta(days=20),
            holder_id=name,
            kind="user",
        )
        return Signer(SoftwareKey(key), certificate, (self.authority.issuing,))

    def client(self, http: httpx.AsyncClient, url: str) -> CmpClient:
        return CmpClient(http, url, Trust((self.authority.root,)))


@contextmanager
def serving(
    directory: Path, *options: str, errors: IO[str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "kiosk.ca", "serve", "--directory", str(directory), "--until-stdin-closes"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe, stderr=errors, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            assert told["pid"] == process.pid
            yield told["url"], process
        finally:
            process.stdin.close()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    files = tmp_path_factory.mktemp("a holder's files")
    return Office(create_authority(files / "ca"), files)


def test_it_ends_at_once_and_quietly_though_a_request_is_still_coming(office: Office) -> None:
    with (
        (office.files / "errors").open("w+") as errors,
        serving(office.authority.directory, "--http", errors=errors) as (url, process),
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as connection,
    ):
        head = "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nContent-Length: 100"
        connection.sendall(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert b"100 Continue" in connection.recv(1000), "the body is being read"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        errors.seek(0)
        assert "Traceback" not in errors.read()


async def test_what_was_issued_survives_kill_9(office: Office) -> None:
    holder, key = office.enrol(ec.generate_private_key(ec.SECP256R1()), "killed"), new_key()
    directory, roots = office.authority.directory, office.authority.tls_root
    with serving(directory) as (url, process):
        async with open_http_client(roots) as http:
            issued = await office.client(http, url).update(holder, key)
        process.kill()
    # At the same port: what follows in a transaction goes to where it began (RFC 9483 §6.1).
    with serving(directory, "--port", str(httpx.URL(url).port)) as (url, _):
        async with open_http_client(roots) as http:
            client = office.client(http, url)
            again = await client.update(holder, key)
            assert again.certificate == issued.certificate
            await client.confirm(issued)
            with pytest.raises(Refused):
                await client.update(holder, new_key())


async def test_tls_trusts_its_own_root_and_no_other(office: Office) -> None:
    holder = office.enrol(ec.generate_private_key(ec.SECP256R1()), "tls")
    with serving(office.authority.directory) as (url, _):
        for roots in (office.authority.directory / "root.pem", None):
            async with open_http_client(roots) as http:
                with pytest.raises(TransferError) as caught:
                    await office.client(http, url).general(holder)
            assert (caught.value.kind, caught.value.may_have_arrived) == (TransferFailure.TLS, False)


def test_a_second_server_refuses_with_a_message(office: Office) -> None:
    command = [sys.executable, "-m", "kiosk.ca", "serve", "--directory"]
    with serving(office.authority.directory):
        second = subprocess.run(
            [*command, str(office.authority.directory)], capture_output=True, text=True, timeout=20, check=False
        )
    assert second.returncode == 1
    assert "another CA process" in second.stderr
    nothing = subprocess.run(
        [*command, str(office.files / "nothing")], capture_output=True, text=True, timeout=20, check=False
    )
    assert nothing.returncode == 1
    assert "root.pem" in nothing.stderr
