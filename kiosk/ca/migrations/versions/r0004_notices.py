"""Notices: the mails about a certificate's end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_UNDER_WAY = sa.text("state = 'sending'")


def upgrade() -> None:
    """None have gone out so far."""
    known = "state IN ('sending', 'sent', 'deferred', 'refused', 'unreachable', 'skipped')"
    op.create_table(
        "notices",
        sa.Column("certificate", sa.Integer, sa.ForeignKey("certificates.id"), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message_id", sa.String(320), nullable=False),
        sa.Column("address", sa.String(254)),
        sa.Column("days_left", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease", sa.DateTime(timezone=True)),
        sa.Column("error", sa.String(200)),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(known, name="known_state"),
    )
    op.create_index("ix_notices_changed_at", "notices", ["changed_at"])
    op.create_index("notices_under_way", "notices", ["lease"], sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY)
