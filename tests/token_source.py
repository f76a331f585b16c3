"""What ready token processes are forked off: `python -I -m tests.token_source`, with orders on its standard input.

It has imported what they are made of, has one thread, and does nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys

from kiosk.tokens import worker

LONGEST = 65536
"""Bytes of an order, and more than those of an answer."""


def main() -> None:
    """Make one after another, as standard input asks, until it closes."""
    gc.freeze()
    channel = socket.socket(fileno=0)
    while True:
        order, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 1)
        if not order:
            return
        (requests,) = descriptors
        arguments, environment = json.loads(order)
        pid = _orphaned(arguments, environment, requests)
        os.close(requests)
        channel.send(str(pid).encode())


def _orphaned(arguments: list[str], environment: dict[str, str], requests: int) -> int:
    """The number of a token process whose parent has gone, so that it has become whoever's child adopts orphans."""
    tells, told = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        child = os.fork()
        if child == 0:
            os.read(told[0], 1)
            _become(arguments, environment, requests)
        os.write(tells[1], str(child).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    pid = int(os.read(tells[0], LONGEST))
    os.write(told[1], b".")
    for each in (*tells, *told):
        os.close(each)
    return pid


def _become(arguments: list[str], environment: dict[str, str], requests: int) -> None:
    """What `python -I -m kiosk.tokens.worker` is with these arguments, environment and standard input."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number, stream in enumerate((requests, nowhere, nowhere)):
        os.dup2(stream, number)
    os.closerange(3, nowhere + 1)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    try:
        worker.main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
