"""A software token of opencryptoki, with a pkcsslotd of the tests' own.

Daemon and module meet at one socket, pieces of shared memory and some directories, all in fixed places. So a
test that wants one goes, with everything it starts, where nobody else sees these places.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import ModuleSettings
from tests.tokens import namespaces

_MODULE = next(iter(sorted(Path("/usr/lib").glob("*/pkcs11/libopencryptoki.so"))), None)
_PROGRAMS = (Path("/usr/sbin/pkcsslotd"), Path("/usr/sbin/pkcsconf"))

_SETTINGS = """version opencryptoki-3.1
slot 0
{
stdll = libpkcs11_sw.so
}
"""
_STATE, _LOCKS, _CONFIGURATION = (
    Path("/var/lib/opencryptoki"),
    Path("/var/lock/opencryptoki"),
    Path("/etc/opencryptoki"),
)
_SOCKET = Path("/run/pkcsslotd.socket")
_START_SECONDS = 30.0

_FIRST_SO_PIN = "87654321"
"""As the token comes; it must be changed before anything else."""
SO_PIN = "13572468"


@dataclass(frozen=True)
class OpenCryptoki:
    """A pkcsslotd that runs, with one token."""

    module: ModuleSettings

    def set_pin_by_staff(self, pin: str = DEMO_PIN) -> None:
        """Give the token a PIN with the SO PIN, which also unblocks it."""
        self._configure("-u", "-S", SO_PIN, "-n", pin)

    def make_token(self, label: str) -> None:
        """Initialise the token anew."""
        self._configure("-I", "-S", _FIRST_SO_PIN, given=f"{label}\n")
        self._configure("-P", "-S", _FIRST_SO_PIN, "-n", SO_PIN)
        self.set_pin_by_staff()

    def _configure(self, *arguments: str, given: str = "") -> None:
        command = [str(_PROGRAMS[1]), "-c", "0", *arguments]
        run = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def why_not() -> str:
    """Why it cannot run here; empty where it can."""
    missing = [str(each) for each in _PROGRAMS if not each.exists()]
    if missing or _MODULE is None:
        return f"not installed: {', '.join(missing) or 'libopencryptoki0'}"
    return namespaces.why_not("--ipc")


@contextmanager
def running_opencryptoki(directory: Path, label: str) -> Iterator[OpenCryptoki]:
    """Run pkcsslotd with a token of this label, whose files lie in `directory`."""
    directory.mkdir()
    with namespaces.own_places():
        _lay_out(directory)
        with (directory / "pkcsslotd.log").open("wb") as log:
            command = ["setpriv", "--pdeathsig", "KILL", str(_PROGRAMS[0]), "-f"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_for(_SOCKET, process)
            running = OpenCryptoki(ModuleSettings(module=str(_MODULE)))
            running.make_token(label)
            yield running
        finally:
            process.kill()  # what is gone with its namespace needs no tidying, and not every SIGTERM ends it
            process.wait()


def _lay_out(directory: Path) -> None:
    state, configuration = directory / "state", directory / "configuration"
    (state / "swtok" / "TOK_OBJ").mkdir(parents=True)
    configuration.mkdir()
    (configuration / "opencryptoki.conf").write_text(_SETTINGS)
    namespaces.mount("-t", "tmpfs", "none", "/run")
    namespaces.mount("-t", "tmpfs", "none", "/dev/shm")
    Path("/run/lock").mkdir()
    (_LOCKS / "swtok").mkdir(parents=True, exist_ok=True)
    namespaces.mount("--bind", str(state), str(_STATE))
    namespaces.mount("--bind", str(configuration), str(_CONFIGURATION))


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not path.exists():
        assert process.poll() is None, "pkcsslotd does not run"
        assert time.monotonic() < ends, "pkcsslotd does not listen"
        time.sleep(0.02)
