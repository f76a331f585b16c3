"""Another program run by a user who is not root, has no name, and a home of his own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = 61234
"""Nobody's number, above those that Debian gives to people and below `nobody` (Debian policy 9.2.2)."""

_MAY_NOTHING = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
_MAY_READ = tuple(f"{each},+dac_read_search" for each in _MAY_NOTHING)
"""Where the Python or the checkout lies in root's own home, an ordinary user could not even start."""


@contextmanager
def ordinary_home() -> Iterator[Path]:
    """A home for the user, gone with the block."""
    home = Path(tempfile.mkdtemp(prefix="kiosk-home-"))
    try:
        os.chown(home, USER, USER)
        yield home
    finally:
        shutil.rmtree(home)


def way_to_become(home: Path) -> Sequence[str] | None:
    """The beginning of a command that runs the rest as the user; None where this machine does not let us."""
    for rights in (_MAY_NOTHING, _MAY_READ):
        identity = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        way = ["setpriv", *identity, *rights, "env", "-u", "XDG_RUNTIME_DIR", f"HOME={home}"]
        if _works(way):
            return way
    return None


def _works(way: Sequence[str]) -> bool:
    check = "import os, pkcs11, tests.bank; assert os.geteuid() and not os.access('/etc/shadow', os.W_OK)"
    tried = subprocess.run([*way, sys.executable, "-c", check], capture_output=True, cwd=root(), check=False)
    return tried.returncode == 0


def root() -> Path:
    """The checkout."""
    return Path(__file__).parents[2]
