"""A pcscd of our own with a virtual reader, in a network of its own (field notes §4)."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_CLOSET = """
mount --bind "$1" /run/pcscd
"$2" -m tests.tokens.loopback
exec pcscd --foreground
"""
_SECONDS = 30.0
_READER = Path("/etc/reader.conf.d/vpcd")

CARD_IN = "in"


def why_not() -> str:
    """What this machine lacks for a pcscd of our own; empty where it lacks nothing."""
    if shutil.which("pcscd") is None or not _READER.exists():
        return "pcscd and vsmartcard-vpcd are not installed"
    if os.geteuid() != 0:
        return "only root can give pcscd a directory and a network of its own"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        return "unshare is not allowed here"
    return ""


class PcscDaemon:
    """pcscd with vpcd's reader. Its socket is in `directory`; its port is in a network that nobody else sees."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._card: subprocess.Popen[bytes] | None = None
        self.environment = {"PCSCLITE_CSOCK_NAME": str(self._directory / "pcscd.comm")}
        """What a client wants in its environment to find this one."""

    def start(self) -> None:
        """Start the daemon, and return once it listens."""
        Path("/run/pcscd").mkdir(exist_ok=True)
        command = ["unshare", "--net", "--mount", "--propagation", "private", "bash", "-euc", _CLOSET, "pcscd"]
        self._daemon = subprocess.Popen(
            [*command, str(self._directory), sys.executable], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        poll = select.poll()
        for _ in range(int(_SECONDS / 0.02)):
            if (self._directory / "pcscd.comm").exists():
                return
            if self._daemon.poll() is not None:
                break
            poll.poll(20)
        raise RuntimeError("pcscd did not start")

    def kill(self) -> None:
        """Kill the daemon, and with it its reader and its card."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None
        self.take_card_out()
        for left in self._directory.iterdir():
            left.unlink()

    def put_card_in(self) -> None:
        """Put a card in that answers with its ATR and knows nothing else; return once it was asked for that."""
        assert self._daemon is not None
        command = ["nsenter", f"--net=/proc/{self._daemon.pid}/ns/net", sys.executable, "-m", "tests.tokens.atr_card"]
        self._card = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._card.stdout is not None
        assert self._card.stdout.readline().decode().strip() == CARD_IN

    def take_card_out(self) -> None:
        """Take the card out."""
        if self._card is not None:
            os.kill(self._card.pid, signal.SIGKILL)
            self._card.wait()
            assert self._card.stdout is not None
            self._card.stdout.close()
            self._card = None
