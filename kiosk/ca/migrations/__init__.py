"""How the tables of a ledger came to be what `kiosk.ca.schema` says: one revision after the other, by alembic.

A new ledger is made from the schema at once. An older one goes through the revisions in `versions`; a test takes
ledgers of every revision through, on SQLite and on PostgreSQL, and compares what comes out with the schema.

To change a table:

1. Change `kiosk.ca.schema`.
2. Add `versions/rNNNN_WHAT.py` with the next number as its `revision` and the last one as its `down_revision`. Its
   `upgrade()` does the same to tables with rows in them; SQLite changes or drops a column or a constraint only in a
   `batch_alter_table`. Whatever it needs of the schema or of other modules is copied into it, because it must do in
   years what it does today.
3. Set `NEWEST`.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, func, insert, inspect, select

from kiosk.ca.database import is_postgres
from kiosk.ca.schema import METADATA, fill

NEWEST = "0004"
"""The revision that `kiosk.ca.schema` is."""

REVISION = Table("ledger_revision", MetaData(), Column("number", String(32), primary_key=True))
"""One row: the revision of the other tables."""

_BY_USER_VERSION = {2: "0001", 3: "0002"}
"""What ledgers were marked by before there was that table, in SQLite only."""
_UNKNOWN = "unknown"
_ROWS_AT_ONCE = 1000


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables in this database; None where there are none."""
    names = inspect(connection).get_table_names()
    if REVISION.name in names:
        number: str = connection.execute(select(REVISION.c.number)).scalar_one()
        return number
    if not names:
        return None
    if is_postgres(connection):
        return _UNKNOWN
    return _BY_USER_VERSION.get(connection.exec_driver_sql("PRAGMA user_version").scalar_one(), _UNKNOWN)


def is_older(revision: str) -> bool:
    """Whether this program can bring such tables to its own revision."""
    # Only who needs it waits for alembic to be imported.
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent)).walk_revisions()
    return revision != NEWEST and revision in {script.revision for script in scripts}


def make(connection: Connection) -> None:
    """The newest tables, in an empty database."""
    METADATA.create_all(connection)
    fill(connection)
    _mark(connection, NEWEST)


def copy(source: Connection, target: Connection) -> None:
    """Everything in a ledger with the newest tables, into an empty PostgreSQL."""
    METADATA.create_all(target)
    for table in METADATA.sorted_tables:
        for rows in source.execute(select(table)).mappings().partitions(_ROWS_AT_ONCE):
            target.execute(insert(table), [dict(row) for row in rows])
        number = table.autoincrement_column
        if number is not None:
            newest = func.max(number)
            sequence = func.pg_get_serial_sequence(table.name, number.name)
            target.execute(select(func.setval(sequence, newest)).having(newest > 0))
    _mark(target, NEWEST)


def upgrade(connection: Connection, until: str = NEWEST) -> None:
    """Bring tables of an older revision, or an empty database, to this one, in the transaction of this connection."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    ahead = list(scripts.iterate_revisions(until, revision_of(connection) or "base"))
    with Operations.context(MigrationContext.configure(connection)):
        for script in reversed(ahead):
            script.module.upgrade()
    _mark(connection, until)


def _mark(connection: Connection, revision: str) -> None:
    REVISION.create(connection, checkfirst=True)
    connection.execute(delete(REVISION))
    connection.execute(insert(REVISION).values(number=revision))
    if not is_postgres(connection):
        # No version of this program that goes by it takes such a ledger for one of its own.
        connection.exec_driver_sql("PRAGMA user_version = 0")
