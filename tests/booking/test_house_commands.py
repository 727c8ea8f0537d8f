"""`waitline schedules` and `waitline seats`: what they do, print and refuse."""

import getpass
import json
from pathlib import Path

import pytest

from tests.booking.sale import Sale, person
from tests.command_line import Run
from tests.databases import TestDatabase
from waitline.kernel.clock import SystemClock
from waitline.kernel.instants import Instant

LATER = Instant(SystemClock().now_ms() + 86_400_000, 540).iso


@pytest.fixture
def run(run: Run, postgres: TestDatabase, tmp_path: Path) -> Run:
    """Run a command, on a sale of ten seats."""
    sale = Sale(postgres)
    postgres.wait(sale.open())
    where = ("--database-url", postgres.url, "--data-dir", tmp_path)
    return lambda *words: run(*words, *where)


def test_seats_are_held_released_and_given(run: Run) -> None:
    assert run("seats", "hold", "1", "s-r-1", "s-r-2", "--reason", "press") == (
        0,
        "2 seats are held back: press.\n",
        "",
    )
    status, out, _ = run("seats", "give", "1", "s-r-2", "--name", "Kim", "--json")
    assert status == 0
    assert json.loads(out)["seats"] == 1
    assert run("seats", "release", "1", "s-r-1")[1] == "1 seat is on sale.\n"
    (seat,) = json.loads(run("seats", "list", "1", "--json")[1])
    assert (seat["seat_number"], seat["ticket_name"]) == ("s-r-2", "Kim")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["release", "1", "s-r-3"], "not held back: s-r-3", id="not held"),
        pytest.param(
            ["hold", "1", "x", "--reason", "y"], "no seat x; `waitline seats export`", id="unknown"
        ),
        pytest.param(["give", "1", "s-r-1", "--name", " "], "1 to 200 characters", id="no name"),
    ],
)
def test_what_is_refused_says_why(run: Run, words: list[str], said: str) -> None:
    status, _, err = run("seats", *words)
    assert status != 0
    assert said in err


def test_a_schedule_is_cancelled(run: Run, postgres: TestDatabase) -> None:
    postgres.wait(Sale(postgres).reservations.reserve(1, [1], person(7)))
    status, out, _ = run("schedules", "cancel", "1", "--yes", "--reason", "flood", "--json")
    found = json.loads(out)
    assert (status, found["state"], found["pending"]) == (0, "CANCELLED", 0)
    assert "cancelled (flood)" in run("schedules", "progress", "1")[1]
    status, _, err = run("schedules", "resume", "1")
    assert status != 0
    assert "not postponed" in err


def test_each_change_is_in_the_log(run: Run) -> None:
    run("seats", "hold", "1", "s-r-1", "--reason", "press")
    run("seats", "release", "1", "s-r-1")
    run("seats", "give", "1", "s-r-1", "--name", "Kim")
    run("schedules", "postpone", "1", "--refund-until", LATER)
    run("schedules", "resume", "1")
    run("schedules", "cancel", "1", "--yes", "--reason", "flood")
    # A repeat changes nothing.
    run("schedules", "cancel", "1", "--yes", "--reason", "flood")
    log = json.loads(run("concerts", "log", "1", "--schedule", "1", "--json")[1])
    assert {one["who"] for one in log} == {f"command line {getpass.getuser()}"}
    assert [one["what"] for one in reversed(log)] == [
        "seats held back",
        "seats released",
        "tickets given",
        "schedule postponed",
        "schedule resumed",
        "schedule cancelled",
    ]


def test_no_such_schedule(run: Run) -> None:
    for words in (["hold", "9", "s-r-1", "--reason", "x"], ["list", "9"]):
        status, _, err = run("seats", *words)
        assert (status, "schedule not found" in err) == (2, True)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("tomorrow", "is not a time"),
        ("2030-01-01T00:00", "needs a UTC offset"),
        ("9999-12-31T23:59-12:00", "must be in the years 2000 to 2199"),
        ("0001-01-01T00:00+12:00", "must be in the years 2000 to 2199"),
    ],
)
def test_refund_deadlines_that_cannot_be(run: Run, until: str, said: str) -> None:
    status, _, err = run("schedules", "postpone", "1", "--refund-until", until)
    assert (status, err.count("\n")) == (2, 1)
    assert f"--refund-until: '{until}' {said}" in err


@pytest.mark.parametrize(
    ("year", "said"), [("2020", "is in the past"), ("2190", "is more than 5 years away")]
)
def test_a_refund_deadline_of_no_use_is_refused(run: Run, year: str, said: str) -> None:
    until = f"{year}-01-01T00:00+09:00"
    status, _, err = run("schedules", "postpone", "1", "--refund-until", until)
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith(f"waitline: --refund-until: {said}; name the day")
    assert "on sale" in run("schedules", "progress", "1")[1], "nothing was changed"


@pytest.mark.parametrize("words", [["set", "1", "--price", "5"], ["delete", "1"]])
def test_all_seats_and_some_seats_contradict_each_other(run: Run, words: list[str]) -> None:
    status, _, err = run("seats", *words, "--all", "--section", "A")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "--all: selects every seat; leave it out" in err


def test_the_log_of_a_concert_that_never_was(run: Run) -> None:
    status, _, err = run("concerts", "log", "99")
    assert (status, err.startswith("waitline: concert not found")) == (2, True)
    assert run("concerts", "log", "1") == (0, "No changes yet.\n", "")


def test_a_schedule_on_sale_is_not_resumed(run: Run) -> None:
    assert (
        run("schedules", "resume", "1")[2] == "waitline: the schedule is on sale, not postponed\n"
    )


def test_a_schedule_is_postponed_and_sold_again(run: Run) -> None:
    status, out, _ = run("schedules", "postpone", "1", "--refund-until", LATER)
    assert status == 0
    assert "postponed" in out
    assert run("schedules", "resume", "1")[1] == "Schedule 1 is on sale again.\n"
