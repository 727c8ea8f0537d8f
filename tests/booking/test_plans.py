"""Plans of the statements that every buyer runs: none reads a table that grows with the sale."""

import re
from pathlib import Path

import pytest

SQL = Path(__file__).parents[2] / "src/waitline/booking/sql"
HOT = {
    "reservations.sql": {"reserve", "cancel", "expire"},
    "payments.sql": {"begin_payment", "confirm_payment", "fail_payment"},
    "idempotency.sql": {"find_key"},
}
GROWING = "seat|visitor_seats|reservation|reserved_seat|payment|idempotency"

# A correlated EXISTS outside of a plain conjunction becomes a subplan, which PostgreSQL may run as
# a hash over the whole table. A scalar subquery has no such form.
EXISTS = re.compile(rf"EXISTS \(\s*SELECT (?:\w+ )?FROM (?:{GROWING}) AS", re.IGNORECASE)

BLOCKS = [
    pytest.param(name, body, id=name)
    for file, names in HOT.items()
    for name, body in re.findall(
        r"^-- name: (\w+)\([^\n]*\n(.*?)(?=^-- name:|\Z)",
        (SQL / file).read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    if name in names
]


def test_all_are_there() -> None:
    assert {block.id for block in BLOCKS} == {name for names in HOT.values() for name in names}


@pytest.mark.parametrize(("name", "body"), BLOCKS)
def test_no_growing_table_is_asked_by_exists(name: str, body: str) -> None:
    assert not EXISTS.search(body), name
