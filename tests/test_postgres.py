"""The PostgreSQL that tests start: databases of one's own, a stop from which it recovers, and no server left behind."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.postgres import Postgres

_STARTS_AND_WAITS = """
from tests.postgres import running_postgres
with running_postgres() as server:
    print(server.pid, server.directory, flush=True)
    input()
"""


def names(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            return set(tables.scalars())
    finally:
        engine.dispose()


def create(url: str, table: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {table} (id integer)"))
    engine.dispose()


def test_every_database_is_a_new_one(postgres: Postgres) -> None:
    with postgres.database() as first, postgres.database() as second:
        create(first, "letters")
        assert (names(first), names(second)) == ({"letters"}, set())
        with postgres.database(like=first) as copied:
            assert names(copied) == {"letters"}
    with pytest.raises(Exception, match="does not exist"):
        names(first)


def test_what_was_committed_is_there_after_a_stop_at_once(postgres: Postgres) -> None:
    with postgres.database() as url:
        create(url, "letters")
        postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            postgres.connect()
        postgres.start()
        assert names(url) == {"letters"}


def test_it_ends_with_whoever_started_it_though_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid, directory = starter.stdout.readline().split()
        server = os.pidfd_open(int(pid))
        try:
            starter.kill()
            assert select.select([server], [], [], 60)[0], "the server goes on without its starter"
        finally:
            os.close(server)
            shutil.rmtree(directory)
