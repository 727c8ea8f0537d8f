"""Seats and their changes: lists, and versions that hold on every instance."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.booking import seat_snapshot as snapshots
from waitline.booking.model import SeatState
from waitline.booking.seat_documents import Document
from waitline.booking.seat_snapshot import (
    STATES,
    Layout,
    SeatChange,
    SeatSnapshot,
)

# A busy machine is no failure here.
patient = settings(deadline=None)

FREE, HELD, SOLD = STATES
ANY = st.sampled_from([FREE, HELD, SOLD])
LAID_OUT = 10


def layout(states: Sequence[int], watermark: int = 20, newest: int = LAID_OUT) -> Layout:
    seats = range(1, len(states) + 1)
    return Layout(
        schedule_id=7,
        laid_out=LAID_OUT,
        watermark=watermark,
        newest=newest,
        seat_ids=seats,
        numbers=[f'"좌석 {seat}' for seat in seats],
        sections=["F" if seat <= 3 else "G" for seat in seats],
        grades=["R"] * len(states),
        prices=[seat % 2 for seat in seats],
        states=bytes(states),
    )


def expected(states: Sequence[int], shown: set[int]) -> list[dict[str, object]]:
    return [
        {
            "seatId": seat,
            "scheduleId": 7,
            "seatNumber": f'"좌석 {seat}',
            "grade": "R",
            "price": seat % 2,
            "status": STATES[state].value,
        }
        for seat, state in enumerate(states, start=1)
        if state in shown
    ]


def unpacked(document: Document) -> list[dict[str, object]]:
    read: list[dict[str, object]] = json.loads(document.plain)
    return read


@patient
@given(st.lists(ANY, max_size=12), st.lists(st.tuples(st.integers(0, 11), ANY), max_size=6))
def test_lists_are_the_same_whatever_was_shown_before(
    states: list[int], changes: list[tuple[int, int]]
) -> None:
    snapshot = SeatSnapshot(layout(states))
    now = list(states)
    for at, state in changes:
        if at < len(now):
            now[at] = state
        assert unpacked(snapshot.available.document(bytes(now))) == expected(now, {FREE})
        assert unpacked(snapshot.all.document(bytes(now))) == expected(now, {FREE, HELD, SOLD})
        for name, listing in snapshot.available_in.items():
            seats = [
                one
                for one in expected(now, {FREE})
                if (one["seatId"] in {1, 2, 3}) is (name == "F")
            ]
            assert unpacked(listing.document(bytes(now))) == seats
    anew = SeatSnapshot(layout(now))
    for name in ("available", "all"):
        old, new = (getattr(one, name).document(bytes(now)) for one in (snapshot, anew))
        assert (old.etag, old.plain) == (new.etag, new.plain)


def test_what_is_not_shown_does_not_change_a_list() -> None:
    snapshot = SeatSnapshot(layout([FREE, HELD]))
    first = snapshot.available.document(bytes([FREE, HELD]))
    assert snapshot.available.document(bytes([FREE, SOLD])) is first
    assert snapshot.available.document(bytes([HELD, SOLD])).etag != first.etag
    assert snapshot.all.document(bytes([FREE, HELD])).etag != first.etag


def test_sections_are_counted() -> None:
    snapshot = SeatSnapshot(layout([FREE, FREE, HELD, FREE]))
    snapshot.apply(30, [SeatChange(1, 25, SOLD), SeatChange(3, 26, FREE)])
    received = json.loads(snapshot.sections())
    assert received["version"] == snapshot.version == "10.27"
    assert received["sections"] == [
        {"section": "F", "grade": "R", "price": 1, "total": 2, "available": 1},
        {"section": "F", "grade": "R", "price": 0, "total": 1, "available": 1},
        {"section": "G", "grade": "R", "price": 0, "total": 1, "available": 1},
    ]


def test_a_version_stays_while_nothing_changes() -> None:
    snapshot = SeatSnapshot(layout([FREE], watermark=20, newest=15))
    assert snapshot.version == "10.16"
    assert snapshot.apply(500, [])
    assert snapshot.version == "10.16"
    # A transaction that is over, while an older one is not.
    snapshot.apply(600, [SeatChange(1, 700, HELD)])
    assert snapshot.version == "10.600"
    snapshot.apply(800, [SeatChange(1, 700, HELD)])
    assert snapshot.version == "10.701"


@pytest.mark.parametrize(
    "version",
    ["", "10", "10.", "10.x", "10.-1", "9.16", "10.15", "10.17", "10." + "9" * 5_000, "10.١٦"],
)
def test_versions_that_are_not_known(version: str) -> None:
    assert SeatSnapshot(layout([FREE], newest=15)).delta(version) is None


def test_new_seats_require_a_reload() -> None:
    snapshot = SeatSnapshot(layout([FREE]))
    assert not snapshot.apply(30, [SeatChange(1, 25, HELD), SeatChange(2, 25, FREE)])
    assert snapshot.states == bytes([FREE])


def test_old_changes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHANGES_MAX", 2)
    snapshot = SeatSnapshot(layout([FREE] * 4))
    versions = [snapshot.version]
    for seat in (1, 2, 3):
        snapshot.apply(100 + seat, [SeatChange(seat, 90 + seat, HELD)])
        versions.append(snapshot.version)
    assert [snapshot.delta(version) is not None for version in versions] == [
        False,
        True,
        True,
        True,
    ]
    assert json.loads(snapshot.delta(versions[1]) or "")["seats"] == [
        {"seatId": 2, "status": "RESERVED"},
        {"seatId": 3, "status": "RESERVED"},
    ]


@dataclass
class Row:
    changed: int
    state: int


@dataclass
class Database:
    """What PostgreSQL promises: numbers are given at the beginning, and seen at the end."""

    rows: list[Row]
    next_number: int = 20
    running: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def watermark(self) -> int:
        return min(self.running, default=self.next_number)

    def begin(self, at: int, state: int) -> None:
        # The second transaction on a row waits for the first.
        if all(at != other for other, _ in self.running.values()):
            self.running[self.next_number] = (at, state)
            self.next_number += 1

    def commit(self, which: int) -> None:
        if self.running:
            number = sorted(self.running)[which % len(self.running)]
            at, state = self.running.pop(number)
            self.rows[at] = Row(number, state)

    @property
    def newest(self) -> int:
        return max(row.changed for row in self.rows)

    def layout(self) -> Layout:
        return layout([row.state for row in self.rows], self.watermark, self.newest)

    def changes(self, since: int) -> list[SeatChange]:
        return [
            SeatChange(seat, row.changed, row.state)
            for seat, row in enumerate(self.rows, start=1)
            if row.changed >= since
        ]


class Visitor:
    """Follows the changes, whichever worker answers."""

    def __init__(self) -> None:
        self.version = ""
        self.states: list[int] = []

    def ask(self, snapshot: SeatSnapshot) -> None:
        delta = snapshot.delta(self.version)
        if delta is None:
            self.version, self.states = snapshot.version, list(snapshot.states)
            return
        received = json.loads(delta)
        self.version = received["version"]
        for seat in received["seats"]:
            self.states[seat["seatId"] - 1] = ord(SeatState(seat["status"])[0])


class Worker:
    """Reads what has changed.

    Args:
        database: From there.
        naive: Whether it reads on from the newest change, and not from where all were over.
    """

    def __init__(self, database: Database, *, naive: bool) -> None:
        self.database = database
        self.naive = naive
        self.start()

    def start(self) -> None:
        self.snapshot = SeatSnapshot(self.database.layout())
        self.newest = self.database.newest

    def read(self) -> None:
        since = self.newest + 1 if self.naive else self.snapshot.watermark
        changes = self.database.changes(since)
        self.newest = max([self.newest, *(change.changed for change in changes)])
        assert self.snapshot.apply(self.database.watermark, changes)


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "commit", "start", "read", "ask"]), st.integers(0, 3), ANY),
    max_size=40,
)


def play(steps: list[tuple[str, int, int]], *, naive: bool = False) -> None:  # noqa: C901 - steps
    """Let two workers read, and a visitor ask both, while transactions overtake each other."""
    database = Database([Row(LAID_OUT, FREE) for _ in range(4)])
    workers = [Worker(database, naive=naive) for _ in range(2)]
    visitor = Visitor()

    def ask(worker: Worker) -> None:
        if worker.snapshot.behind(visitor.version):
            worker.read()
        visitor.ask(worker.snapshot)

    for what, which, state in steps:
        worker = workers[which % 2]
        match what:
            case "begin":
                database.begin(which, state)
            case "commit":
                database.commit(which)
            case "start":
                worker.start()
            case "read":
                worker.read()
            case _:
                ask(worker)
    while database.running:
        database.commit(0)
    for worker in workers:
        worker.read()
        ask(worker)

    truth = SeatSnapshot(database.layout())
    assert visitor.states == list(truth.states)
    assert visitor.version == truth.version
    for worker in workers:
        assert worker.snapshot.states == truth.states
        assert worker.snapshot.sections() == truth.sections()


@patient
@given(STEPS, st.sampled_from([1, 2, 100]))
def test_no_change_is_missed_and_versions_agree(
    steps: list[tuple[str, int, int]], changes_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "CHANGES_MAX", changes_max)
        play(steps)


def test_reading_on_from_the_newest_change_would_miss_some() -> None:
    play([("begin", 0, HELD), ("commit", 0, HELD)], naive=True)
    overtaken = [("begin", 0, HELD), ("begin", 1, HELD), ("commit", 1, HELD), ("read", 0, HELD)]
    play(overtaken)
    with pytest.raises(AssertionError):
        play(overtaken, naive=True)
