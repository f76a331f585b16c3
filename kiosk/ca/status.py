"""What the CA tells everybody of its certificates: OCSP, and a CRL that is there before anybody asks for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kiosk.ca import crl, promises, succession
from kiosk.ca.authority import Authority
from kiosk.ca.crl import Crl
from kiosk.ca.ledger import Ledger
from kiosk.ca.ocsp import OcspAnswer, OcspResponder
from kiosk.ca.policy import OldCertificate, Policy

Sleep = Callable[[float], Awaitable[None]]
_LOOK_EVERY = 5.0
"""Seconds between two looks for a revocation that somebody else has entered, a teller or another CA process."""
_SUPERSEDE_EVERY = timedelta(minutes=5)
_MOST_AT_ONCE = 1000
"""Certificates superseded in one look, which the CRL waits for."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TellableCrl:
    """A CRL, and for how many seconds a cache may keep it."""

    crl: Crl
    seconds: int


class StatusService:
    """Of one authority, out of one ledger. Whatever it tells is signed, so anybody may carry it."""

    def __init__(
        self, authority: Authority, book: Ledger, policy: Policy, *, most_at_once: int = _MOST_AT_ONCE
    ) -> None:
        self.authority = authority
        self._policy = policy
        self._book = book
        self._responder = OcspResponder(authority, book, policy)
        self._most_at_once = most_at_once
        self._superseded_at: datetime | None = None

    async def ocsp(self, request: bytes) -> OcspAnswer:
        """Answer an OCSPRequest, or whatever came in its place."""
        return await asyncio.to_thread(self._responder.answer, request)

    async def crl(self) -> TellableCrl:
        """The newest CRL: made anew if a revocation is not on it, whoever has entered that."""
        return await asyncio.to_thread(self._crl)

    async def keep(self, sleep: Sleep = asyncio.sleep) -> None:
        """Make the CRL when it is due, also when nobody asks for it; until this is cancelled.

        What was not confirmed or decided in time comes to nothing here, so that it is on the CRL too.
        """
        while True:
            try:
                await asyncio.to_thread(self._look)
            # A full disk now is no reason to make none later.
            except Exception:
                _LOG.exception("the CRL could not be kept up to date")
            await sleep(_LOOK_EVERY)

    def _crl(self) -> TellableCrl:
        now = self._book.now()
        newest = crl.up_to_date(self._book, self.authority, self._policy, now)
        kept = min(newest.next_update - now, self._policy.status_life)
        return TellableCrl(newest, max(0, int(kept.total_seconds())))

    def _look(self) -> None:
        with self._book.read() as connection:
            now = self._book.now(connection)
            overdue = promises.is_any_overdue(connection, now)
        if overdue:
            with self._book.begin() as connection:
                succession.lapse(connection, now)
        self._supersede(now)
        crl.up_to_date(self._book, self.authority, self._policy, now)

    def _supersede(self, now: datetime) -> None:
        """Supersede what has been replaced for as long as the policy lets it stay valid.

        Where it lets nothing, once: for what an earlier policy has let.
        """
        policy, last = self._policy, self._superseded_at
        if policy.old_certificate is OldCertificate.KEPT:
            return
        if last is not None and (policy.supersedes_at_once or abs(now - last) < _SUPERSEDE_EVERY):
            return
        with self._book.read() as connection:
            due = succession.replaced_since(connection, now - policy.superseded_after, now, self._most_at_once)
        # One after the other, so that nobody who renews meanwhile waits for all of them.
        for old in due:
            with self._book.begin() as connection:
                succession.supersede(connection, old, now)
        if len(due) < self._most_at_once:
            self._superseded_at = now
