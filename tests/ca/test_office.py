"""The teller's commands, beside a server that has the same directory open."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509

from kiosk.ca.ledger import Ledger
from kiosk.certificates import Certificate
from kiosk.clock import JAPAN, system_clock
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import write_request
from kiosk.cmp.responses import Confirmation, certificate_hash, write_confirmation
from kiosk.cmp.signing import Signer
from kiosk.cmp.vocabulary import CONTENT_TYPE, BodyType, FailInfo, Status
from kiosk.one_time_code import read
from tests.ca.bank import certificate_of, new_key, refusal, status_of
from tests.ca.office import fail, records, run


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "kiosk.ca", "serve", "--http", "--until-stdin-closes"]
    with subprocess.Popen(
        [*command, "--directory", str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.stdin.close()
            process.wait(10)


def is_alone_on_its_address(url: str) -> bool:
    """Whether it listens at 127.0.0.1 and nowhere else, not even at another address of this very machine."""
    parts = urlsplit(url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", parts.port or 0), timeout=10)
    return (parts.scheme, parts.hostname) == ("http", "127.0.0.1")


class Client:
    """One transaction over HTTP."""

    def __init__(self, url: str, protector: Protector) -> None:
        self._url = url
        self._protector = protector
        self._last: Message | None = None

    async def say(self, kind: int, body: bytes) -> Message:
        last = self._last
        header = Header(
            sender=None,
            recipient=None,
            message_time=datetime.now(UTC),
            transaction_id=secrets.token_bytes(16) if last is None else last.header.transaction_id,
            sender_nonce=secrets.token_bytes(16),
            recipient_nonce=None if last is None else last.header.sender_nonce,
        )
        request = await write_protected(header, kind, body, self._protector)
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(self._url, content=request, headers={"Content-Type": CONTENT_TYPE})
        self._last = read_message(answer.content)
        return self._last

    async def confirm(self, certificate: Certificate) -> Message:
        confirmation = Confirmation(cert_hash=certificate_hash(certificate))
        return await self.say(BodyType.CERTCONF, write_confirmation(confirmation))


def code_for(directory: Path, holder: str) -> SharedSecret:
    digits = run(directory, "code", holder).splitlines()[-1]
    return SharedSecret(reference=holder.encode(), secret=read(digits).secret)


async def test_from_a_new_holder_to_a_revoked_certificate_while_a_server_runs(directory: Path) -> None:
    with serving(directory) as url:
        assert is_alone_on_its_address(url)
        shown = run(directory, "holder", "add", "TKYM1408054", "--kind", "administrator", "--name", "1403")
        assert "OU=ADMIN/PE - 2" in shown
        assert "CN=TKYM1408054 1403" in shown
        client, key = Client(url, code_for(directory, "TKYM1408054")), new_key()
        certificate = certificate_of(await client.say(BodyType.IR, await write_request(key)))
        assert (await client.confirm(certificate)).body_type == BodyType.PKICONF
        (listed,) = records(directory, "list")
        assert (listed["serial"], listed["holder"], listed["state"]) == (certificate.serial, "TKYM1408054", "valid")
        assert [each["state"] for each in records(directory, "list", "codes")] == ["used"]
        upper = ":".join(certificate.serial[at : at + 2] for at in range(0, 32, 2)).upper()
        assert "keyCompromise" in run(directory, "revoke", upper, "--reason", "keyCompromise")
        answer = await Client(url, Signer(key, certificate)).say(BodyType.CR, await write_request(new_key()))
        assert refusal(answer) == (BodyType.CP, {FailInfo.CERT_REVOKED})
        listed_crl = x509.load_pem_x509_crl(run(directory, "crl").encode())
        assert listed_crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


async def test_a_teller_approves_or_refuses_what_waits(directory: Path) -> None:
    (directory / "policy.toml").write_text('approval = ["code"]\n')
    with serving(directory) as url:
        clients = []
        for holder in ("FIRST", "SECOND"):
            run(directory, "holder", "add", holder, "--kind", "user")
            client = Client(url, code_for(directory, holder))
            assert status_of(await client.say(BodyType.IR, await write_request(new_key()))).status == Status.WAITING
            clients.append(client)
        first, second = records(directory, "approve", "--list")
        assert (first["holder"], first["for"], second["holder"]) == ("FIRST", "code", "SECOND")
        assert run(directory, "approve", str(first["number"])) == f"{first['number']} is approved\n"
        assert run(directory, "refuse", str(second["number"])) == f"{second['number']} is refused\n"
        assert "none" in run(directory, "approve", "--list")
        assert "no such request waits" in fail(directory, "approve", str(first["number"]))
        answers = [await client.say(BodyType.POLLREQ, write_poll_request([0])) for client in clients]
        assert status_of(answers[0]).status == Status.ACCEPTED
        assert refusal(answers[1]) == (BodyType.IP, {FailInfo.NOT_AUTHORIZED})


def test_a_code_is_shown_once_and_its_last_line_is_bare(directory: Path) -> None:
    run(directory, "holder", "add", "SOMEBODY", "--kind", "user")
    lines = run(directory, "code", "SOMEBODY").splitlines()
    assert lines[-2] == read(lines[-1]).grouped
    assert lines[0].startswith("One-time code of SOMEBODY, good until ")
    assert lines[0].endswith(" JST:")
    again = run(directory, "code", "SOMEBODY").splitlines()
    assert again[0] == "The code made before is no longer good."
    assert lines[-1] not in run(directory, "list", "codes")
    assert [each["state"] for each in records(directory, "list", "codes")] == ["replaced", "open"]


def test_a_second_server_is_kept_out_and_a_teller_is_not(directory: Path) -> None:
    with Ledger.open(directory):
        assert "another CA process" in fail(directory, "serve")
        run(directory, "holder", "add", "SOMEBODY", "--kind", "user")
        assert [each["id"] for each in records(directory, "list", "holders")] == ["SOMEBODY"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["holder", "add", "", "--kind", "user"], "an ID is"),
        (["holder", "add", "two words", "--kind", "user"], "an ID is"),
        (["holder", "add", "x" * 33, "--kind", "user"], "an ID is"),
        (["holder", "add", "名前", "--kind", "user"], "an ID is"),
        (["holder", "add", "NEW", "--kind", "user", "--name", "n" * 61], "at most 64"),
        (["holder", "add", "NEW", "--kind", "user", "--name", "a\x1b[2J"], "printable"),
        (["holder", "add", "NEW", "--kind", "nobody"], "--kind"),
        (["holder", "add", "KNOWN", "--kind", "user"], "already"),
        (["code", "NOBODY"], "no holder NOBODY"),
        (["revoke", "12ab", "--reason", "keyCompromise"], "no certificate"),
        (["revoke", "twelve", "--reason", "keyCompromise"], "hexadecimal"),
        (["revoke", "12ab", "--reason", "removeFromCRL"], "--reason"),
        (["approve", "7"], "no such request waits: 7"),
        (["refuse", "7"], "no such request waits: 7"),
        (["refuse"], "which request"),
    ],
)
def test_what_cannot_be_is_told_in_words(directory: Path, arguments: list[str], told: str) -> None:
    run(directory, "holder", "add", "KNOWN", "--kind", "user")
    assert told in fail(directory, *arguments)
    assert [each["id"] for each in records(directory, "list", "holders")] == ["KNOWN"]


def test_a_japanese_name_is_in_the_subject(directory: Path) -> None:
    assert "CN=NEW 見本太郎" in run(directory, "holder", "add", "NEW", "--kind", "user", "--name", "見本太郎")


def test_the_subject_is_that_of_the_manual(directory: Path) -> None:
    run(directory, "holder", "add", "TKYM1408054", "--kind", "user", "--name", "1403")
    (holder,) = records(directory, "list", "holders")
    assert holder["subject"] == (
        "C=JP, O=The Shinkin Banks Information System Center Co.,Ltd, OU=Shinkin Internet Banking Intermediate CA, "
        "OU=USER/PE - 2, OU=CERT/SUEDNUM - 3, CN=TKYM1408054 1403"
    )


def test_a_policy_that_is_not_understood_is_told_by_every_command(directory: Path) -> None:
    (directory / "policy.toml").write_text("windw_days = 3\n")
    for arguments in (["serve"], ["list"], ["crl"], ["code", "X"], ["holder", "add", "X", "--kind", "user"]):
        assert "windw_days" in fail(directory, *arguments)


def test_no_ca_in_the_directory(tmp_path: Path) -> None:
    for arguments in (["list"], ["crl"], ["approve"]):
        assert "root.pem" in fail(tmp_path / "nowhere", *arguments)
    assert not (tmp_path / "nowhere").exists()


def test_a_crl_as_a_file(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "list.crl"
    assert run(directory, "crl", "--out", str(target)) == ""
    assert x509.load_der_x509_crl(target.read_bytes()).next_update_utc > system_clock()  # type: ignore[operator]


def test_a_ledger_of_another_version_is_not_touched(directory: Path) -> None:
    run(directory, "list")
    connection = sqlite3.connect(directory / "ledger.sqlite")
    connection.execute("UPDATE ledger_revision SET number = '9999'")
    connection.commit()
    connection.close()
    assert "another version" in fail(directory, "list")
    assert "another version" in fail(directory, "serve")


def test_the_audit_tells_what_tellers_did(directory: Path) -> None:
    run(directory, "holder", "add", "FIRST", "--kind", "user")
    run(directory, "holder", "add", "SECOND", "--kind", "user")
    codes = [run(directory, "code", "FIRST").splitlines()[-1] for _ in range(2)]
    assert "already" in fail(directory, "holder", "add", "FIRST", "--kind", "user")
    lines = records(directory, "list", "audit")
    assert [(line["act"], line["holder"]) for line in lines] == [
        ("holder added", "FIRST"),
        ("holder added", "SECOND"),
        ("code made", "FIRST"),
        ("code made", "FIRST"),
        ("code replaced", "FIRST"),
    ]
    assert {line["actor"] for line in lines} == {f"teller {pwd.getpwuid(os.getuid()).pw_name}"}
    assert not any(code in run(directory, "list", "audit") for code in codes)
    assert records(directory, "list", "audit", "--holder", "SECOND") == [lines[1]]
    assert records(directory, "list", "audit", "--since", lines[0]["at"]) == lines
    tomorrow = (system_clock().astimezone(JAPAN) + timedelta(days=1)).date().isoformat()
    assert records(directory, "list", "audit", "--since", tomorrow) == []
    assert "--since goes with audit" in fail(directory, "list", "holders", "--since", tomorrow)
    assert "ISO 8601" in fail(directory, "list", "audit", "--since", "yesterday")
