"""Where tests fork processes off that begin with everything imported already.

Python has one such server for each process, and whoever names modules for it last has the only say: so all are named
here.
"""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
IMPORTED = [
    "kiosk.ca.commands",
    "kiosk.notices.commands",
    "kiosk.token_office.command",
    "tests.kills.visit",
    "tests.ready_ca",
    "tests.token_office.counter",
    "tests.frozen",
]
FORKS.set_forkserver_preload(IMPORTED)
