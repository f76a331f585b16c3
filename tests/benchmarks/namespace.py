"""A network of our own for a benchmark: some servers listen on every address of the machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

_INSIDE = "KIOSK_BENCH_NAMESPACE"
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
"""SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP (netdevice(7))."""


def enter(module: str) -> bool:
    """Start this program again where nothing but its own loopback can be reached; false where that cannot be had.

    Args:
        module: What `python -m` is to run.
    """
    if os.environ.get(_INSIDE) == "1":
        bring_up("lo")
        return True
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    unshare = shutil.which(command[0])
    if unshare is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        return False
    inside = [*command, sys.executable, "-m", module, *sys.argv[1:]]
    return os.execve(unshare, inside, os.environ | {_INSIDE: "1"})  # noqa: S606


def bring_up(interface: str) -> None:
    """Bring a network interface of this namespace up (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", interface.encode(), 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _GET_FLAGS, request), 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", interface.encode(), flags | _UP))
