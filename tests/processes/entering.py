"""Holders with certificates that can be renewed, as many as a test wants."""

from __future__ import annotations

from datetime import timedelta

from kiosk.ca import holders, ledger
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CertificateState
from kiosk.clock import system_clock
from kiosk.cmp.signing import Signer
from kiosk.credentials import HolderKind
from tests.ca.bank import new_key, subject


def enter(book: Ledger, authority: Authority, *names: str) -> list[Signer]:
    """By this machine's clock, all in one transaction."""
    now, signers = system_clock(), []
    begin, end = now - timedelta(days=300), now + timedelta(days=20)
    with book.begin() as connection:
        for name in names:
            key = new_key()
            certificate = authority.issue(subject(name), key.public_key, begin, end)
            holders.ensure(connection, name, HolderKind.USER, subject(name))
            ledger.record(connection, certificate, holder=name, state=CertificateState.VALID, now=now)
            signers.append(Signer(key, certificate, (authority.issuing,)))
    return signers
