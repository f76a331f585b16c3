"""A CA's directory, opened for one command."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from kiosk.ca.authority import Authority, AuthorityDamaged, load_authority
from kiosk.ca.holders import HolderRefused
from kiosk.ca.ledger import Ledger, LedgerDamaged
from kiosk.ca.office.csv_files import FileRefused
from kiosk.ca.options import DIRECTORY, passphrase_file
from kiosk.ca.policy import Policy, PolicyError, load_policy
from kiosk.ca.vault import VaultDamaged

__all__ = ["DIRECTORY", "FAULTS", "Office", "opened"]

FAULTS = (AuthorityDamaged, LedgerDamaged, PolicyError, VaultDamaged, HolderRefused, FileRefused, OSError)
"""What a command tells in one line."""


@dataclass(frozen=True, slots=True)
class Office:
    """An authority, its rules and its ledger at one moment."""

    authority: Authority
    policy: Policy
    book: Ledger
    now: datetime

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction in the ledger by whoever gives the command."""
        return self.book.begin(by=_teller())


@contextmanager
def opened(directory: Path) -> Iterator[Office]:
    """Open it, and tell what goes wrong in one line.

    Raises:
        ClickException: something is missing or damaged, or what was asked cannot be.
    """
    try:
        authority = load_authority(directory.absolute(), passphrase_file=passphrase_file())
        policy = load_policy(authority.directory)
        with Ledger.open_beside(authority.directory) as book:
            yield Office(authority, policy, book, book.now())
    except FAULTS as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        # Its own text would repeat the statement and everything that was to be entered.
        raise click.ClickException(f"the ledger did not take it: {error.orig}") from error


def _teller() -> str:
    """The operating-system user, by the kernel's word and not the environment's."""
    number = os.getuid()
    try:
        return f"teller {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"teller {number}"
