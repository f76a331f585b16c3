"""Where nonces, transaction ids and serial numbers come from: injected, so that tests can tell them beforehand."""

from __future__ import annotations

from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""Answers so many unpredictable bytes."""
