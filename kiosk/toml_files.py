"""What makes a settings file in TOML one that is not understood."""

from __future__ import annotations

import msgspec

NOT_UNDERSTOOD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises; the last comes of brackets within brackets, hundreds deep."""
