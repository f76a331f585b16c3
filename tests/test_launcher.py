from __future__ import annotations

import os
import pty
import select
import socket
import tty

import pytest

from kiosk.launcher import _Terminal, _unblocking, scrubbed

LIMIT = 30.0
"""Seconds after which a test is over; nothing here takes as long."""


def test_what_opens_doors_in_a_kiosk_is_scrubbed() -> None:
    doors = ("TEXTUAL_LOG", "TEXTUAL_ALLOW_SIGNALS", "NO_COLOR", "ESCDELAY", "COLUMNS", "UNICODE_VERSION", "PYTHONPATH")
    kept = scrubbed(dict.fromkeys(doors, "1") | {"TERM": "foot", "HOME": "here"})
    assert kept == {"TERM": "foot", "HOME": "here", "PYTHONUTF8": "1"}


def _fill(picture: int) -> None:
    """Write on for as long as the kernel makes room again, as it hands on what there is."""
    for _ in range(1 << 20):
        os.write(picture, b"#")


def test_a_terminal_is_written_to_without_waiting_for_it_and_others_are_not_concerned() -> None:
    ours, theirs = pty.openpty()
    picture = _unblocking(theirs)
    assert os.write(picture, b"#" * (1 << 20)) < 1 << 20, "no more than it takes"
    with pytest.raises(BlockingIOError):
        _fill(picture)
    assert os.get_blocking(theirs)
    for each in (picture, theirs, ours):
        os.close(each)


def test_keys_that_nobody_waits_for_are_taken_away_until_the_terminal_is_closed() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    terminal = _Terminal(may_be_left=False)
    terminal.keys = theirs
    os.write(ours, b"rm -rf /\r")
    assert _can_be_read(theirs, LIMIT)
    assert terminal.swallow()
    assert not _can_be_read(theirs, 0.0)
    os.close(ours)
    assert not terminal.swallow()
    os.close(theirs)


def _can_be_read(file: int, seconds: float) -> bool:
    return bool(select.select([file], [], [], seconds)[0])


def test_what_cannot_be_opened_anew_is_shared() -> None:
    ours, theirs = socket.socketpair()
    picture = _unblocking(theirs.fileno())
    os.write(picture, b"a picture")
    assert ours.recv(100) == b"a picture"
    os.close(picture)
    ours.close()
    theirs.close()
