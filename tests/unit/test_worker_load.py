"""The load of a worker of the box office: what admitted visitors' work costs, and nothing else."""

import re
from pathlib import Path

import pytest

import waitline.booking
from waitline.booking import load_reporter as subject
from waitline.booking.load_reporter import ADMITTED_STATEMENTS, Answered, WorkerLoad
from waitline.kernel import telemetry
from waitline.kernel.instruments import BucketHistogram
from waitline.services.booking.metrics import ADMITTED_CALLS, answered

SQL = Path(waitline.booking.__path__[0]) / "sql"


class Worker:
    """A worker whose figures a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waited_s = 0.0
        self.demand = 0.0
        self.everybody = self.admitted = 0
        self.load = WorkerLoad(
            demand=lambda: self.demand,
            waited_s=lambda: self.waited_s,
            answered=lambda: Answered(self.everybody, self.admitted),
            now_s=lambda: self.now_s,
        )

    def second(self, *, strangers: int = 0, buyers: int = 0, statement_s: float = 0.002) -> float:
        """Let a second pass in which it answers strangers and buyers; return its load then.

        Each statement takes longer by what it waits for the loop.
        """
        for _ in range(buyers):
            self.load.record("reserve", statement_s + self.waited_s)
        self.everybody += strangers + buyers
        self.admitted += buyers
        self.now_s += 1
        return self.load.share()


@pytest.mark.parametrize(
    ("seconds", "demand", "share"),
    [
        pytest.param([], 0.0, 0.0, id="nothing to do"),
        pytest.param([0.001] * 100, 0.1, 0.1, id="quick"),
        pytest.param([0.001] * 90 + [0.2] * 10, 0.1, 2.0, id="one of ten is slow"),
        pytest.param([0.001] * 99 + [9.0], 0.1, 0.1, id="one of a hundred is slow"),
        pytest.param([0.001] * 100, 3.0, 3.0, id="three wait for each connection"),
        pytest.param([], 2.0, 2.0, id="none comes back"),
        pytest.param([0.05] * 10_000, 0.1, 0.5, id="many"),
    ],
)
def test_the_load(seconds: list[float], demand: float, share: float) -> None:
    worker = Worker()
    worker.demand = demand
    for each in seconds:
        worker.load.record("reserve", each)
    assert worker.load.share() == pytest.approx(share)


@pytest.mark.parametrize(
    "statement",
    [
        "change_seats", "catalogue_version", "concerts", "schedule", "find_reservation",
        "find_payment", "reservation_rooms", "own_reservations", "find_key", "ping", "expire",
        "changed_stock", "take_events",
    ],
)  # fmt: skip
def test_what_strangers_operators_and_jobs_cause_is_no_load(statement: str) -> None:
    worker = Worker()
    for _ in range(3_000):
        worker.load.record(statement, 9.0)
    assert worker.load.share() == 0.0


def test_statements_of_the_admitted_exist() -> None:
    text = "".join(path.read_text("utf-8") for path in SQL.glob("*.sql"))
    assert set(re.findall(r"-- name: (\w+)\(", text)) >= ADMITTED_STATEMENTS


@pytest.fixture
def tallied(monkeypatch: pytest.MonkeyPatch) -> BucketHistogram:
    """The counts of answers, none of which is of another test."""
    monkeypatch.setattr(telemetry.HTTP_SECONDS, "tallies", {})
    return telemetry.HTTP_SECONDS


@pytest.mark.parametrize(
    ("method", "route", "status", "admitted"),
    [
        *(pytest.param(*call, "200", 1, id=" ".join(call)) for call in sorted(ADMITTED_CALLS)),
        pytest.param("GET", "/api/v1/reservations", "200", 0, id="own reservations"),
        pytest.param("HEAD", "/api/v1/reservations", "200", 0, id="own reservations, head"),
        pytest.param("POST", "/api/v1/reservations", "401", 0, id="reserving without a turn"),
        pytest.param("GET", "/api/v1/concerts", "200", 0, id="concerts"),
    ],
)
def test_whose_answers_count_as_those_of_admitted_visitors(
    tallied: BucketHistogram, method: str, route: str, status: str, admitted: int
) -> None:
    tallied.tally(method, route, status).add(0.001)
    assert answered() == Answered(1, admitted)


def test_what_was_long_ago_is_no_load() -> None:
    worker = Worker()
    worker.load.record("reserve", 1.0)
    assert worker.load.share() == 10.0
    worker.now_s += subject.WINDOW_S
    assert worker.load.share() == 10.0
    worker.now_s += 0.1
    assert worker.load.share() == 0.0


@pytest.mark.parametrize("waited_s", [0.01, 0.05, 0.1, 0.3])
def test_a_flood_of_strangers_does_not_move_it(waited_s: float) -> None:
    worker = Worker()
    before = worker.second(buyers=20)
    worker.waited_s = waited_s
    loads = [worker.second(strangers=3_000, buyers=20) for _ in range(10)]
    assert max(loads[1:]) < before + 0.1
    worker.waited_s = 0.0
    assert worker.second(buyers=20) < before + 0.1


def test_buyers_who_make_the_loop_late_are_load() -> None:
    worker = Worker()
    worker.waited_s = 0.3
    loads = [worker.second(buyers=400) for _ in range(6)]
    assert loads[-1] > 2.0
    # Strangers beside them do not hide it.
    assert worker.second(strangers=40, buyers=400) > 2.0


def test_a_slow_database_is_load_whoever_else_calls() -> None:
    worker = Worker()
    worker.waited_s = 0.05
    loads = [worker.second(strangers=3_000, buyers=20, statement_s=0.4) for _ in range(6)]
    assert loads[-1] > 3.5
