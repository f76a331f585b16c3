"""`python -m kiosk.ca`, the CA without the rest of the kiosk."""

from __future__ import annotations

from kiosk.ca.commands import ca

if __name__ == "__main__":
    ca()
