"""Runs the full-screen kiosk in a child process: gives the terminal back however it ends, and starts it again.

A kiosk that has ended without being told to has crashed: by an exception, or by a signal, also by one that was meant
for it alone. One that hangs is ended, and has crashed as well. It is started again at once; after too many
crashes 調整中 is shown, drawn from here, and it is tried again after a pause. It is not started again where its
settings are wrong, or where the terminal is gone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from kiosk.children import Orphans
from kiosk.crashes import Crashes, Patience
from kiosk.errors import Code, KioskError
from kiosk.heartbeat import Silence
from kiosk.journal import Event, Journal
from kiosk.last_words import LastWords, heard
from kiosk.literal import literal
from kiosk.notice_board import drawn, out_of_order, starting
from kiosk.settings import Settings

_MODES_OFF = (
    "\x1b[<u"  # keyboard protocol back to the terminal's own
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # no mouse reports
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l"  # no focus reports, no bracketed paste, no reports of a new size
    "\x1b[?2026l\x1b[?7h\x1b[0m"  # drawing at once, wrapped lines, colours
)
_BOARD_SCREEN = "\x1b[?1049h"
_NORMAL_SCREEN = "\x1b[?1049l\x1b[?25h"

_SCRUBBED_PREFIXES = ("TEXTUAL", "PYTHON")
_SCRUBBED = {"NO_COLOR", "FORCE_COLOR", "ESCDELAY", "COLUMNS", "LINES", "UNICODE_VERSION"}
"""What would change how the kiosk looks or open doors in it: TEXTUAL_LOG writes keystrokes, for one."""

_READ_AT_ONCE = 4096
_TERMINAL_TAKES = 1.0
"""Seconds within which a terminal has read something of what was written to it."""
KIOSK = ("-m", "kiosk.terminal")
"""What Python is to run."""


class NoTerminal(Exception):
    """Standard input or output is no terminal."""


def launch(
    settings_file: Path, settings: Settings, kiosk: Sequence[str] = KIOSK, patience: Patience | None = None
) -> int:
    """Keep the kiosk of `settings` running on this terminal until it ends in order or is told to; the exit status.

    Args:
        settings_file: What `settings` was read from.
        settings: Whose journal has the crashes, and whether this is a demo, which Ctrl+C ends.
        kiosk: What Python is to run, with the settings file, our process, a pipe for its last words and one for its
            heartbeat as arguments.
        patience: How many crashes are borne with, and how long is waited for what; the settings' by default.

    Raises:
        NoTerminal: there is no terminal to run on.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise NoTerminal("the kiosk needs a terminal of its own as standard input, output and error")
    command = [sys.executable, "-P", *kiosk, str(settings_file), str(os.getpid())]
    crashes = Crashes(patience or Patience(hung_after=settings.hang_seconds))
    with _Terminal(may_be_left=settings.branch.demo) as terminal, _orders() as orders:
        status, words = _Launcher(command, settings, terminal, orders, crashes).run()
    if status and words.detail:
        sys.stderr.write(f"kiosk: {literal(words.detail)}\n")
    return status


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what must not reach a kiosk; text is UTF-8 whatever the locale says."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _SCRUBBED and not name.startswith(_SCRUBBED_PREFIXES)
    }
    return {**kept, "PYTHONUTF8": "1"}


@dataclass(frozen=True, slots=True)
class _End:
    """How one kiosk has ended."""

    status: int
    """As `subprocess` has it."""
    words: LastWords
    silence: float
    """Seconds for which it had not turned, where it was ended for that."""

    @property
    def how(self) -> str:
        """In an engineer's words; its own, where it could say it."""
        hung = f"hung for {self.silence:.0f} s, " if self.silence else ""
        return self.words.detail or f"{hung}{_how(self.status)}{self.words.place}"


class _Launcher:
    """One kiosk, started as often as it takes."""

    def __init__(
        self, command: list[str], settings: Settings, terminal: _Terminal, orders: _Orders, crashes: Crashes
    ) -> None:
        self._command = command
        self._settings = settings
        self._terminal = terminal
        self._orders = orders
        self._crashes = crashes
        self._orphans = Orphans()

    def run(self) -> tuple[int, LastWords]:
        """Until it is over: the launcher's own exit status, and why."""
        while True:
            if not self._are_orphans_gone():
                return 0, LastWords()
            end = self._once()
            if self._orders.told:
                return 0, end.words
            if end.status in (os.EX_OK, os.EX_CONFIG):
                return end.status, end.words
            if not self._terminal.is_there():
                return 128 + signal.SIGHUP, end.words
            self._terminal.clear()
            code, pause = self._judged(end)
            self._note(code, end.how)
            self._terminal.show(out_of_order(code) if pause else starting())
            if pause and not self._stay(pause):
                return (0 if self._orders.told else 128 + signal.SIGHUP), end.words

    def _are_orphans_gone(self) -> bool:
        """Wait for a token process that the last kiosk has left in the middle of writing: two would make two keys.

        False where it is over meanwhile.
        """
        return self._orphans.outlast(self._crashes.patience.grace, self._is_over_before)

    def _is_over_before(self, file: int, seconds: float) -> bool:
        """Wait for something in `file`, or for so long, whatever else is heard; whether it is over meanwhile."""
        end = time.monotonic() + seconds
        while not self._orders.told and self._orders.heard_or(file, end - time.monotonic()):
            pass
        return bool(self._orders.told)

    def _judged(self, end: _End) -> tuple[str, float]:
        """The code to be told, and for how many seconds nobody is served."""
        if end.status == os.EX_TEMPFAIL:  # it is not broken: something stands in its way
            return end.words.code, self._crashes.patience.first_pause
        pause = self._crashes.pause(end.silence)
        return (Code.KIOSK_CRASHED if pause else ""), pause

    def _once(self) -> _End:
        """Start the kiosk and wait for its end."""
        with _pipe() as (said, saying), _pipe() as (beaten, beating):
            self._crashes.begin()
            command = [*self._command, str(saying.fileno()), str(beating.fileno())]
            pipes = [saying.fileno(), beating.fileno()]
            child = subprocess.Popen(command, env=scrubbed(os.environ), pass_fds=pipes)  # noqa: S603 - our own module
            saying.close()
            beating.close()
            patience = self._crashes.patience
            silence = Silence(beaten.fileno(), child.pid, patience.first_sign, patience.hung_after)
            try:
                hung = self._hangs(child, silence)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
            return _End(child.returncode, heard(said.fileno()), silence.seconds if hung else 0.0)

    def _hangs(self, child: subprocess.Popen[bytes], silence: Silence) -> bool:
        """Wait until it has ended, or was told to and has not in time; whether it was told to because it hangs."""
        with _ending(child) as ended:
            while child.poll() is None and not self._orders.told:
                if silence.is_too_long():
                    child.send_signal(signal.SIGABRT)  # which has it say where it hangs
                    _ready(ended, select.POLLIN, self._crashes.patience.grace)
                    return True
                self._orders.heard_or(ended, silence.look_every)
                self._orphans.reap(but=child.pid)
            if self._orders.told and child.poll() is None:
                child.send_signal(self._orders.told)
                _ready(ended, select.POLLIN, self._crashes.patience.grace)
        return False

    def _stay(self, seconds: float) -> bool:
        """Keep the board on the terminal for so long, and every key away; false where it is over meanwhile."""
        end = time.monotonic() + seconds
        while not self._orders.told and self._terminal.is_there() and self._terminal.swallow():
            if time.monotonic() >= end:
                return True
            if self._orders.heard_or(self._terminal.keys, end - time.monotonic()):
                self._terminal.show_again()  # it may have another size by now
        return False

    def _note(self, code: str, detail: str) -> None:
        """Into the journal, if it can be written: that may be what is wrong."""
        with suppress(KioskError), Journal(Path(self._settings.journal)) as journal:
            journal.append("", Event.CRASHED, "", "", "", code, detail)


def _how(status: int) -> str:
    """How a process has ended that could not say it itself."""
    if status >= 0:
        return f"ended with {status}"
    with suppress(ValueError):
        return f"ended by {signal.Signals(-status).name}"
    return f"ended by signal {-status}"


@contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A pipe's two ends, closed by then; reading does not block."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(read, "rb", buffering=0) as out_of_it, os.fdopen(write, "wb", buffering=0) as into_it:
        yield out_of_it, into_it


@contextmanager
def _ending(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """A file that can be read once `child` has ended (pidfd_open(2))."""
    ended = os.pidfd_open(child.pid)
    try:
        yield ended
    finally:
        os.close(ended)


def _ready(file: int, events: int, seconds: float) -> bool:
    """Whether one of `events` (poll(2)) comes within so many seconds."""
    watched = select.poll()
    watched.register(file, events)
    return bool(watched.poll(seconds * 1000))


def _unblocking(file: int) -> int:
    """The same file, opened anew so that writing to it does not block; whoever else has it is not concerned.

    After su(1) the terminal may be somebody else's, and can only be shared.
    """
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return os.dup(file)


class _Terminal:
    """The terminal that everything happens on: as it was at the end, deaf to the keys that would reach a shell."""

    keys = 0
    """Standard input."""

    def __init__(self, may_be_left: bool) -> None:
        self._may_be_left = may_be_left
        self._lines: list[str] = []

    def __enter__(self) -> _Terminal:
        self._before = termios.tcgetattr(self.keys)
        self._picture = _unblocking(sys.stderr.fileno())
        self._deafen()
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_MODES_OFF + _NORMAL_SCREEN)
        self._as_before()
        os.close(self._picture)

    def _as_before(self) -> None:
        """Its settings as they were, and no key left; nothing waits until it has drawn what was written."""
        with suppress(OSError, termios.error):
            termios.tcflush(self.keys, termios.TCIFLUSH)
            termios.tcsetattr(self.keys, termios.TCSANOW, self._before)

    def _deafen(self) -> None:
        """Between two kiosks nobody reads keys; Ctrl+C and the like would end us, and leave a shell in the lobby."""
        deaf = termios.tcgetattr(self.keys)
        deaf[0] &= ~termios.IXON
        deaf[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        if not self._may_be_left:
            deaf[3] &= ~termios.ISIG
        with suppress(termios.error):
            termios.tcsetattr(self.keys, termios.TCSANOW, deaf)

    def clear(self) -> None:
        """After a kiosk that may have left anything behind, with nothing on the screen that it had shown."""
        self._write(_MODES_OFF + _BOARD_SCREEN + "\x1b[2J")
        self._as_before()
        self._deafen()

    def show(self, lines: list[str]) -> None:
        """Show these, until the kiosk draws over them."""
        self._lines = lines
        self.show_again()

    def show_again(self) -> None:
        """The same, for the size it has now."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self.keys)
            self._write(drawn(self._lines, columns, rows))

    def swallow(self) -> bool:
        """Take the keys that were pressed, so that the next kiosk does not get them; false at the end of the input."""
        while select.select([self.keys], [], [], 0)[0]:
            try:
                if not os.read(self.keys, _READ_AT_ONCE):
                    return False
            except OSError:
                return False
        return True

    def is_there(self) -> bool:
        """Whether anybody could see something on it."""
        watched = select.poll()
        watched.register(self.keys, select.POLLHUP)
        return not watched.poll(0)

    def _write(self, text: str) -> None:
        """What the terminal takes of it; one that reads nothing is not waited for."""
        rest = text.encode()
        with suppress(OSError):  # the terminal itself may have been closed
            while rest and _ready(self._picture, select.POLLOUT, _TERMINAL_TAKES):
                rest = rest[os.write(self._picture, rest) :]


class _Orders:
    """The signals that the launcher gets."""

    def __init__(self) -> None:
        self.told = 0
        """The signal that ends everything, once it has come."""
        self._heard, self._hearing = os.pipe()
        for end in (self._heard, self._hearing):
            os.set_blocking(end, False)

    def take(self, number: int, _: FrameType | None) -> None:
        """An order to end; a key press that sends one (Ctrl+C, in a demo) asks as politely as the rest."""
        self.told = signal.SIGTERM if number == signal.SIGINT else number

    def heard_or(self, file: int, seconds: float | None) -> bool:
        """Wait for a signal, for something in `file`, or for so long; whether it was a signal."""
        milliseconds = None if seconds is None else max(seconds, 0.0) * 1000
        watched = select.poll()
        for each in (self._heard, file):
            watched.register(each, select.POLLIN)
        if self._heard not in dict(watched.poll(milliseconds)):
            return False
        os.read(self._heard, _READ_AT_ONCE)
        return True


@contextmanager
def _orders() -> Iterator[_Orders]:
    """Listen to signals; each wakes whoever waits, so none can come between a look and the wait for the next."""
    orders = _Orders()
    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, orders.take) for number in ends}
    before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
    waker = signal.set_wakeup_fd(orders._hearing, warn_on_full_buffer=False)
    try:
        yield orders
    finally:
        signal.set_wakeup_fd(waker)
        for number, handler in before.items():
            signal.signal(number, handler)
