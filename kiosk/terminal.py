"""The kiosk's own process on a terminal, started by the launcher.

python -m kiosk.terminal SETTINGS LAUNCHER WORDS HEARTBEAT
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

from kiosk.app import Branch, KioskApp
from kiosk.children import end_with_parent, leave_no_core, outlive_parent_by
from kiosk.errors import KioskError
from kiosk.heartbeat import beat_for_ever
from kiosk.last_words import LastWords, fault_and_place, leave, leave_place_at_fault
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, Settings, SettingsError, load_settings
from kiosk.tokens.presence import NewsSource, Presence

_GRACE_SECONDS = 5
_LOOK_AT_TERMINAL_EVERY = 1.0


async def run(settings: Settings, heartbeat: int) -> int:
    """Serve customers on this terminal until told to end; the exit status, 0 only where a demo was left.

    The launcher hears by the pipe `heartbeat` that keys and touches would be answered.

    Raises:
        SettingsError: what the settings name is not there.
        KioskError: K-02, the journal cannot be written.
        Exception: whatever ended the app.
    """
    async with open_services(settings) as services:
        front_desk = FrontDesk(services, settings.token, _presence(settings))
        app = KioskApp(front_desk, branch_of(settings), services.clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, _leave, app, number)
        beside = (
            asyncio.create_task(_watch_terminal(app), name="terminal"),
            asyncio.create_task(beat_for_ever(heartbeat, app.call_later), name="heartbeat"),
        )
        try:
            await app.run_async()
        finally:
            for each in beside:
                each.cancel()
            await front_desk.close()
        if app.fault:
            raise app.fault
        return app.return_code or 0


def _presence(settings: Settings) -> Presence:
    """A demo's token is a file, of which no pcscd knows."""
    return Presence() if settings.branch.demo else Presence(NewsSource.pcscd(settings.token))


async def _watch_terminal(app: KioskApp) -> None:
    """End where the terminal has been closed: reading from it would spin, and nobody could see anything."""
    terminal = select.poll()
    terminal.register(sys.stdin.fileno(), select.POLLHUP)
    while True:
        await asyncio.sleep(_LOOK_AT_TERMINAL_EVERY)
        if terminal.poll(0):
            _leave(app, signal.SIGHUP)
            return


def _leave(app: KioskApp, number: signal.Signals) -> None:
    """End in order, or be ended: a terminal that reads nothing any more would be waited for for ever.

    The status says that it was told to, so that a launcher that has told nothing starts another kiosk.
    """
    signal.alarm(_GRACE_SECONDS)
    app.exit(return_code=128 + number)


def branch_of(settings: Settings) -> Branch:
    """What the screens show of the settings."""
    branch = settings.branch
    return Branch(
        bank=branch.bank,
        name=branch.branch,
        language=branch.language,
        demo_pin=DEMO_PIN if branch.demo else None,
        demo_code=branch.demo_code if branch.demo else "",
    )


def main() -> None:
    """Run the kiosk of the settings file named first; the launcher's process and pipes for what it is told follow."""
    settings, launcher, words, heartbeat = sys.argv[1:]
    end_with_parent(int(launcher), signal.SIGTERM)
    outlive_parent_by(_GRACE_SECONDS, int(launcher))
    leave_no_core()
    leave_place_at_fault(int(words))
    sys.exit(_status(Path(settings), int(words), int(heartbeat)))


def _status(settings: Path, pipe: int, heartbeat: int) -> int:
    """Serve, and tell the launcher why that has ended; the exit status as the launcher understands it."""
    try:
        return asyncio.run(run(load_settings(settings), heartbeat))
    except SettingsError as error:
        leave(LastWords(detail=str(error)), pipe)
        return os.EX_CONFIG
    except KioskError as error:
        leave(LastWords(error.problem.code, error.problem.detail), pipe)
        return os.EX_TEMPFAIL
    except Exception as error:
        leave(LastWords(detail=f"ended by {fault_and_place(error)}"), pipe)
        return os.EX_SOFTWARE


if __name__ == "__main__":
    main()
