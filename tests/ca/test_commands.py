"""Every command there is: what programs are told, and what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.ca.commands import ca
from kiosk.ca.office.showing import width
from tests.ca.bank import settle
from tests.ca.office import run
from tests.postgres import Postgres

PAGE = Path(__file__).parents[2] / "docs" / "ca.md"
OF_ALL = {"--directory", "--passphrase-file", "--json", "--help"}
"""Options that the page tells once."""
SERVES = "serve"
"""Says where it answers in an object of its own, and goes on."""
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def commands(group: click.Group = ca, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        path = f"{above} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path, command


ALL = dict(commands())


def options(command: click.Command) -> set[str]:
    return {each for parameter in command.params if isinstance(parameter, click.Option) for each in parameter.opts}


def rows() -> dict[str, str]:
    """The rows of the page's table, by command."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found = (re.fullmatch(r"\| `kiosk ca ([a-z ]+)([^`]*)` \|(.*)\|", line) for line in lines)
    return {row[1].strip(): f"{row[2]} {row[3]}" for row in found if row is not None}


def test_the_page_tells_every_command_and_no_other() -> None:
    assert set(rows()) == set(ALL)


@pytest.mark.parametrize("path", ALL)
def test_the_page_tells_every_option_of_a_command_and_no_other(path: str) -> None:
    told = set(re.findall(r"--[a-z-]+", rows()[path]))
    assert told == options(ALL[path]) - OF_ALL


@pytest.mark.parametrize("path", sorted(set(ALL) - {SERVES}))
def test_every_command_can_tell_programs(path: str) -> None:
    assert "--json" in options(ALL[path])


@pytest.mark.parametrize("path", ALL)
def test_every_command_and_option_says_what_it_is_for(path: str) -> None:
    command = ALL[path]
    assert command.help
    assert not [each.opts for each in command.params if isinstance(each, click.Option) and not each.help]


def files(directory: Path) -> dict[str, str]:
    """What some commands read."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    (directory / "request.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (directory / "holders.csv").write_text("id,kind\nSECOND,user\n")
    (directory / "certificates.csv").write_text("id,certificate\nFIRST,own.pem\n")
    return {each: str(directory / each) for each in ("request.pem", "holders.csv", "certificates.csv", "own.pem")}


def talk(directory: Path) -> Iterator[Sequence[str]]:
    """Every command once or more, in an order in which they work."""
    file = files(directory)
    yield ("init",)
    yield ("migrate",)
    yield "holder", "add", "FIRST", "--kind", "user", "--name", "見本太郎"
    yield "holder", "change", "FIRST", "--email", "first@example.jp"
    yield "holder", "import", file["holders.csv"]
    yield "holder", "show", "FIRST"
    yield "holder", "list"
    yield "holder", "export"
    yield "issue", "--csr", file["request.pem"], "--for", "FIRST"
    Path(file["own.pem"]).write_text(run(directory, "export"))
    yield "certificate", "import", file["certificates.csv"]
    yield "code", "FIRST"
    yield "approve", "--list"
    yield from (("list", each) for each in ("certificates", "holders", "codes", "audit"))
    yield from (("export", each) for each in ("certificates", "holders", "audit"))
    serial = x509.load_pem_x509_certificate(Path(file["own.pem"]).read_bytes()).serial_number
    yield "revoke", f"{serial:x}", "--reason", "superseded"
    yield ("crl",)


TOLD_WHERE_THEY_HAVE_SOMETHING_TO_DO = {"certificate retire", "refuse"}
"""In test_office.py and test_elsewhere.py: they need a request that waits, or a certificate of somebody else."""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, directory: Path) -> Iterator[Path]:
    """A CA's directory, with its ledger in either kind of database."""
    if request.param == "sqlite":
        yield directory
        return
    server: Postgres = request.getfixturevalue("postgres")
    (directory / "ledger.sqlite").unlink()
    with server.database() as url:
        settle(directory, url)
        yield directory


def test_what_programs_are_told_has_one_shape(place: Path) -> None:
    asked = set()
    for arguments in talk(place):
        (path,) = (each for each in ALL if " ".join(arguments).startswith(each))
        asked.add(path)
        done = CliRunner().invoke(ca, [*arguments, "--json", "--directory", str(place)])
        assert done.exit_code == 0, done.output
        assert done.stdout.count("\n") == 1
        told = json.loads(done.stdout)
        assert isinstance(told, list)
        for record in told:
            assert {type(value) for value in record.values()} <= {str, int, bool, type(None)}
            assert list(record) == list(told[0])
            times = [str(value) for value in record.values() if TIME.match(str(value))]
            assert all(ISO.fullmatch(each) for each in times)
    assert asked == set(ALL) - {SERVES} - TOLD_WHERE_THEY_HAVE_SOMETHING_TO_DO


def test_what_people_are_told_fits_a_narrow_terminal(directory: Path) -> None:
    for arguments in talk(directory):
        if arguments[0] in ("list", "approve") or arguments[:2] == ("holder", "list"):
            shown = CliRunner(env={"COLUMNS": "80"}).invoke(ca, [*arguments, "--directory", str(directory)]).stdout
            assert max(map(width, shown.splitlines())) <= 80
        else:
            run(directory, *arguments)
