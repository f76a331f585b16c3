"""The settings themselves."""

from __future__ import annotations

from collections.abc import Iterable

from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable
from kiosk.doctor.site import Site

NOT_TOLD = not_applicable("doctor.not-told")
"""The settings do not name what would be looked at. Any check may say so."""

_NONE = not_applicable("doctor.settings.none")
_GOOD = good("doctor.settings.good")
_BAD = bad("doctor.settings.bad")


async def _look(site: Site) -> Iterable[Finding]:
    known = site.known
    if known.file is None:
        return [_NONE()]
    return [_BAD(fault=known.fault) if known.fault else _GOOD(file=known.file)]


CHECKS = (Check("doctor.check.settings", _look, (_NONE, _GOOD, _BAD)),)
