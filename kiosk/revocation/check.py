"""The check before a renewal: OCSP where it can be had, the CRL where not."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import httpx

from kiosk.certificates import Certificate, is_issued_by
from kiosk.cmp.errors import TransferError
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.transfer import Limits, fetch
from kiosk.revocation import lists, ocsp
from kiosk.revocation.status import Status, StatusNotTold

OCSP_REQUEST, OCSP_RESPONSE, CRL = "application/ocsp-request", "application/ocsp-response", "application/pkix-crl"
_SECONDS = 10.0
"""For one answer: the customer waits, and there may be another way to ask."""
_OCSP_LIMITS = Limits(total_seconds=_SECONDS, largest_answer=64 * 1024)
_CRL_LIMITS = Limits(total_seconds=_SECONDS, largest_answer=16 * 1024 * 1024)
"""Of a CRL with a few hundred thousand entries."""


_Way = Callable[[str, Certificate, Certificate, datetime], Awaitable[Status]]


class RevocationRule(StrEnum):
    """What is done where nobody tells whether a certificate is revoked. One that is revoked is never renewed."""

    REQUIRED = "required"
    """No renewal, as long as there is an address to ask at."""
    IF_REACHABLE = "if-reachable"
    """It goes on; the CA decides when it is asked for the certificate."""
    OFF = "off"
    """Nobody is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationCheck:
    """Asks about certificates of one CA."""

    http: httpx.AsyncClient = field(repr=False)
    authorities: Sequence[Certificate]
    """The CA certificates that are trusted; the issuer of whatever is asked about must be one of them."""
    rule: RevocationRule = RevocationRule.REQUIRED
    ocsp_url: str = ""
    crl_url: str = ""
    """Where to ask; where empty, the certificate's own addresses are used."""
    random: RandomBytes = field(default=secrets.token_bytes, repr=False)

    async def ask(self, certificate: Certificate, now: datetime) -> Status | None:
        """What the CA says of `certificate`; None where no address is known, or the rule is that nobody is asked.

        One way after the other is tried, once, until somebody tells. An answer that does not count ends the search:
        whoever forges one answer may as well withhold another.

        Args:
            certificate: A customer's, whose path to the trusted roots has been checked.
            now: The CA's time.

        Raises:
            StatusNotTold: nobody told anything.
            StatusNotTrusted: an answer does not count.
        """
        issuer = next((each for each in self.authorities if _issued(each, certificate)), None)
        if self.rule is RevocationRule.OFF or issuer is None:
            return None
        silent: list[StatusNotTold] = []
        for ask, url in self._ways(certificate):
            try:
                return await ask(url, certificate, issuer, now)
            except StatusNotTold as error:
                silent.append(error)
        if silent:
            raise _told_by_none(silent)
        return None

    def _ways(self, certificate: Certificate) -> Iterator[tuple[_Way, str]]:
        for url in _first(self.ocsp_url, certificate.ocsp_urls):
            yield self.by_ocsp, url
        for url in _first(self.crl_url, certificate.crl_urls):
            yield self.by_crl, url

    async def by_ocsp(self, url: str, certificate: Certificate, issuer: Certificate, now: datetime) -> Status:
        """What OCSP at `url` tells of a certificate of `issuer`.

        Raises:
            StatusNotTold, StatusNotTrusted: as `ask`.
        """
        question = ocsp.Question(certificate, issuer, self.random(ocsp.NONCE_LENGTH))
        try:
            answer = await fetch(
                self.http, url, _OCSP_LIMITS, kind=OCSP_RESPONSE, request=question.der, request_kind=OCSP_REQUEST
            )
        except TransferError as error:
            raise _not_told(ocsp.SOURCE, error) from error
        return question.read(answer, now)

    async def by_crl(self, url: str, certificate: Certificate, issuer: Certificate, now: datetime) -> Status:
        """What the CRL at `url` tells of a certificate of `issuer`.

        Raises:
            StatusNotTold, StatusNotTrusted: as `ask`.
        """
        try:
            der = await fetch(self.http, url, _CRL_LIMITS, kind=CRL)
        except TransferError as error:
            raise _not_told(lists.SOURCE, error) from error
        return lists.look_up(der, url, certificate, issuer, now)


def _told_by_none(ways: Sequence[StatusNotTold]) -> StatusNotTold:
    """What it comes to that they told nothing: it is worth asking again as soon as one of them may."""
    passing = [each.retry_after or 0.0 for each in ways if each.is_passing]
    return StatusNotTold("; ".join(map(str, ways)), is_passing=bool(passing), retry_after=min(passing, default=None))


def _not_told(source: str, error: TransferError) -> StatusNotTold:
    return StatusNotTold(f"{source}: {error}", is_passing=error.is_passing, retry_after=error.retry_after)


def _first(setting: str, of_certificate: Sequence[str]) -> Sequence[str]:
    return (setting,) if setting else of_certificate[:1]


def _issued(authority: Certificate, certificate: Certificate) -> bool:
    return authority.subject_der == certificate.issuer_der and is_issued_by(certificate, authority)
