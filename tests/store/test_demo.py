"""The demo concert: as the contract says, however often it is loaded and whatever was there."""

from tests.booking.sale import reserve
from tests.databases import TestDatabase
from waitline.booking import demo

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


def test_what_others_put_in_its_place_makes_room(postgres: TestDatabase) -> None:
    postgres.wait(
        postgres.sql(
            "WITH c AS (INSERT INTO concert (title, venue, room) "
            "           SELECT 'x', 'x', 'x' FROM generate_series(1, 2) RETURNING concert_id), "
            "s AS (INSERT INTO schedule (concert_id, starts_at) "
            "      SELECT concert_id, timestamptz '2999-01-01' FROM c "
            "      RETURNING schedule_id) "
            "SELECT FROM s"
        )
    )
    postgres.wait(
        postgres.sql(
            "INSERT INTO seat (schedule_id, section, row_name, row_no, row_position, "
            "                  seat_number, grade, price, state) "
            "SELECT 1 + n % 2, 'VIP', '1', 1, n, 'VIP-1-' || 61 - n, 'VIP', 1, 'OCCUPIED' "
            "FROM generate_series(1, 60) AS n"
        )
    )
    load(postgres)
    assert_on_sale(postgres)
    # What is added comes after it.
    added = postgres.wait(
        postgres.sql(
            "INSERT INTO concert (title, venue, room) VALUES ('y', 'y', 'y') RETURNING concert_id"
        )
    )
    assert added[0]["concert_id"] == 3


def test_it_comes_by_itself_only_where_nothing_is_on_sale(postgres: TestDatabase) -> None:
    assert postgres.wait(demo.load_first(postgres.database))
    postgres.wait(postgres.sql("UPDATE concert SET title = 'ours'"))
    assert not postgres.wait(demo.load_first(postgres.database))
    assert postgres.wait(postgres.sql("SELECT title FROM concert"))[0]["title"] == "ours"
