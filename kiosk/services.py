"""What a kiosk works with, visit after visit, made from its settings."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kiosk.certificates import (
    Certificate,
    UnreadableCertificate,
    UntrustedCertificate,
    chain_of,
    check_path,
    is_issued_by,
    read_certificate_file,
)
from kiosk.clock import Clock, system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.peer import Peer
from kiosk.cmp.retry import NEVER, Retry
from kiosk.cmp.transfer import Limits, open_http_client
from kiosk.journal import Journal
from kiosk.revocation.check import RevocationCheck
from kiosk.settings import BranchSettings, CaSettings, Policy, Settings, SettingsError
from kiosk.staff_calls import TIME_LIMIT, StaffCalls
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.pc import PcStore
from kiosk.tokens.token import Token


@dataclass(frozen=True, slots=True)
class Services:
    """CA, trust, rules, journal, clock and staff of one kiosk."""

    ca: CmpClient
    anchors: Anchors
    revocation: RevocationCheck
    """Asks whether a customer's certificate is revoked."""
    policy: Policy
    journal: Journal
    clock: Clock
    staff: StaffCalls
    help_page: str
    """Address of the page about tokens and their software."""
    retry: Retry = NEVER
    """How a fault of the way to the CA is got over."""
    pc: PcStore | None = None
    """This PC's certificate database, where policy offers it."""

    @property
    def peer(self) -> Peer:
        """What the CA knows and promises."""
        return self.ca.peer

    async def inventory_of(self, store: Token) -> Inventory:
        """What lies in `store`, as the steps of a visit look at it (`Inventory.trusted_or_begun`).

        Raises:
            StoreFault
        """
        return self.anchors.ours_or_begun_in(await store.inventory(), self.clock())


@dataclass(frozen=True, slots=True)
class Anchors:
    """The CA certificates under which customers' certificates are issued."""

    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...]

    def chain_of(self, certificate: Certificate) -> tuple[Certificate, ...]:
        """The intermediates between `certificate` and its root, the issuer first."""
        return chain_of(certificate, self.intermediates)

    def authority_of(self, certificate: Certificate) -> str:
        """Common name of the intermediate that has issued it; empty where no pinned one has."""
        return next((each.common_name for each in self.chain_of(certificate)), "")

    def has_issued(self, certificate: Certificate, now: datetime) -> bool:
        """Whether a path leads from it to a root; also from one that has ended, or by a slow clock not yet begun."""
        at = max(certificate.not_before, min(now, certificate.not_after))
        try:
            check_path(certificate, roots=self.roots, intermediates=self.intermediates, at=at)
        except UntrustedCertificate:
            return False
        return True

    def ours_in(self, inventory: Inventory, now: datetime) -> Inventory:
        """`inventory` without the credentials of other issuers (`Inventory.trusted`)."""
        return inventory.trusted(lambda each: self.has_issued(each, now))

    def ours_or_begun_in(self, inventory: Inventory, now: datetime) -> Inventory:
        """`inventory` without what others have issued, but with what was begun (`Inventory.trusted_or_begun`)."""
        return inventory.trusted_or_begun(lambda each: self.has_issued(each, now))


@asynccontextmanager
async def open_services(settings: Settings, clock: Clock = system_clock) -> AsyncIterator[Services]:
    """Open what `settings` names, and close it again.

    Raises:
        SettingsError: a file that the settings name is missing or holds nothing usable.
        KioskError: K-02, the journal cannot be written.
    """
    anchors = read_anchors(Path(settings.ca.roots))
    trust = trust_of(settings.ca, anchors)
    limits = Limits(total_seconds=settings.ca.time_limit)
    try:
        http = open_http_client(Path(settings.ca.tls_roots), limits)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ca.tls_roots: {settings.ca.tls_roots} holds no certificates") from error
    async with http:
        ca = CmpClient(http, settings.ca.url, trust, peer=settings.ca.peer, clock=clock, limits=limits)
        with Journal(Path(settings.journal), clock) as journal:
            async with _open_staff_calls(settings.branch, journal, clock) as staff:
                yield Services(
                    ca=ca,
                    anchors=anchors,
                    revocation=RevocationCheck(
                        http=http,
                        authorities=(*anchors.intermediates, *anchors.roots),
                        rule=settings.ca.revocation,
                        ocsp_url=settings.ca.ocsp_url,
                        crl_url=settings.ca.crl_url,
                    ),
                    policy=settings.policy,
                    journal=journal,
                    clock=clock,
                    staff=staff,
                    help_page=settings.branch.help_page,
                    retry=Retry(total=settings.ca.retry_seconds, longest=settings.ca.retry_longest_wait),
                    pc=_pc_store(settings),
                )


def _pc_store(settings: Settings) -> PcStore | None:
    """What it needs of its own lies beside the journal, where the kiosk can write."""
    if not settings.pc.offered:
        return None
    return PcStore(settings.pc, Path(settings.journal).absolute().parent / "p11-kit", os.geteuid())


@asynccontextmanager
async def _open_staff_calls(branch: BranchSettings, journal: Journal, clock: Clock) -> AsyncIterator[StaffCalls]:
    """A connection of its own, with its own trust: the CA's is none of the branch's business."""
    roots = Path(branch.help_tls_roots) if branch.help_tls_roots else None
    try:
        http = open_http_client(roots, Limits(connect_seconds=TIME_LIMIT, total_seconds=TIME_LIMIT))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"branch.help_tls_roots: {roots} holds no certificates") from error
    async with http:
        yield StaffCalls(http, branch.help_url, f"{branch.branch} {branch.kiosk}".strip(), journal, clock)


def trust_of(ca: CaSettings, anchors: Anchors) -> Trust:
    """Whose answers count by these settings.

    Raises:
        SettingsError: the pinned signers cannot be read.
    """
    try:
        pinned = read_certificate_file(Path(ca.pinned_signers)) if ca.pinned_signers else ()
    except UnreadableCertificate as error:
        raise SettingsError(f"ca.pinned_signers: {error}") from error
    return Trust(
        roots=anchors.roots,
        intermediates=anchors.intermediates,
        pinned_signers=pinned,
        signer_purpose=ca.peer.signer_purpose,
        signer_rule=ca.peer.signer_rule,
    )


def read_anchors(path: Path) -> Anchors:
    """Read a PEM file of roots and intermediates.

    Raises:
        SettingsError: it cannot be read, or holds no root.
    """
    try:
        found = read_certificate_file(path)
    except UnreadableCertificate as error:
        raise SettingsError(f"ca.roots: {error}") from error
    roots = tuple(each for each in found if each.subject_der == each.issuer_der and is_issued_by(each, each))
    if not roots:
        raise SettingsError(f"ca.roots: {path} holds no root certificate")
    return Anchors(roots, tuple(each for each in found if each not in roots))
