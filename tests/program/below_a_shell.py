"""`python -m tests.program.below_a_shell …`: `kiosk …` as a shell starts it, which stays when that ends."""

from __future__ import annotations

import signal
import subprocess
import sys


def main() -> None:
    subprocess.call([sys.executable, "-m", "kiosk", *sys.argv[1:]])
    signal.pause()


if __name__ == "__main__":
    main()
