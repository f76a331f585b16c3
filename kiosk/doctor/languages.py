"""Languages: texts, the bank's time zone, and how the environment has text written."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfoNotFoundError

from kiosk.doctor.findings import Check, Finding, bad, good, warning
from kiosk.doctor.site import Site
from kiosk.texts import BASE_LANGUAGE

_COMPLETE = good("doctor.languages.good")
_INCOMPLETE = warning("doctor.languages.incomplete")
_NO_BASE = bad("doctor.languages.none")
_UNKNOWN = bad("doctor.languages.unknown")

_ZONE = good("doctor.zone.good")
_NO_ZONE = bad("doctor.zone.none")

_UTF_8 = good("doctor.encoding.good")
_NOT_UTF_8 = warning("doctor.encoding.other")

_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
"""The first that is set counts (locale(7))."""


async def _look_at_languages(site: Site) -> Iterable[Finding]:
    try:
        catalogues = site.catalogues()
    except (OSError, ValueError):
        catalogues = {}
    base = {key for key, text in catalogues.get(BASE_LANGUAGE, {}).items() if text}
    if not base:
        return [_NO_BASE()]
    wanted = site.known.branch.language
    findings = [] if wanted in catalogues else [_UNKNOWN(language=wanted)]
    for language, texts in catalogues.items():
        missing = len(base - {key for key, text in texts.items() if text})
        if missing:
            findings.append(_INCOMPLETE(language=language, count=missing))
    return findings or [_COMPLETE(languages=", ".join(catalogues))]


async def _look_at_zone(site: Site) -> Iterable[Finding]:
    names = dict.fromkeys(("Asia/Tokyo", site.known.policy.zone))
    return [_of_zone(site, name) for name in names]


def _of_zone(site: Site, name: str) -> Finding:
    try:
        now = site.clock().astimezone(site.zone(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _NO_ZONE(zone=name)
    return _ZONE(zone=name, now=f"{now:%Y-%m-%d %H:%M}")


async def _look_at_encoding(site: Site) -> Iterable[Finding]:
    locale = next((site.environment[name] for name in _LOCALE if site.environment.get(name)), "C")
    encoding = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return [(_UTF_8 if encoding == "utf8" else _NOT_UTF_8)(locale=locale)]


CHECKS = (
    Check("doctor.check.languages", _look_at_languages, (_COMPLETE, _INCOMPLETE, _NO_BASE, _UNKNOWN)),
    Check("doctor.check.zone", _look_at_zone, (_ZONE, _NO_ZONE)),
    Check("doctor.check.encoding", _look_at_encoding, (_UTF_8, _NOT_UTF_8)),
)
