"""Plans of the statements that every buyer runs: none reads a table that grows with the sale."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.databases import TestDatabase
from waitline.postgres.sessions import SESSION

SQL = Path(__file__).parents[2] / "src/waitline/booking/sql"
HOT = {
    "reservations.sql": {"reserve", "cancel", "expire"},
    "payments.sql": {"begin_payment", "confirm_payment", "fail_payment"},
    "idempotency.sql": {"find_key"},
}
GROWING = "seat|visitor_seats|reservation|reserved_seat|payment|idempotency"
TABLES = set(GROWING.split("|"))

# A correlated EXISTS outside of a plain conjunction becomes a subplan, which PostgreSQL may run as
# a hash over the whole table. A scalar subquery has no such form.
EXISTS = re.compile(rf"EXISTS \(\s*SELECT (?:\w+ )?FROM (?:{GROWING}) AS", re.IGNORECASE)

BLOCKS = [
    pytest.param(name, body, id=name)
    for file, names in HOT.items()
    for name, body in re.findall(
        r"^-- name: (\w+)(\([^\n]*\n.*?)(?=^-- name:|\Z)",
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


@pytest.mark.parametrize(("name", "body"), BLOCKS)
def test_a_plan_made_before_the_sale_reads_growing_tables_by_index(
    postgres: TestDatabase, name: str, body: str
) -> None:
    """A plan is kept for as long as its connection, and the tables are empty at first."""
    postgres.empty()
    plan = postgres.wait(planned(postgres.url, body))
    read_whole = [
        (node["Node Type"], node["Relation Name"])
        for node in nodes(plan)
        if node.get("Relation Name") in TABLES
        and node["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan"}
        and "Index Cond" not in node
    ]
    assert read_whole == [], name


async def planned(url: str, block: str) -> Mapping[str, Any]:
    """Return the plan that a session of the service keeps."""
    head, _, text = block.partition("\n")
    parameters = re.findall(r"\w+", head[: head.rindex(")")])
    for number, parameter in enumerate(parameters, 1):
        text = re.sub(rf"(?<!:):{parameter}\b", f"${number}", text)
    connection = await asyncpg.connect(url, server_settings=SESSION)
    try:
        await connection.execute(f"PREPARE statement AS {text}")
        values = ", ".join(["NULL"] * len(parameters))
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE statement({values})")
    finally:
        await connection.close()
    plan: Mapping[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
