"""Whoever chooses reads along indexes, also in a SQLite that nobody has told to count its rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Select, text
from sqlalchemy.dialects import sqlite

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES
from kiosk.notices.due import Look, due_certificates, due_numbers, ending
from tests.notices.ledgers import enter
from tests.notices.samples import END, days_before

NOW = days_before(20)
LOOK = Look(frozenset({30, 10}), NOW)

QUERIES = {
    "a page of a run": due_numbers(LOOK),
    "everything of a page": due_certificates(LOOK),
    "one certificate": due_certificates(LOOK).where(CERTIFICATES.c.id == 1),
    "the report": ending(40, NOW),
}


@pytest.mark.parametrize("what", QUERIES)
def test_no_table_is_read_as_a_whole(book: Ledger, what: str) -> None:
    for number in range(3):
        enter(book, f"H{number}", END + timedelta(days=number))
    query: Select[tuple[object, ...]] = QUERIES[what]
    statement = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with book.read() as connection:
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
    assert [step for step in plan if step.startswith("SCAN")] == []
    assert not any("TEMP B-TREE" in step for step in plan), "the order is that of an index"
    [newer] = [step for step in plan if " newer " in step]
    assert "(holder=?)" in newer, "of all that are valid, only the holder's own are looked at"
    if what != "one certificate":
        assert any("certificates" in step and "state=? AND not_after>" in step for step in plan), plan
