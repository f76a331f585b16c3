"""A pcscd of the tests' own, with vsmartcard's reader in it, and OpenSC in front of it.

There can be one pcscd on a machine, because its socket has one place; so it runs with a /run of its own, and clients
are told where its socket is to be found outside (`PCSCLITE_CSOCK_NAME`). It has a network of its own, too, because
the reader would listen on all interfaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from kiosk.tokens.process import ModuleSettings
from tests.tokens import namespaces
from tests.tokens.virtual_card.reader import Slot

_DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
_OPENSC = next(iter(sorted(Path("/usr/lib").glob("*/opensc-pkcs11.so"))), None)

_PORT = 0x8C7B
_SLOTS = 2
_START_SECONDS = 30.0

_READER = f"""FRIENDLYNAME "Virtual PCD"
DEVICENAME /dev/null:{_PORT:#x}
LIBPATH {_DRIVER}
CHANNELID {_PORT:#x}
"""

_OPENSC_SETTINGS = """app default {
    card_drivers = isoApplet;
    profile_dir = "%s";
    framework pkcs15 {
        use_file_caching = no;
    }
}
"""

_PROFILES = Path("/usr/share/opensc")
_SMALL, _ROOMY = "prkdf-size = 512;", "prkdf-size = 2048;"
"""Bytes for a card's list of private keys. In 512 two keys find no room once both have a certificate, because OpenSC
writes its subject beside the key, and a bank's subjects are long."""

_IN_ITS_OWN = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private")

_SCRIPT = """set -e
mount -t tmpfs none /run
mkdir /run/pcscd
mount --bind "$0" /run/pcscd
exec pcscd -f -c "$0/reader.conf"
"""


@dataclass
class CardService:
    """A pcscd that runs."""

    directory: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, *, with_reader: bool = True) -> None:
        """Start it, and return once it listens. Its slots are empty."""
        (self.directory / "reader.conf").write_text(_READER if with_reader else "")
        socket = self.directory / "pcscd.comm"
        socket.unlink(missing_ok=True)  # of one that was killed
        with (self.directory / "pcscd.log").open("ab") as log:
            command = [*_IN_ITS_OWN, "sh", "-c", _SCRIPT, str(self.directory)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.__dict__.pop("slots", None)  # they are in the network of the process
        _wait_for(socket, self.process)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()
        for slot in self.slots:
            slot.pull()

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Those of its one reader."""
        return tuple(
            Slot(self.process.pid, _PORT + number, partial(self.shows_card, number)) for number in range(_SLOTS)
        )

    def shows_card(self, number: int) -> bool:
        """Whether a program sees a card in this slot."""
        lines = (line.split() for line in self.run("opensc-tool", "--list-readers").splitlines())
        return any(words[:2] == [str(number), "Yes"] for words in lines)

    @property
    def environment(self) -> dict[str, str]:
        """How programs find it."""
        return {
            "PCSCLITE_CSOCK_NAME": str(self.directory / "pcscd.comm"),
            "OPENSC_CONF": str(self.directory / "opensc.conf"),
        }

    @property
    def module(self) -> ModuleSettings:
        """OpenSC, as a kiosk would use it."""
        return ModuleSettings(module=str(_OPENSC), environment=self.environment)

    def run(self, *command: str) -> str:
        """Run a program of OpenSC's to its end."""
        environment = {**os.environ, **self.environment}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout


def why_not() -> str:
    """Why a pcscd cannot run here; empty where it can."""
    missing = [
        str(each) for each in (_DRIVER, Path("/usr/sbin/pcscd"), Path("/usr/bin/pkcs15-init")) if not each.exists()
    ]
    if missing or _OPENSC is None:
        return f"not installed: {', '.join(missing) or 'opensc-pkcs11'}"
    return namespaces.why_not("--net")


@contextmanager
def running_pcscd(*, roomy: bool = True) -> Iterator[CardService]:
    """Run one; its slots are empty. `roomy` says whether cards made there have room for a second key."""
    directory = Path(tempfile.mkdtemp(prefix="pcscd-"))  # a socket's path may not be as long as pytest's are
    (directory / "opensc.conf").write_text(_OPENSC_SETTINGS % directory)
    for profile in ("pkcs15", "isoApplet"):
        text = (_PROFILES / f"{profile}.profile").read_text()
        (directory / f"{profile}.profile").write_text(text.replace(_SMALL, _ROOMY) if roomy else text)
    service = CardService(directory)
    try:
        service.start()
        yield service
        for slot in service.slots:
            slot.pull()
    finally:
        service.process.terminate()
        service.process.wait()
        shutil.rmtree(directory)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not path.exists():
        assert process.poll() is None, path.with_name("pcscd.log").read_text(errors="replace")
        assert time.monotonic() < ends, "pcscd does not listen"
        time.sleep(0.02)
