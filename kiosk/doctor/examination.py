"""All checks, one after another, whatever becomes of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from kiosk.doctor import ca, configuration, languages, module, pc, revocation, screen, storage, writing
from kiosk.doctor.findings import Check, Finding, bad
from kiosk.doctor.site import Site

CHECKS: tuple[Check, ...] = (
    *configuration.CHECKS,
    *module.CHECKS,
    *writing.CHECKS,
    *pc.CHECKS,
    *ca.CHECKS,
    *revocation.CHECKS,
    *screen.CHECKS,
    *languages.CHECKS,
    *storage.CHECKS,
)

FAILED = bad("doctor.failed")
TOO_LONG = bad("doctor.too-long")
"""What any check may say."""

LIMIT = 120.0
"""Seconds for one check; each has shorter limits of its own where it waits for something."""


async def examine(
    site: Site, checks: Iterable[Check] = CHECKS, limit: float = LIMIT
) -> AsyncIterator[tuple[Check, Finding]]:
    """Every finding as soon as it is there. A check that itself fails is a bad finding, and the others go on."""
    for check in checks:
        for finding in await _looked(check, site, limit):
            yield check, finding


async def _looked(check: Check, site: Site, limit: float) -> Iterable[Finding]:
    try:
        async with asyncio.timeout(limit):
            return await check.look(site)
    except TimeoutError:
        return [TOO_LONG(seconds=f"{limit:g}")]
    # Whatever it is: whoever examines a kiosk wants the other lines, and no traceback. Its words may hold anything.
    except Exception as error:
        return [FAILED(kind=type(error).__name__)]
