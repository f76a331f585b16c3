"""The first tables that were kept: renewals, one-time codes, additional certificates."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_CODE_OPEN = sa.text("state = 'open'")
_CONFIRMED = sa.text("kind = 'update' AND state = 'confirmed'")
_PENDING = sa.text("state IN ('waiting', 'issued')")


def upgrade() -> None:
    """Make them, in an empty database."""
    op.create_table(
        "holders",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
    )
    _make_certificates()
    _make_codes()
    _make_promises()
    _make_transactions()
    op.create_table(
        "crls",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("outdated", sa.Boolean, nullable=False),
        _moment("this_update"),
        _moment("next_update"),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )


def _make_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("serial", sa.String(40), nullable=False, unique=True),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False, index=True),
        sa.Column("holder", sa.String(64), sa.ForeignKey("holders.id"), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32)),
        _moment("not_after"),
        _moment("made_at"),
        _moment("changed_at"),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("state IN ('unconfirmed', 'valid', 'superseded', 'revoked')", name="known_state"),
    )
    op.create_index("revoked_since", "certificates", ["state", "not_after"])


def _make_codes() -> None:
    op.create_table(
        "codes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("holder", sa.String(64), sa.ForeignKey("holders.id"), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        _moment("expires_at"),
        _moment("made_at"),
        _moment("changed_at"),
        sa.CheckConstraint("state IN ('open', 'used', 'replaced')", name="known_state"),
    )
    _index("one_open_code", "codes", ["holder"], _CODE_OPEN, unique=True)
    op.create_table(
        "tries",
        sa.Column("reference", sa.LargeBinary(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True)),
        _moment("tried_at", index=True),
    )


def _make_promises() -> None:
    op.create_table(
        "promises",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("by_certificate", sa.Integer, sa.ForeignKey("certificates.id"), index=True),
        sa.Column("by_code", sa.Integer, sa.ForeignKey("codes.id"), unique=True),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("new", sa.Integer, sa.ForeignKey("certificates.id"), index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
        _moment("deadline"),
        _moment("made_at"),
        _moment("changed_at"),
        sa.CheckConstraint("(kind = 'code') = (by_code IS NOT NULL)", name="code_has_a_code"),
        sa.CheckConstraint("(by_code IS NULL) <> (by_certificate IS NULL)", name="one_asker"),
        sa.CheckConstraint("state NOT IN ('issued', 'confirmed') OR new IS NOT NULL", name="issued_has_a_certificate"),
        sa.CheckConstraint("kind IN ('update', 'code', 'additional')", name="known_kind"),
        sa.CheckConstraint("state IN ('waiting', 'issued', 'confirmed', 'revoked', 'refused')", name="known_state"),
    )
    _index("one_confirmed_successor", "promises", ["by_certificate"], _CONFIRMED, unique=True)
    _index("one_pending_promise", "promises", ["kind", "by_certificate"], _PENDING, unique=True)
    _index("pending_until", "promises", ["deadline"], _PENDING)


def _make_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("promise", sa.Integer, sa.ForeignKey("promises.id"), nullable=False, index=True),
        sa.Column("certificate", sa.Integer, sa.ForeignKey("certificates.id")),
        sa.Column("body_type", sa.Integer, nullable=False),
        sa.Column("modified", sa.Boolean, nullable=False),
        sa.Column("implicit", sa.Boolean, nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        _moment("opened_at", index=True),
    )
    op.create_table(
        "ended_transactions",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        _moment("ended_at", index=True),
    )


def _moment(name: str, *, index: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, index=index)


def _index(name: str, table: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
