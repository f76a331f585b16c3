"""Holders' addresses, certificates issued elsewhere, and the audit."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0002"
down_revision = "0001"

_UNIQUE = {"uq": "%(table_name)s_%(column_0_name)s_key"}
"""As PostgreSQL names what has no name; SQLite gives none."""


def upgrade() -> None:
    """Every certificate so far has its issuer in it."""
    op.add_column("holders", sa.Column("name", sa.String(64)))
    op.add_column("holders", sa.Column("email", sa.String(254)))
    op.add_column("holders", sa.Column("language", sa.String(16), nullable=False, server_default="ja"))
    op.add_column("certificates", sa.Column("issuer", sa.LargeBinary(32)))
    _tell_issuers()
    with op.batch_alter_table("certificates", naming_convention=_UNIQUE) as table:
        table.alter_column("issuer", existing_type=sa.LargeBinary(32), nullable=False)
        table.drop_constraint("certificates_serial_key", type_="unique")
        table.create_unique_constraint("one_serial_an_issuer", ["issuer", "serial"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("act", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(64)),
        sa.Column("serial", sa.String(40)),
        sa.Column("detail", sa.String(256)),
    )


def _tell_issuers() -> None:
    """The SHA-256 over the DER of the issuer's name, into every row."""
    certificates = sa.table("certificates", sa.column("id"), sa.column("issuer"), sa.column("der"))
    connection = op.get_bind()
    rows = connection.execute(sa.select(certificates.c.id, certificates.c.der)).all()
    for number, der in rows:
        issuer = hashlib.sha256(x509.load_der_x509_certificate(der).issuer.public_bytes()).digest()
        connection.execute(certificates.update().where(certificates.c.id == number).values(issuer=issuer))
