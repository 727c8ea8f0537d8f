"""The demo concert: as the contract says, however often it is loaded and whatever was there."""

import asyncpg
import pytest

from tests.booking.sale import reserve
from tests.databases import TestDatabase
from waitline.booking import demo
from waitline.kernel.ids import DEMO_ROOM

# Seconds for what takes well under one, on a machine that others use too.
SOON_S = 20.0

GRADES = [("VIP", 50_000, 1), ("R", 40_000, 2_501), ("S", 30_000, 5_001), ("A", 20_000, 7_501)]


def load(postgres: TestDatabase) -> demo.DemoSize:
    return postgres.wait(demo.load(postgres.database))


def count(postgres: TestDatabase, table: str) -> int:
    number: int = postgres.wait(postgres.sql(f"SELECT count(*) FROM {table}"))[0][0]  # noqa: S608 - ours
    return number


def assert_on_sale(postgres: TestDatabase) -> None:
    rows = postgres.wait(
        postgres.sql(
            "SELECT grade, price, min(seat_id), max(seat_id), count(*) FROM seat "
            "WHERE schedule_id = 1 AND state = 'AVAILABLE' GROUP BY 1, 2 ORDER BY 3"
        )
    )
    assert [tuple(row) for row in rows] == [
        (grade, price, first, first + 2_499, 2_500) for grade, price, first in GRADES
    ]
    room = postgres.wait(postgres.sql("SELECT room FROM concert WHERE concert_id = 1"))
    assert room[0]["room"] == "1"


def test_it_is_as_large_as_it_says(postgres: TestDatabase) -> None:
    loaded = load(postgres)
    tables = ("concert", "schedule", "seat")
    assert loaded == tuple(count(postgres, table) for table in tables) == (1, 1, 10_000)
    assert_on_sale(postgres)


def test_every_seat_has_its_neighbours(postgres: TestDatabase) -> None:
    load(postgres)
    rows = postgres.wait(
        postgres.sql(
            "SELECT count(*) AS seats, max(row_position) AS last FROM seat "
            "GROUP BY section, row_name"
        )
    )
    assert {tuple(row) for row in rows} == {(50, 50)}
    assert len(rows) == 200


def test_what_was_booked_is_forgotten(postgres: TestDatabase) -> None:
    def reserved(user: int) -> None:
        asked = reserve(user, user)
        (row,) = postgres.wait(postgres.database.fetch_all("reserve", within_s=SOON_S, **asked))
        assert row["outcome"] == "reserved"

    load(postgres)
    for user in (1, 2, 3):
        reserved(user)
    load(postgres)
    assert_on_sale(postgres)
    for table in ("reservation", "reserved_seat", "visitor_seats", "payment", "outbox"):
        assert count(postgres, table) == 0
    reserved(1)


def operators_concert(postgres: TestDatabase) -> None:
    """Put a concert of an operator on sale, sell a seat of it, and pay for it."""
    postgres.wait(
        postgres.sql(
            "WITH c AS (INSERT INTO concert (title, venue, room) VALUES ('ours', 'x', '1') "
            "           RETURNING concert_id), "
            "s AS (INSERT INTO schedule (concert_id, starts_at) "
            "      SELECT concert_id, '2999-01-01' FROM c "
            "      RETURNING schedule_id) "
            "INSERT INTO seat (schedule_id, section, row_name, row_no, row_position, "
            "                  seat_number, grade, price) "
            "SELECT schedule_id, 'VIP', '1', 1, n, 'VIP-1-' || 61 - n, 'VIP', 1 "
            "FROM s, generate_series(1, 60) AS n"
        )
    )
    (row,) = postgres.wait(
        postgres.sql(
            "SELECT schedule_id, min(seat_id) AS seat FROM seat JOIN schedule USING (schedule_id) "
            "JOIN concert USING (concert_id) WHERE title = 'ours' GROUP BY 1"
        )
    )
    (made,) = postgres.wait(
        postgres.sql(
            "INSERT INTO reservation (schedule_id, user_id, state, amount, expires_at) "
            "VALUES ($1, 'ann', 'CONFIRMED', 1, now()) RETURNING reservation_id",
            row["schedule_id"],
        )
    )
    number = made["reservation_id"]
    for statement, values in (
        (HELD, [number, row["seat"]]),
        (PAID, [number]),
        (COUNTED, [row["schedule_id"]]),
        (SENT, [number]),
        ("UPDATE seat SET state = 'OCCUPIED' WHERE seat_id = $1", [row["seat"]]),
    ):
        postgres.wait(postgres.sql(statement, *values))


HELD = "INSERT INTO reserved_seat (reservation_id, seat_id, price) VALUES ($1, $2, 1)"
PAID = """
    INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at, paid_at)
    VALUES ($1, 'ann', 1, 'CARD', 'COMPLETED', now(), now())
"""
COUNTED = "INSERT INTO visitor_seats (schedule_id, user_id, seats) VALUES ($1, 'ann', 1)"
SENT = """
    INSERT INTO outbox (topic, payload)
    VALUES ('t', jsonb_build_object('reservationId', $1::bigint, 'concertId', '1'))
"""
BOOKED = ("reservation", "reserved_seat", "visitor_seats", "payment", "outbox")


def of_the_operator(postgres: TestDatabase) -> dict[str, list[str]]:
    """Return all rows that are not the demo's, as text."""
    of_theirs = (
        "schedule_id IN (SELECT schedule_id FROM schedule JOIN concert USING (concert_id) "
        "WHERE title = 'ours')"
    )
    where = {
        "concert": "title = 'ours'",
        "schedule": of_theirs,
        "seat": of_theirs,
        "visitor_seats": of_theirs,
    }
    return {
        table: [
            row["whole"]
            for row in postgres.wait(
                postgres.sql(
                    f"SELECT t::text AS whole FROM {table} AS t "  # noqa: S608 - ours
                    f"WHERE {where.get(table, 'true')} ORDER BY 1"
                )
            )
        ]
        for table in ("concert", "schedule", "seat", *BOOKED)
    }


def test_concert_one_of_an_operator_is_not_touched(postgres: TestDatabase) -> None:
    """Whatever its numbers and its room are: the demo is put on sale beside it."""
    operators_concert(postgres)
    theirs = of_the_operator(postgres)
    assert all(theirs.values())
    for _ in range(2):
        assert load(postgres) == (1, 1, 10_000)
        assert of_the_operator(postgres) == theirs
        rows = postgres.wait(
            postgres.sql(
                "SELECT c.concert_id, schedule_id, count(*) AS seats, "
                "       max(seat_id) - min(seat_id) + 1 AS ids "
                "FROM seat JOIN schedule USING (schedule_id) JOIN concert AS c USING (concert_id) "
                "WHERE origin = 'demo' AND state = 'AVAILABLE' GROUP BY 1, 2"
            )
        )
        assert [tuple(row) for row in rows] == [(2, 2, 10_000, 10_000)]


def test_only_bookings_of_the_demo_are_forgotten(postgres: TestDatabase) -> None:
    load(postgres)
    operators_concert(postgres)
    theirs = of_the_operator(postgres)
    asked = reserve(7, 7)
    (row,) = postgres.wait(postgres.database.fetch_all("reserve", within_s=SOON_S, **asked))
    assert row["outcome"] == "reserved"
    during = {table: count(postgres, table) for table in BOOKED}
    assert during["reservation"] == 2
    load(postgres)
    assert of_the_operator(postgres) == theirs
    assert {table: count(postgres, table) for table in BOOKED} == dict.fromkeys(BOOKED, 1)
    assert_on_sale(postgres)


def test_a_database_in_production_has_no_demo(postgres: TestDatabase) -> None:
    postgres.wait(postgres.sql("INSERT INTO installation (mode) VALUES ('production')"))
    with pytest.raises(asyncpg.PostgresError, match="no demo concert in production"):
        load(postgres)
    assert count(postgres, "concert") == 0


def test_its_room_is_the_one_it_says(postgres: TestDatabase) -> None:
    load(postgres)
    (row,) = postgres.wait(postgres.sql("SELECT room FROM concert"))
    assert row["room"] == DEMO_ROOM


def test_it_comes_by_itself_only_where_nothing_is_on_sale(postgres: TestDatabase) -> None:
    assert postgres.wait(demo.load_first(postgres.database))
    postgres.wait(postgres.sql("UPDATE concert SET title = 'ours'"))
    assert not postgres.wait(demo.load_first(postgres.database))
    assert postgres.wait(postgres.sql("SELECT title FROM concert"))[0]["title"] == "ours"
