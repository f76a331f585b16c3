"""A PostgreSQL of the tests' own: made, started and ended by the run, beside whatever servers this machine has.

It listens on a socket in a directory that only its user may enter, and on no port. By default it does not wait for the
disk: what it is asked to keep survives the end of its processes, but not that of the machine.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

_PROGRAMS = Path("/usr/lib/postgresql")
_SYSTEM_USER = "postgres"
"""Comes with Debian's package. PostgreSQL refuses to run as root, and as a user without a name."""
_SUPERUSER = "kiosk"
_PATIENCE = 60.0
"""Seconds after which a test gives up; nothing here takes as long."""

_HASTY = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
_SETTINGS = {"listen_addresses": "", "max_connections": "200", "jit": "off", "shared_buffers": "32MB"}


@dataclass
class Postgres:
    """A server that runs, as long as nobody stops it."""

    directory: Path
    settings: dict[str, str]
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Run it, until its databases can be used."""
        command = [*_as_its_user("--pdeathsig=QUIT"), str(_program("postgres")), "-D", str(self._data)]
        with _told_when_ready(self.directory) as (address, ready), self._log.open("ab") as log:
            environment = {**os.environ, "NOTIFY_SOCKET": address}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            give_up = time.monotonic() + _PATIENCE
            while not _is_ready(ready):
                running = self._process.poll() is None and time.monotonic() < give_up
                assert running, f"PostgreSQL did not start: {self._log.read_text(errors='replace')}"

    def stop(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: at once, so that its next start recovers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_PATIENCE)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def database(self, like: str | None = None) -> Iterator[str]:
        """The URL of a new database, gone with the block: empty, or a copy of one that nobody is connected to."""
        name = f"test_{next(self._numbers)}"
        template = "template1" if like is None else make_url(like).database or ""
        self.administer("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.url(name)
        finally:
            # Also where a server that the test has started is still connected.
            self.administer("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def users(self, *names: str) -> Iterator[None]:
        """More names for whoever may do everything, so that sessions can be told apart."""
        for name in names:
            self.administer("CREATE ROLE {} SUPERUSER LOGIN", name)
        try:
            yield
        finally:
            for name in names:
                self.administer("DROP ROLE {}", name)

    def url(self, database: str) -> str:
        """As SQLAlchemy wants it."""
        where = {"host": str(self.directory)}
        return URL.create("postgresql+psycopg", _SUPERUSER, database=database, query=where).render_as_string()

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Beside SQLAlchemy and everything that is tested; each statement commits."""
        return psycopg.connect(host=str(self.directory), user=_SUPERUSER, dbname=database, autocommit=True)

    def administer(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def make(self) -> None:
        """Its first, empty databases."""
        # Nobody but its user comes as far as the socket, so nobody has to say who he is.
        options = ["--no-sync", "--no-instructions", "--auth=trust", f"--username={_SUPERUSER}"]
        initdb = [str(_program("initdb")), "--encoding=UTF8", "--locale=C", *options, str(self._data)]
        made = subprocess.run([*_as_its_user(), *initdb], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        settings = {**self.settings, "unix_socket_directories": str(self.directory)}
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A new server without databases; it ends with the block, or with us, however we end."""
    # A socket's path has at most 107 bytes, and pytest's directories are deep.
    with tempfile.TemporaryDirectory(prefix="kiosk-pg-") as place:
        directory = Path(place)
        if os.geteuid() == 0:
            shutil.chown(directory, _SYSTEM_USER, pwd.getpwnam(_SYSTEM_USER).pw_gid)
        server = Postgres(directory, _SETTINGS if durable else {**_SETTINGS, **_HASTY})
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _program(name: str) -> Path:
    """Of the newest version that is installed; Debian keeps them side by side, and off the PATH."""
    found = [path for path in _PROGRAMS.glob(f"*/bin/{name}") if path.parts[-3].isdecimal()]
    assert found, "PostgreSQL is not installed: `make system-test` does that"
    return max(found, key=lambda path: int(path.parts[-3]))


def _as_its_user(*options: str) -> Sequence[str]:
    who = [f"--reuid={_SYSTEM_USER}", f"--regid={_SYSTEM_USER}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--no-new-privs", *who, *options]


@contextmanager
def _told_when_ready(directory: Path) -> Iterator[tuple[str, socket.socket]]:
    """Where a server says that it is up (sd_notify(3)), so that nobody has to ask it again and again."""
    path = directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(path))
        path.chmod(0o777)
        ready.settimeout(0.5)
        try:
            yield str(path), ready
        finally:
            path.unlink()


def _is_ready(ready: socket.socket) -> bool:
    try:
        return b"READY=1" in ready.recv(1000)
    except TimeoutError:
        return False
