"""Concerts, schedules, seats put on sale, and the operators' command for it."""

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.booking.halls import PRICE, STARTS_AT, hall, seats_of
from tests.command_line import Run
from tests.databases import TestDatabase
from waitline.booking.catalogue import Catalogue, SeatCount
from waitline.booking.catalogue_model import (
    Concert,
    ConcertUnknown,
    NewSeat,
    Schedule,
    ScheduleSettings,
    ScheduleUnknown,
    SeatPlanInvalid,
)
from waitline.booking.seat_imports import SeatImports
from waitline.kernel.ids import RoomId
from waitline.kernel.setting import SettingError


@pytest.fixture
def catalogue(postgres: TestDatabase) -> Catalogue:
    return Catalogue(postgres.database)


def test_what_was_created_is_listed(postgres: TestDatabase, catalogue: Catalogue) -> None:
    async def play() -> None:
        assert await catalogue.concerts() == []
        first = await catalogue.create_concert("콘서트", "", "1")
        second = await catalogue.create_concert("Second", "Hall", "room")
        assert second == Concert(2, "Second", RoomId("room"), "Hall")
        assert await catalogue.concerts() == [second, first]
        assert await catalogue.concert(1) == first

        assert await catalogue.schedules(1) == []
        later = await catalogue.create_schedule(
            1, STARTS_AT.replace(year=2031), ScheduleSettings(visitor_seats_max=8)
        )
        sooner = await catalogue.create_schedule(1, STARTS_AT)
        assert sooner == Schedule(2, 1, RoomId("1"), STARTS_AT, ScheduleSettings())
        assert await catalogue.schedules(1) == [sooner, later]
        assert await catalogue.schedule(1) == later

        for unknown in (catalogue.concert(3), catalogue.schedules(3)):
            with pytest.raises(ConcertUnknown):
                await unknown
        with pytest.raises(ConcertUnknown):
            await catalogue.create_schedule(3, STARTS_AT)
        with pytest.raises(ScheduleUnknown):
            await catalogue.schedule(3)

    postgres.wait(play())


@pytest.mark.parametrize(
    ("title", "venue", "room", "name"),
    [
        pytest.param(" ", "", "1", "title", id="blank title"),
        pytest.param("t" * 201, "", "1", "title", id="long title"),
        pytest.param("t", "v" * 201, "1", "venue", id="long venue"),
        pytest.param("t", "", "", "room", id="no room"),
        pytest.param("t", "", "방" * 43, "room", id="long room"),
        pytest.param("t\0", "", "1", "title", id="null"),
        pytest.param("t", "", "\ud800", "room", id="half a character"),
    ],
)
def test_concerts_that_cannot_be(
    postgres: TestDatabase, title: str, venue: str, room: str, name: str
) -> None:
    with pytest.raises(SettingError) as refused:
        postgres.wait(Catalogue(postgres.database).create_concert(title, venue, room))
    assert refused.value.setting.name == name


@pytest.mark.parametrize("seats_max", [0, 101])
def test_schedules_that_cannot_be(seats_max: int) -> None:
    with pytest.raises(SettingError):
        ScheduleSettings(visitor_seats_max=seats_max)


def test_seats_are_numbered_row_by_row(postgres: TestDatabase, catalogue: Catalogue) -> None:
    mixed = [
        NewSeat("F", "B", 2, "B2", "R", 5),
        NewSeat("G", "A", 1, "GA1", "S", 1),
        NewSeat("F", "A", 1, "A1", "R", 5),
        NewSeat("F", "B", 1, "B1", "R", 5),
    ]
    more = [NewSeat("F", "C", 1, "C1", "R", 5), NewSeat("F", "A", 2, "A2", "R", 5)]

    async def play() -> None:
        schedule = await hall(postgres.database, {"R": ["o"]})
        assert await SeatImports(postgres.database).add(schedule, mixed) == 4
        assert await SeatImports(postgres.database).add(schedule, more) == 2
        rows = await postgres.sql(
            "SELECT seat_number, section, row_no, state, price FROM seat ORDER BY seat_id"
        )
        assert [tuple(row)[:3] for row in rows] == [
            ("R-1-1", "F", 1),
            ("B1", "F", 2),
            ("B2", "F", 2),
            ("GA1", "G", 1),
            ("A1", "F", 3),
            ("C1", "F", 4),
            ("A2", "F", 3),
        ]
        assert [row["price"] for row in rows] == [PRICE, 5, 5, 1, 5, 5, 5]
        assert {row["state"] for row in rows} == {"AVAILABLE"}
        assert await catalogue.count_seats(1) == {schedule: SeatCount(7, 7)}

    postgres.wait(play())


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(NewSeat("F", "R1", 9, "R-1-1", "R", 5), id="number"),
        pytest.param(NewSeat("F", "Z", 1, "1", "R", 5, "R-1-1"), id="label"),
        pytest.param(NewSeat("F", "R1", 1, "other", "R", 5), id="place"),
    ],
)
def test_all_or_none(postgres: TestDatabase, catalogue: Catalogue, again: NewSeat) -> None:
    async def play() -> None:
        schedule = await hall(postgres.database, {"R": ["o"]})
        with pytest.raises(SeatPlanInvalid, match="already"):
            await SeatImports(postgres.database).add(schedule, [*seats_of({"S": ["oo"]}), again])
        assert await catalogue.count_seats(1) == {schedule: SeatCount(1, 1)}
        # In another schedule it is another seat.
        other = await catalogue.create_schedule(1, STARTS_AT)
        assert await SeatImports(postgres.database).add(other.schedule_id, [again]) == 1
        with pytest.raises(ScheduleUnknown):
            await SeatImports(postgres.database).add(99, [again])

    postgres.wait(play())


def test_of_two_imports_at_once_one_is_refused(
    postgres: TestDatabase, catalogue: Catalogue
) -> None:
    async def play() -> None:
        schedule = await hall(postgres.database, {"R": ["o"]})
        seats = seats_of({"S": ["o" * 50] * 20})
        imports = (SeatImports(postgres.database).add(schedule, seats) for _ in range(4))
        outcomes = await asyncio.gather(*imports, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, SeatPlanInvalid)]
        assert len(refused) == 3
        assert [one for one in outcomes if isinstance(one, int)] == [1000]
        assert await catalogue.count_seats(1) == {schedule: SeatCount(1001, 1001)}

    postgres.wait(play())


def test_a_stadium_is_imported_at_once(postgres: TestDatabase) -> None:
    seats = [
        NewSeat(f"S{at // 2000}", f"R{at // 40 % 50}", at % 40 + 1, f"{at}", "R", 1)
        for at in range(60_000)
    ]

    async def play() -> None:
        schedule = await hall(postgres.database, {"R": ["o"]})
        assert await SeatImports(postgres.database).add(schedule, seats) == 60_000

    postgres.wait(play())


@pytest.fixture
def run(run: Run, postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `waitline concerts`."""
    monkeypatch.setenv("WAITLINE_DATABASE_URL", postgres.url)
    return partial(run, "concerts")


def test_from_a_title_to_seats_on_sale(run: Run, tmp_path: Path) -> None:
    assert "waitline concerts create" in run("list")[1]
    code, out, _ = run("create", "Gala", "--room", "gala", "--venue", "Hall")
    assert (code, out.startswith("Created concert 1.")) == (0, True)
    code, out, _ = run("schedule", "1", "--starts-at", "2030-05-01T19:00+09:00", "--json")
    at = datetime.fromisoformat(json.loads(out)["startsAt"])
    assert at == datetime(2030, 5, 1, 10, tzinfo=UTC)
    file = tmp_path / "seats.csv"
    file.write_text("section,row,seat,grade,price\nF,A,1,R,5\nF,A,2,R,5\n", "utf-8")
    assert run("import", "1", file)[1] == "2 seats are on sale in schedule 1.\n"

    code, out, _ = run("list", "--json")
    (concert,) = json.loads(out)
    (schedule,) = concert.pop("schedules")
    names = {"concertId": 1, "title": "Gala", "venue": "Hall", "room": "gala"}
    choices = {"currency": "KRW", "queueDown": None, "visitorSeatsMax": 0}
    assert concert == {**names, **choices, "version": 1}
    assert (schedule["seats"], schedule["available"], schedule["visitorSeatsMax"]) == (2, 2, 4)
    assert "Gala" in run("list")[1]


def test_json_is_ascii(run: Run) -> None:
    title = "봄 \u202egnp"
    outputs = [run("create", title, "--room", title, "--json")[1]]
    outputs += [run(command, "--json")[1] for command in ("list", "log")]
    assert all(out.isascii() for out in outputs)
    assert json.loads(outputs[1])[0]["title"] == title


def test_a_concert_has_its_own_answer_to_a_silent_queue(run: Run) -> None:
    run("create", "Gala", "--room", "gala")
    for choice, kept in (("admit", "admit"), ("refuse", "refuse"), ("default", None)):
        code, out, _ = run("set", "1", "--queue-down", choice, "--json")
        assert (code, json.loads(out)["queueDown"]) == (0, kept)
        assert json.loads(run("list", "--json")[1])[0]["queueDown"] == kept
        assert f" {choice} " in run("list")[1]
    assert run("set", "1", "--queue-down", "admit")[1].startswith(
        "Concert 1 changed: queue-down: none -> admit."
    )
    code, _, err = run("set", "2", "--queue-down", "admit")
    assert (code, "concert not found" in err) == (2, True)
    assert run("set", "1", "--queue-down", "perhaps")[0] == 2


def test_a_concert_has_a_limit_per_person(run: Run) -> None:
    code, out, _ = run("create", "Gala", "--room", "gala", "--visitor-seats", "4", "--json")
    assert (code, json.loads(out)["visitorSeatsMax"]) == (0, 4)
    assert run("set", "1", "--visitor-seats", "6")[1].startswith(
        "Concert 1 changed: visitor-seats-max: 4 -> 6."
    )
    assert json.loads(run("set", "1", "--visitor-seats", "0", "--json")[1])["visitorSeatsMax"] == 0
    code, _, err = run("set", "1", "--visitor-seats", "1001")
    assert (code, "--visitor-seats: must be from 0 to 1,000" in err) == (2, True)


def test_a_currency_that_is_not_charged_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("create", "Gala", "--room", "gala", "--currency", "usd")[0] == 0
    for provider, currency, fault in (
        ("toss", "EUR", "--currency EUR: the payment provider is 'toss', which charges KRW only"),
        (
            "stripe",
            "UGX",
            "--currency UGX: the payment provider is 'stripe', which does not charge UGX",
        ),
    ):
        monkeypatch.setenv("WAITLINE_PAYMENT_PROVIDER", provider)
        for words in (
            ["create", "Gala", "--room", "gala", "--currency", currency],
            ["set", "1", "--currency", currency],
        ):
            code, _, err = run(*words)
            assert (code, fault in err) == (2, True), err
    assert run("set", "1", "--currency", "EUR")[0] == 0
    assert run("create", "Gala", "--room", "gala")[0] == 0


def test_a_price_that_is_not_charged_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAITLINE_PAYMENT_PROVIDER", "stripe")
    run("create", "Gala", "--room", "gala", "--currency", "KWD")
    run("schedule", "1", "--starts-at", "2030-05-01T19:00Z")
    file = tmp_path / "seats.csv"
    head = "section,row,seat,grade,price\n"
    file.write_text(head + "F,A,1,R,5.120\nF,A,2,R,5.124\n", "utf-8")
    code, _, err = run("import", "1", file)
    fault = "line 3: price '5.124' is not a multiple of 0.010 KWD, as the payment provider needs"
    assert (code, fault in err) == (2, True), err
    file.write_text(head + "F,A,1,R,5.120\n", "utf-8")
    assert run("import", "1", file)[0] == 0
    # Seats of a concert whose currency the provider does not charge are not put on sale.
    monkeypatch.setenv("WAITLINE_PAYMENT_PROVIDER", "toss")
    code, _, err = run("import", "1", file)
    assert (code, "the payment provider is 'toss', which charges KRW only" in err) == (2, True), err


def test_a_schedule_in_the_past_is_warned_of(run: Run) -> None:
    run("create", "Gala", "--room", "gala")
    code, _, err = run("schedule", "1", "--starts-at", "2020-05-01T19:00+09:00")
    assert (code, "the sale of this schedule has ended" in err) == (0, True)


def test_a_map_with_errors_is_refused_line_by_line(run: Run, tmp_path: Path) -> None:
    run("create", "Gala", "--room", "gala")
    run("schedule", "1", "--starts-at", "2030-05-01T19:00Z")
    file = tmp_path / "seats.csv"
    file.write_text("section,row,seat,grade,price\nF,A,1,R,x\nF,A,2,,5\n", "utf-8")
    code, out, err = run("import", "1", file)
    assert (code, out) == (2, "")
    assert [line.partition(": ")[2][:6] for line in err.splitlines()[:2]] == ["line 2", "line 3"]
    assert err.splitlines()[-1].endswith("no seat was imported or changed")
    assert json.loads(run("list", "--json")[1])[0]["schedules"][0]["seats"] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            ["schedule", "9", "--starts-at", "2030-05-01T19:00Z"], "concert not found", id="concert"
        ),
        pytest.param(
            ["schedule", "9", "--starts-at", "2030-05-01T19:00"], "needs a UTC offset", id="no zone"
        ),
        pytest.param(["schedule", "9", "--starts-at", "soon"], "is not a time", id="no time"),
        pytest.param(["create", " ", "--room", "1"], "TITLE: must have", id="title"),
        pytest.param(["create", "t", "--room", " "], "--room: must have", id="room"),
        pytest.param(
            ["schedule", "1", "--starts-at", "2030-05-01T19:00Z", "--visitor-seats", "101"],
            "--visitor-seats: must be from 1 to 100",
            id="seats",
        ),
        pytest.param(["import", "1", "nowhere.csv"], "cannot be read", id="file"),
    ],
)
def test_errors_are_one_line(run: Run, words: list[str], expected: str) -> None:
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err


def test_a_database_without_tables_is_reported(
    postgres: TestDatabase, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.wait(postgres.sql("CREATE DATABASE bare"))
    try:
        monkeypatch.setenv("WAITLINE_DATABASE_URL", postgres.url.replace("/waitline?", "/bare?"))
        code, _, err = run("list")
    finally:
        postgres.wait(postgres.sql("DROP DATABASE bare"))
    assert (code, err.count("\n")) == (2, 1)
    assert "waitline migrate" in err
