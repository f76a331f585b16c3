"""What a kiosk costs while nobody is there: CPU, memory, and what it writes to its terminal.

    python -m tests.benchmarks.bench_standby [SECONDS]

The demo stands at its standby screen on a pty of 120 by 34 cells. CPU is what the kernel has counted for a process, as
a part of the wall time of the same run; memory is what it has of its own (Pss).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.program.descendants import Process, watching_descendants
from tests.program.terminal import Terminal

SETTLED_AFTER = 3.0
WORDS = {
    "screens and reception": "kiosk.terminal",
    "token process, looks every five seconds": "kiosk.tokens.worker",
    "launcher": "kiosk demo",
    "CA of the demo": "ca serve",
}


def cpu_seconds(process: Process) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_megabytes(process: Process) -> float:
    """Its part of the memory, where it may be read: the kiosk's own processes show it to root alone."""
    try:
        rows = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else 60.0
    with tempfile.TemporaryDirectory() as directory, watching_descendants() as descendants:
        terminal = Terminal("demo", "--key", "ec-p256", "--directory", Path(directory) / "demo")
        terminal.wait_for("はじめる")
        terminal.read_for(SETTLED_AFTER)
        processes = {name: descendants.the_one(words) for name, words in WORDS.items()}
        begun, before = time.monotonic(), {name: cpu_seconds(each) for name, each in processes.items()}
        written = terminal.read_for(seconds)
        wall = time.monotonic() - begun
        print(f"| standby, {wall:.0f} s | CPU of one core | memory |\n|---|---|---|")
        for name, each in processes.items():
            print(f"| {name} | {(cpu_seconds(each) - before[name]) / wall:.2%} | {own_megabytes(each):.0f} MB |")
        print(f"\nwritten to the terminal: {written} bytes")
        terminal.process.kill(signal.SIGTERM)
        terminal.wait_for_end()


if __name__ == "__main__":
    main()
