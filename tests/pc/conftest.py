"""Nothing here can be done as root: p11-kit takes no user's configuration from it, and no kiosk offers it.

Where root runs the suite (as in CI), each file of this folder is run by an ordinary user in a process of its own.
"""

from __future__ import annotations

import os

collect_ignore_glob = ["test_by_*.py"] if os.geteuid() else ["test_[!b]*.py"]
