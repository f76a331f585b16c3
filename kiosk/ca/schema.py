"""The tables of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class CertificateState(StrEnum):
    """What the CA thinks of a certificate."""

    UNCONFIRMED = "unconfirmed"
    """Issued, but nobody has said that it was stored: it signs no requests yet."""
    VALID = "valid"
    SUPERSEDED = "superseded"
    """Its confirmed successor has taken its place."""
    REVOKED = "revoked"


class UpdateState(StrEnum):
    """How far the update of one certificate to one new key has come."""

    ISSUED = "issued"
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    """The successor was rejected, replaced, or never confirmed in time."""


class Moment(TypeDecorator[datetime]):
    """An aware time, kept in UTC also by databases that know no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"known_{column}")


METADATA = MetaData()

HOLDERS = Table(
    "holders",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
)
"""Whose certificates they are; `kind` is `administrator` or `user`."""

CERTIFICATES = Table(
    "certificates",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("serial", String(40), nullable=False, unique=True),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("key_hash", LargeBinary(32), nullable=False, index=True),
    Column("holder", ForeignKey("holders.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("not_after", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("der", LargeBinary, nullable=False),
    _one_of("state", CertificateState),
)
"""Every certificate this CA has issued; `reason` is a CRLReason of RFC 5280 §5.3.1."""

UPDATES = Table(
    "updates",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("old", ForeignKey("certificates.id"), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, index=True),
    Column("new", ForeignKey("certificates.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("old", "key_hash"),
    _one_of("state", UpdateState),
)
"""One row for each old certificate and new key, whatever becomes of it: what a client asks anew finds it again."""

_CONFIRMED, _OPEN = text("state = 'confirmed'"), text("state = 'issued'")
Index("one_confirmed_successor", UPDATES.c.old, unique=True, sqlite_where=_CONFIRMED, postgresql_where=_CONFIRMED)
Index("one_open_successor", UPDATES.c.old, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("open_until", UPDATES.c.deadline, sqlite_where=_OPEN, postgresql_where=_OPEN)

TRANSACTIONS = Table(
    "transactions",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("signer", ForeignKey("certificates.id"), nullable=False),
    Column("update", ForeignKey("updates.id"), nullable=False),
    Column("certificate", ForeignKey("certificates.id"), nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("opened_at", Moment, nullable=False, index=True),
)
"""Transactions whose first message was granted; `nonce` is the one a `certConf` has to return."""

REFUSED_TRANSACTIONS = Table(
    "refused_transactions",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("refused_at", Moment, nullable=False, index=True),
)
"""Ids of transactions whose first message was protected as it must be, and refused."""
