"""`kiosk demo --plain`, and what other programs say about its work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program.command import kiosk, last_line
from tests.program.descendants import watching_descendants

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SUBJECT = [
    "PRINTABLESTRING:JP",
    "UTF8STRING:The Shinkin Banks Information System Center Co.,Ltd",
    "UTF8STRING:Shinkin Internet Banking Intermediate CA",
    "UTF8STRING:USER/PE - 2",
    "UTF8STRING:CERT/SUEDNUM - 3",
    "UTF8STRING:TKYM1408054 1403",
]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A path with spaces, in which nothing may run when a test has ended."""
    with watching_descendants() as descendants:
        yield tmp_path / "a demo"
        assert descendants.running() == []


def pkcs11_tool(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["pkcs11-tool", "--module", MODULE, "--login", "--pin", "123456", *arguments],
        env={**os.environ, "SOFTHSM2_CONF": str(directory / "softhsm2.conf")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("key", ["rsa-2048", "ec-p256"])
def test_other_programs_accept_what_was_renewed(directory: Path, key: str) -> None:
    done = kiosk("demo", "--plain", "--yes", "--key", key, "--directory", directory)
    assert done.returncode == 0, done.stderr
    result = last_line(done)
    assert result["machine_seconds"] > 0

    objects = pkcs11_tool(directory, "--list-objects")
    assert objects.count("Certificate Object") == 1
    assert objects.count("Private Key Object") == 1
    assert len(set(re.findall(r"ID: +(\w+)", objects))) == 1
    assert "sensitive, always sensitive, never extractable, local" in objects

    found = re.search(r"ID: +(\w+)", objects)
    assert found is not None
    der, pem = directory / "new.der", directory / "new.pem"
    pkcs11_tool(directory, "--read-object", "--type", "cert", "--id", found[1], "--output-file", str(der))
    openssl("x509", "-inform", "der", "-in", der, "-out", pem)
    assert openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", directory / "chain.pem", pem).endswith(
        "OK\n"
    )
    names = openssl("x509", "-in", pem, "-noout", "-subject", "-nameopt", "multiline,show_type")
    assert [line.split("=", 1)[-1].strip() for line in names.splitlines()[1:]] == SUBJECT
    serial = openssl("x509", "-in", pem, "-noout", "-serial").strip().removeprefix("serial=").lower()
    assert serial == result["new_serial"]
    assert len(serial) == 32
    assert result["old_serial"] != serial


def test_nothing_but_the_standby_tells_the_pin(directory: Path) -> None:
    done = kiosk("demo", "--plain", "--yes", "--key", "ec-p256", "--directory", directory)
    assert "123456" not in done.stdout + done.stderr
    for file in directory.rglob("*"):
        if file.is_file():
            assert b"123456" not in file.read_bytes(), file


@pytest.mark.parametrize("days_left", [-1, -400])
def test_what_has_expired_is_obtained_anew_with_the_teller_s_code(directory: Path, days_left: int) -> None:
    done = kiosk("demo", "--plain", "--yes", "--key", "ec-p256", f"--days-left={days_left}", "--directory", directory)
    assert done.returncode == 0, done.stderr
    assert "P-02" in done.stdout
    result = last_line(done)
    objects = pkcs11_tool(directory, "--list-objects")
    assert objects.count("Certificate Object") == 1
    assert objects.count("Private Key Object") == 1
    assert result["old_serial"] != result["new_serial"]


def test_more_days_than_the_window_renew_nothing(directory: Path) -> None:
    done = kiosk("demo", "--plain", "--yes", "--key", "ec-p256", "--days-left=31", "--directory", directory)
    assert done.returncode == 1
    assert "new_serial" not in last_line(done)


def test_keep_goes_on_with_the_same_token(directory: Path) -> None:
    arguments = ("demo", "--plain", "--yes", "--key", "ec-p256", "--directory", directory)
    first = last_line(kiosk(*arguments))
    kept = kiosk(*arguments, "--keep")
    assert kept.returncode == 1, "the certificate is new: there is nothing to renew"
    assert first["new_serial"] in kept.stdout
    again = kiosk(*arguments)
    assert again.returncode == 0
    assert last_line(again)["old_serial"] != first["new_serial"], "without --keep the token is fresh"


def test_a_second_demo_takes_the_next_directory(directory: Path) -> None:
    arguments = [sys.executable, "-m", "kiosk", "demo", "--plain", "--key", "ec-p256", "--directory", str(directory)]
    first = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert first.stdout is not None
    first.stdout.readline()  # it stands at the counter and waits
    second = kiosk("demo", "--plain", "--yes", "--key", "ec-p256", "--directory", directory)
    assert second.returncode == 0
    assert "in use by another demo" in second.stderr
    assert (directory.with_name("a demo-2") / "chain.pem").exists()
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 128 + signal.SIGTERM
    first.stdout.close()
    if first.stdin:
        first.stdin.close()


def test_full_screen_without_a_terminal_says_so(directory: Path) -> None:
    done = kiosk("demo", "--key", "ec-p256", "--directory", directory)
    assert done.returncode == 1
    assert "--plain" in done.stderr
    assert "Traceback" not in done.stderr


def test_yes_needs_plain() -> None:
    done = kiosk("demo", "--yes")
    assert done.returncode == 2
    assert "--plain" in done.stderr


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = kiosk("demo", "--plain", "--yes", "--directory", file / "demo")
    assert done.returncode == 1
    assert str(file / "demo") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_journal_and_the_keys_are_the_owners_alone(directory: Path) -> None:
    kiosk("demo", "--plain", "--yes", "--key", "ec-p256", "--directory", directory)
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / "journal.sqlite").stat().st_mode & 0o077 == 0
    for key in directory.rglob("*.key"):
        assert key.stat().st_mode & 0o077 == 0, key


def test_a_directory_that_is_no_demos_is_left_alone(directory: Path) -> None:
    (directory / "tokens").mkdir(parents=True)
    thesis = directory / "tokens" / "thesis.txt"
    thesis.write_text("my thesis")
    done = kiosk("demo", "--plain", "--yes", "--directory", directory)
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert thesis.read_text() == "my thesis"


def test_a_damaged_demo_says_what_is_damaged(directory: Path) -> None:
    arguments = ("demo", "--plain", "--yes", "--key", "ec-p256", "--directory", directory)
    kiosk(*arguments)
    (directory / "ca" / "issuing.key").write_text("rubbish")
    done = kiosk(*arguments)
    assert done.returncode == 1
    assert "issuing.key" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_imported_from_where_it_is_started(tmp_path: Path, directory: Path) -> None:
    for name in ("uvicorn", "pkcs11", "textual"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the current directory')")
    command = [str(Path(sys.executable).with_name("kiosk")), "demo", "--plain", "--yes", "--key", "ec-p256"]
    done = subprocess.run(
        [*command, "--directory", str(directory)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("days_left", ["365", "99999999", "-4000"])
def test_days_that_make_no_sense(days_left: str) -> None:
    done = kiosk("demo", "--plain", f"--days-left={days_left}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
