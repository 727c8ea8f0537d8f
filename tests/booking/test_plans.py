"""Plans of the statements that every buyer runs: none reads a table that grows with the sale."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.databases import TestDatabase
from waitline.kernel import includes
from waitline.postgres.sessions import SESSION

SQL = Path(__file__).parents[2] / "src/waitline/booking/sql"
HOT = {
    "reservations.sql": {"reserve", "find_reservation", "cancel", "expire", "lapsed_reservations"},
    "own_reservations.sql": {"reservation_rooms", "own_reservations"},
    "payments.sql": {
        "begin_payment",
        "confirm_payment",
        "fail_payment",
        "find_payment",
        "refunded_payment",
        "unsettled_payments",
    },
    "money.sql": {"authenticate_payment", "move_money"},
    "idempotency.sql": {"find_key", "keep_answer", "forget_keys"},
}
GROWING = "seat|visitor_seats|reservation|reserved_seat|payment|idempotency"
TABLES = {*GROWING.split("|"), "cooldown", "held_seat", "removed_seat", "reservation_note"}

SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}

# A sale half way: most is paid for, some is held, few payments are open.
SOLD = [
    "INSERT INTO concert (title, venue, room) VALUES ('x', 'x', 'x')",
    """INSERT INTO schedule (concert_id, starts_at)
        SELECT max(concert_id), now() + interval '9 days' FROM concert""",
    """INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, price)
        SELECT max(schedule_id), 'A', (n / 100)::text, n % 100 + 1, n::text, 'VIP', 100
        FROM schedule, generate_series(1, 4000) AS n GROUP BY n""",
    """INSERT INTO visitor_seats (schedule_id, user_id, holder, seats)
        SELECT schedule_id, seat_number, '1-1', 1 FROM seat LIMIT 3000""",
    """INSERT INTO reservation (schedule_id, user_id, holder, amount, expires_at, state)
        SELECT schedule_id, user_id, holder, 100, now() + interval '300 s',
            CASE WHEN user_id::int % 5 = 0 THEN 'PENDING' ELSE 'CONFIRMED' END
        FROM visitor_seats""",
    """INSERT INTO reserved_seat (reservation_id, seat_id, price)
        SELECT reservation_id, seat_id, 100 FROM reservation JOIN seat
            ON user_id = seat_number AND seat.schedule_id = reservation.schedule_id""",
    """INSERT INTO payment (reservation_id, user_id, amount, method, look_at, state)
        SELECT reservation_id, user_id, 100, 'CARD', now(),
            CASE WHEN user_id::int % 200 = 1 THEN 'PENDING' ELSE 'COMPLETED' END
        FROM reservation WHERE state = 'CONFIRMED'""",
    """INSERT INTO idempotency
            (user_id, holder, idempotency_key, request, language, done, reservation_id)
        SELECT user_id, holder, 'k', decode(repeat('00', 32), 'hex'), 'ko', 'reserved',
            reservation_id
        FROM reservation""",
    "ANALYZE",
]

# A correlated EXISTS outside of a plain conjunction becomes a subplan, which PostgreSQL may run as
# a hash over the whole table. A scalar subquery has no such form.
EXISTS = re.compile(rf"EXISTS \(\s*SELECT (?:\w+ )?FROM (?:{GROWING}) AS", re.IGNORECASE)

BLOCKS = [
    pytest.param(name, body, id=name)
    for file, names in HOT.items()
    for name, body in re.findall(
        r"^-- name: (\w+)(\([^\n]*\n.*?)(?=^-- name:|\Z)",
        includes.assemble(SQL, file),
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
def test_a_plan_made_before_the_sale_reads_growing_tables_by_key(
    postgres: TestDatabase, name: str, body: str
) -> None:
    """A plan is kept for as long as its connection, and the tables are new at first."""
    postgres.renew()
    assert read_whole(postgres.wait(planned(postgres.url, body))) == [], name


def test_a_plan_made_in_the_sale_reads_growing_tables_by_key(postgres: TestDatabase) -> None:
    """The plan of a connection that is opened later, with the tables' statistics at hand."""
    postgres.empty()
    for statement in SOLD:
        postgres.wait(postgres.sql(statement))
    found = {
        str(block.id): read_whole(postgres.wait(planned(postgres.url, str(block.values[1]))))
        for block in BLOCKS
    }
    assert found == {name: [] for name in found}


def read_whole(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parts of a plan that read a growing table, or an index of it, from end to end."""
    found = []
    for node in nodes(plan):
        if node.get("Relation Name") not in TABLES:
            continue
        scans = [node]
        if node["Node Type"] == "Bitmap Heap Scan":
            scans = [below for below in nodes(node) if below["Node Type"] == "Bitmap Index Scan"]
        found += [
            (scan["Node Type"], scan.get("Index Name", node["Relation Name"]))
            for scan in scans
            if scan["Node Type"] in SCANS and "Index Cond" not in scan
        ]
    return found


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
