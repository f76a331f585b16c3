"""How long PostgreSQL lets transactions take, as they find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, Engine, event

_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout")


@contextmanager
def limits_at(*beginnings: str) -> Iterator[set[tuple[str, str]]]:
    """What they are for every statement that begins like one of these."""
    found = set()

    def look(connection: Connection, _: object, statement: str, *__: object) -> None:
        if connection.dialect.name == "postgresql" and statement.startswith(beginnings):
            with closing(connection.connection.cursor()) as cursor:
                for name in _LIMITS:
                    cursor.execute(f"SHOW {name}")
                    (value,) = cursor.fetchone() or ("",)
                    found.add((name, value))

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", look)
