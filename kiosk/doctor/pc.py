"""This PC's certificate database, opened as a kiosk opens it, and not made where it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

import msgspec

from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.site import Site
from kiosk.doctor.storage import nearest_folder
from kiosk.tokens.pc import PcFault, PcStore, PcUnusable

_NOT_OFFERED = not_applicable("doctor.pc.not-offered")
_GOOD = good("doctor.pc.good")
_WILL_BE_MADE = good("doctor.pc.will-be-made")
_NO_LOGIN = warning("doctor.pc.no-login")
FAULTS = {
    PcFault.ROOT: bad("doctor.pc.root"),
    PcFault.SOFTWARE_MISSING: bad("doctor.pc.software-missing"),
    PcFault.NO_DATABASE: bad("doctor.pc.no-database"),
    PcFault.LOCKED: warning("doctor.pc.locked"),
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
            return [(_GOOD if settings.user_is_holder else _NO_LOGIN)(folder=settings.folder)]
    except PcUnusable as unusable:
        is_missing = unusable.fault is PcFault.NO_DATABASE and await store.look_again() is PcFault.NO_DATABASE
        if is_missing and settings.create:
            return _would_be_made(site)
        return [FAULTS[unusable.fault](folder=settings.folder, detail=unusable.detail)]


def _would_be_made(site: Site) -> list[Finding]:
    """It would have no password."""
    folder = site.known.pc.folder
    parent = nearest_folder(folder / "cert9.db")
    if shutil.which("certutil", path=site.environment.get("PATH")) is None:
        return [FAULTS[PcFault.SOFTWARE_MISSING](folder=folder, detail="certutil")]
    if not os.access(parent, os.W_OK):
        return [FAULTS[PcFault.READ_ONLY](folder=folder, detail=parent)]
    made = [_WILL_BE_MADE(folder=folder)]
    return made if site.known.pc.user_is_holder else [*made, _NO_LOGIN(folder=folder)]


CHECKS = (Check("doctor.check.pc", _look, (_GOOD, _WILL_BE_MADE, _NO_LOGIN, *FAULTS.values(), _NOT_OFFERED)),)
