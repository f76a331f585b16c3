"""One CRL, whose row is there before it."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Keep the newest; where there was none, number 0 stands for it."""
    crls = sa.table(
        "crls",
        sa.column("number", sa.Integer),
        sa.column("outdated", sa.Boolean),
        sa.column("this_update", sa.DateTime(timezone=True)),
        sa.column("next_update", sa.DateTime(timezone=True)),
        sa.column("der", sa.LargeBinary),
    )
    connection = op.get_bind()
    newest = connection.execute(sa.select(sa.func.max(crls.c.number))).scalar_one()
    if newest is not None:
        connection.execute(crls.delete().where(crls.c.number < newest))
        return
    never = datetime.fromtimestamp(0, UTC)
    connection.execute(crls.insert().values(number=0, outdated=True, this_update=never, next_update=never, der=b""))
