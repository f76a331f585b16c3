"""Whether somebody tells which certificates are revoked, and may be believed.

No customer's certificate is at hand, so it is asked about one that nobody has issued: that the CA does not know it is
as good an answer as any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kiosk.certificates import Certificate
from kiosk.doctor.ca import NO_ROOTS, address_of, asked_as_stranger, http_for, stranger
from kiosk.doctor.configuration import NOT_TOLD
from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.site import Site
from kiosk.revocation.check import RevocationCheck, RevocationRule
from kiosk.revocation.status import StatusNotTold, StatusNotTrusted
from kiosk.services import read_anchors
from kiosk.settings import CaSettings, SettingsError

_GOOD = good("doctor.revocation.good")
_SILENT = bad("doctor.revocation.silent")
_ONE_SILENT = warning("doctor.revocation.one-silent")
_NOT_TRUSTED = bad("doctor.revocation.not-trusted")
_OFF = not_applicable("doctor.revocation.off")
_NO_ADDRESS = not_applicable("doctor.revocation.no-address")

_Way = tuple[str, str]
"""`OCSP` or `CRL`, and where."""


async def _look(site: Site) -> Iterable[Finding]:
    ca = site.known.ca
    if ca is None:
        return [NOT_TOLD()]
    if ca.revocation is RevocationRule.OFF:
        return [_OFF()]
    ways = [way for way in (("OCSP", ca.ocsp_url), ("CRL", ca.crl_url)) if way[1]]
    if not ways:
        return [_NO_ADDRESS()]
    try:
        anchors = read_anchors(Path(ca.roots))
    except SettingsError:
        return [NO_ROOTS()]
    findings = await _of_ways(site, ca, ways, (*anchors.intermediates, *anchors.roots))
    told = any(finding.saying == _GOOD for finding in findings)
    return [_as_bad(finding, ca, told=told) for finding in findings]


def _as_bad(finding: Finding, ca: CaSettings, *, told: bool) -> Finding:
    """Where nobody tells anything, and policy wants it told, nobody can renew."""
    if finding.saying != _ONE_SILENT or told or ca.revocation is not RevocationRule.REQUIRED:
        return finding
    return _SILENT(**finding.values)


async def _of_ways(
    site: Site, ca: CaSettings, ways: Sequence[_Way], authorities: Sequence[Certificate]
) -> list[Finding]:
    async with http_for(ca) as http:
        if http is None:
            return [NO_ROOTS()]
        check = RevocationCheck(http=http, authorities=authorities)
        return [await _of_way(site, check, way, authorities) for way in ways]


async def _of_way(site: Site, check: RevocationCheck, way: _Way, authorities: Sequence[Certificate]) -> Finding:
    """Whichever authority issues customers' certificates: one of them must be told about."""
    asked = await site.once(asked_as_stranger)
    now = site.clock()
    now = now + asked.offset if asked and asked.offset else now
    name, url = way
    ask = check.by_ocsp if name == "OCSP" else check.by_crl
    finding = _NOT_TRUSTED(way=name, address=address_of(url), detail="")
    for issuer in authorities:
        try:
            await ask(url, stranger(now).certificate, issuer, now)
        except StatusNotTold as error:
            return _ONE_SILENT(way=name, address=address_of(url), detail=error)
        except StatusNotTrusted as error:
            finding = _NOT_TRUSTED(way=name, address=address_of(url), detail=error)
        else:
            return _GOOD(way=name, address=address_of(url))
    return finding


CHECKS = (
    Check(
        "doctor.check.revocation",
        _look,
        (_GOOD, _ONE_SILENT, _SILENT, _NOT_TRUSTED, _OFF, _NO_ADDRESS, NO_ROOTS, NOT_TOLD),
    ),
)
