"""Chromium without a window, under an enterprise policy that nobody else's Chromium sees.

Chromium reads policies from one directory of the system and from nowhere else. So it runs in a mount namespace in which
that directory is another one: root makes one before it becomes an ordinary user, an ordinary user makes one of his own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

LIMIT = 120.0
"""Seconds after which a Chromium that has not shown its page is a failure."""

NO_NAMESPACE = "Chromium's policies: nobody can make a mount namespace here"

_CONFIGURATION = Path("/etc/chromium")
_SETTINGS_OF_A_TEST = (
    "--headless=new",
    "--no-sandbox",  # in a container there may be no namespace left for it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


def private_configuration(command: Sequence[str]) -> list[str]:
    """`command` for root, with a configuration of Chromium that is empty, writable, and nobody else's."""
    mounting = f'mount -t tmpfs -o mode=1777 policies {_CONFIGURATION} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mounting, "sh", *command]


def _with_configuration(folder: Path, command: Sequence[str]) -> list[str]:
    """`command` for an ordinary user, with `folder` in the place of Chromium's configuration."""
    namespace = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    mounting = 'mount --bind "$1" "$2" && shift 2 && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"'
    return [*namespace, "sh", "-c", mounting, "sh", str(folder), str(_CONFIGURATION), *command]


def works(command: Sequence[str]) -> bool:
    """Whether `command` can be run here at all."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Chromium:
    """The browser of the user whose home is `home`, with a profile and policies in `folder`."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._profile = folder / "profile"
        private = os.geteuid() != 0 and os.access(_CONFIGURATION, os.W_OK)
        self._configuration = _CONFIGURATION if private else folder / "configuration"
        self._configuration.mkdir(exist_ok=True, parents=True)
        self._private = private

    @property
    def can_be_managed(self) -> bool:
        """Whether policies can be set for it here."""
        return self._private or works(_with_configuration(self._configuration, ["true"]))

    def manage(self, **policies: object) -> None:
        """Set policies, as an administrator does (Chrome Enterprise, "Chrome policy list")."""
        managed = self._configuration / "policies" / "managed"
        managed.mkdir(parents=True, exist_ok=True)
        (managed / "banking.json").write_text(json.dumps(policies))

    async def show(self, address: str, key_hash: str) -> str:
        """What the page at `address` looks like as HTML; its server is known by the hash of its key."""
        known = f"--ignore-certificate-errors-spki-list={key_hash}"
        profile = f"--user-data-dir={self._profile}"
        command = ["chromium", *_SETTINGS_OF_A_TEST, known, profile, "--dump-dom", address]
        with tempfile.TemporaryDirectory(prefix="chromium-") as scratch:  # a socket in a long path would not do
            browser = await asyncio.create_subprocess_exec(
                *(command if self._private else _with_configuration(self._configuration, command)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, "HOME": str(self._home), "XDG_RUNTIME_DIR": scratch, "TMPDIR": scratch},
            )
            try:
                async with asyncio.timeout(LIMIT):
                    said, _ = await browser.communicate()
            finally:
                if browser.returncode is None:
                    browser.kill()
                    await browser.wait()
        return said.decode(errors="replace")
