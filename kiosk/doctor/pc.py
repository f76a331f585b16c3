"""This PC's certificate database, opened as a kiosk opens it, and not made where it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

import msgspec

from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable
from kiosk.doctor.site import Site
from kiosk.tokens.pc import PcFault, PcStore, PcUnusable

_NOT_OFFERED = not_applicable("doctor.pc.not-offered")
_GOOD = good("doctor.pc.good")
_WILL_BE_MADE = good("doctor.pc.will-be-made")
FAULTS = {
    PcFault.ROOT: bad("doctor.pc.root"),
    PcFault.SOFTWARE_MISSING: bad("doctor.pc.software-missing"),
    PcFault.NO_DATABASE: bad("doctor.pc.no-database"),
    PcFault.LOCKED: bad("doctor.pc.locked"),
    PcFault.IN_USE: bad("doctor.pc.in-use"),
    PcFault.READ_ONLY: bad("doctor.pc.read-only"),
    PcFault.UNUSABLE: bad("doctor.pc.unusable"),
}


async def _look(site: Site) -> Iterable[Finding]:
    settings = site.known.pc
    if not settings.offered:
        return [_NOT_OFFERED()]
    libraries = {} if site.pc_libraries is None else {"libraries": site.pc_libraries}
    store = PcStore(msgspec.structs.replace(settings, create=False), site.folder / "p11-kit", site.user, **libraries)
    try:
        async with await store.open(site.known.policy.holder_rule):
            return [_GOOD(folder=settings.folder)]
    except PcUnusable as unusable:
        if unusable.fault is PcFault.NO_DATABASE and settings.create and not settings.folder.exists():
            return [_would_be_made(site)]
        return [FAULTS[unusable.fault](folder=settings.folder, detail=unusable.detail)]


def _would_be_made(site: Site) -> Finding:
    folder = site.known.pc.folder
    if shutil.which("certutil", path=site.environment.get("PATH")) is None:
        return FAULTS[PcFault.SOFTWARE_MISSING](folder=folder, detail="certutil")
    return _WILL_BE_MADE(folder=folder)


CHECKS = (Check("doctor.check.pc", _look, (_GOOD, _WILL_BE_MADE, *FAULTS.values(), _NOT_OFFERED)),)
