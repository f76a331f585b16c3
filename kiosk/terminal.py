"""The kiosk's own process on a terminal: `python -m kiosk.terminal SETTINGS LAUNCHER`, started by the launcher."""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from pathlib import Path

from kiosk.app import Branch, KioskApp
from kiosk.children import end_with_parent, leave_no_core
from kiosk.errors import KioskError
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, Settings, SettingsError, load_settings
from kiosk.tokens.presence import NewsSource, Presence

_GRACE_SECONDS = 5
_LOOK_AT_TERMINAL_EVERY = 1.0


async def run(settings: Settings) -> int:
    """Serve customers on this terminal until told to end; the exit status.

    Raises:
        SettingsError: what the settings name is not there.
        KioskError: K-02, the journal cannot be written.
    """
    async with open_services(settings) as services:
        front_desk = FrontDesk(services, settings.token, _presence(settings))
        app = KioskApp(front_desk, branch_of(settings), services.clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, _leave, app)
        watching = asyncio.create_task(_watch_terminal(app), name="terminal")
        try:
            await app.run_async()
        finally:
            watching.cancel()
            await front_desk.close()
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
            _leave(app)
            return


def _leave(app: KioskApp) -> None:
    """End in order, or be ended: a terminal that reads nothing any more would be waited for for ever."""
    signal.alarm(_GRACE_SECONDS)
    app.exit()


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
    """Run the kiosk of the settings file named as the first argument; the second is the launcher's process."""
    end_with_parent(int(sys.argv[2]), signal.SIGTERM)
    leave_no_core()
    try:
        sys.exit(asyncio.run(run(load_settings(Path(sys.argv[1])))))
    except (SettingsError, KioskError) as error:
        sys.exit(f"kiosk: {error}")


if __name__ == "__main__":
    main()
