"""The teller's commands. Each is one short transaction in the ledger, whether or not a server has it open."""

from __future__ import annotations

from kiosk.ca.office.certificate import certificate
from kiosk.ca.office.code import code, make_code
from kiosk.ca.office.export import export
from kiosk.ca.office.holder import holder
from kiosk.ca.office.issue import issue
from kiosk.ca.office.lists import list_
from kiosk.ca.office.opening import DIRECTORY, FAULTS, Office, opened
from kiosk.ca.office.revocation import current_crl, revoke
from kiosk.ca.office.waiting import approve, refuse

COMMANDS = (holder, certificate, issue, code, approve, refuse, revoke, list_, current_crl, export)
"""Those of a teller."""

__all__ = ["COMMANDS", "DIRECTORY", "FAULTS", "Office", "make_code", "opened"]
