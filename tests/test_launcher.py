from __future__ import annotations

from kiosk.launcher import scrubbed


def test_what_opens_doors_in_a_kiosk_is_scrubbed() -> None:
    doors = ("TEXTUAL_LOG", "TEXTUAL_ALLOW_SIGNALS", "NO_COLOR", "ESCDELAY", "COLUMNS", "UNICODE_VERSION", "PYTHONPATH")
    kept = scrubbed(dict.fromkeys(doors, "1") | {"TERM": "foot", "HOME": "here"})
    assert kept == {"TERM": "foot", "HOME": "here", "PYTHONUTF8": "1"}
