"""A token that can be pulled and put back: a SoftHSM token behind `p11-kit server` (field notes §4)."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from kiosk.tokens.process import ModuleSettings

_CLIENTS = (
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
)


class PulledToken:
    """Serves the token of `module` on a socket, until it is pulled."""

    def __init__(self, module: ModuleSettings, directory: Path) -> None:
        self._module = module
        self._socket = directory / "p11.sock"
        self.server: subprocess.Popen[bytes] | None = None
        self.settings = ModuleSettings(
            module=next(client for client in _CLIENTS if Path(client).exists()),
            environment={"P11_KIT_SERVER_ADDRESS": f"unix:path={self._socket}"},
        )

    def put_in(self) -> None:
        self._socket.unlink(missing_ok=True)
        command = ["p11-kit", "server", "-f", "-n", str(self._socket), "--provider", self._module.module, "pkcs11:"]
        self.server = subprocess.Popen(
            command,
            env={**os.environ, **self._module.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.server.stdout is not None
        self.server.stdout.readline()  # it says its address once it listens

    def pull(self) -> None:
        """Kill the server and the child that serves us: the token is gone between two bytes."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None
