"""Every statement of the box office with every fault of the wire: never a bug, sound afterwards."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.booking.sale import HOLD_S, Sale, begin, cancel, charged, expiring, reserve
from tests.databases import TestDatabase
from tests.faults.pgwire import url_of, wire_to
from tests.faults.wire import OF_NETWORKS, SILENT, Fault, Nth, Request, Wire
from tests.until import until_async
from waitline.kernel import backoff
from waitline.kernel.errors import Unavailable
from waitline.postgres import statements
from waitline.postgres.driver_errors import Duplicate
from waitline.postgres.pool import Database

SOON_S = 20.0

STATEMENTS = {
    name: statement
    for name, statement in statements.load("waitline.booking").items()
    # It replaces the tables' rows, those of the other statements included.
    if name != "load_demo"
}

# What a server or a pooler says in place of an answer.
ERRORS = [
    "ERROR 25006 cannot execute in a read-only transaction",
    "ERROR 40001 could not serialize access",
    "ERROR 53100 No space left on device",
    "ERROR 55P03 lock not available",
    "ERROR 57014 canceling statement",
    "ERROR 58030 could not read",
    "ERROR XX000 internal",
    "FATAL 57P01 terminating connection",
    "FATAL 08P01 query_wait_timeout",
]

FAULTS = [
    *OF_NETWORKS,
    *(
        Fault(line[:11] + done, carried_out=bool(done), says=line, closes=line[0] == "F")
        for line in ERRORS
        for done in ("", ", done")
    ),
]

KEY = UUID(int=1)

# A value for each parameter by name: most find nothing, which is an answer too.
VALUES: dict[str, Any] = {
    "after_at": None, "after_id": 0, "answer": b"", "at_price": True, "attempts_max": 3,
    "batch_max": 10, "charge_key": KEY, "charge_keys": [KEY], "charged": [True],
    "chunk_max": 10, "concert_id": 1, "concerts_max": 10, "counted_max": 10, "error": "e",
    "after": None, "before": None, "before_no": None, "changed_grades": [], "changed_ids": [],
    "changed_labels": [], "changed_numbers": [], "changed_positions": [], "changed_prices": [],
    "changed_rows": [], "changed_sections": [], "changes_max": 10, "failed_s": 60.0,
    "kept_max": 10, "labels": ["l"], "laid_out": 1, "new_row_nos": [1], "removed_ids": [],
    "row_ids": [], "row_nos": [], "touched_ids": [], "version": 1, "what": "w", "who": "w",
    "cancel_offset_min": 0, "currency": "KRW", "opens_offset_min": 0, "sales_end_offset_min": 0,
    "starts_offset_min": 540,
    "event_ids": None, "event_no": 1, "event_nos": [1], "examples_max": 5, "free_max": 5,
    "fresh_ids": [1], "gone": False, "grade": "VIP", "grades": ["VIP"], "grace_s": 1.0,
    "holder": "1-1", "kept_s": 1000.0, "key": "k", "keys_max": 10, "known_ids": [1],
    "made_bys": [None], "whos": ["w"], "request_ids": [None],
    "language": "ko", "late_s": 60.0, "looks_max": 10, "mode": "trial", "news": "n",
    "numbers": ["n"],
    "only_id": None, "open_pause_max_s": 10.0, "currencies": [None], "patience_s": 30.0,
    "pause_max_s": 10.0, "pause_s": 1.0, "payment_id": 1, "pending_s": 60.0, "positions": [1],
    "prices": [1000], "provider_ref": "r", "provider_refs": ["r"], "queue_down": None,
    "reason": "r", "refunded": 0, "request": b"r" * 32, "reservation_id": 1, "room": "none",
    "row_names": ["r"], "rows_max": 10, "schedule_id": 1, "schedules_max": 10,
    "sections": ["s"], "since_s": 60.0, "starts_at": datetime(2030, 1, 1, tzinfo=UTC),
    "after_no": 0, "since_ms": 0,
    "status": 200, "steps_max": 10, "title": "t", "user_id": "1", "venue": "v",
    "holders": ["1-1"], "rooms": ["none"],
    "cancel_until": None, "never_charged": ["declined"], "opens_at": None, "play_money": False,
    "refund_until": None, "rooms_max": 10, "sales_end": None, "seat_ids": [1], "served_s": 60.0,
    "state": "POSTPONED", "ticket_name": "n",
    "visitor_seats_max": 4, "visitors_max": 10, "watermark": 1, "watermarks": [1], "width_s": 60.0,
}  # fmt: skip

OWN: dict[str, Callable[[], dict[str, Any]]] = {
    "reserve": lambda: reserve(1, 1),
    "begin_payment": lambda: begin(1, 1),
    "confirm_payment": lambda: charged(KEY),
    "cancel": lambda: cancel(1, 1),
    "expire": lambda: expiring(10),
}


def values_of(name: str) -> dict[str, Any]:
    own = OWN[name]() if name in OWN else {}
    return {each: own[each] if each in own else VALUES[each] for each in STATEMENTS[name].names}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "MOST_S", 0.005)


async def pings(database: Database) -> bool:
    with suppress(Unavailable):
        return await database.fetch_one("ping") is not None
    return False


async def asked(database: Database, name: str) -> str:
    """Run a statement; return what became of it, and nothing else may."""
    fetch = database.fetch_one if STATEMENTS[name].one else database.fetch_all
    try:
        await fetch(name, **values_of(name))
    except Unavailable:
        return "unavailable"
    except Duplicate:
        return "duplicate"
    return "answered"


async def spoiled(wire: Wire, database: Database, name: str, fault: Fault) -> None:
    wire.plan = plan = Nth(fault, lambda request: request.name in {name, f"prepare {name}"})
    await asked(database, name)
    assert plan.done, f"{name}: {fault} did not happen"
    await until_async(lambda: pings(database), SOON_S, f"{name}: {fault}: it recovers")
    assert await asked(database, name) in {"answered", "duplicate"}, f"{name}: {fault}"


def check_all(postgres: TestDatabase, cases: Sequence[tuple[str, Fault]]) -> None:
    async def call() -> None:
        sale = Sale(postgres)
        await sale.open(seats=10)
        async with wire_to(postgres.url).running() as wire:
            database = Database(
                url_of(wire), "waitline.booking", connections_max=2, connections_min=0
            )
            try:
                for name, fault in cases:
                    await spoiled(wire, database, name, fault)
            finally:
                await database.close()
        assert await sale.findings() == []

    postgres.wait(call())


def test_every_statement_is_among_them(postgres: TestDatabase) -> None:
    """Each can be run with the values given here; without a fault it is answered."""

    async def call() -> None:
        await Sale(postgres).open(seats=10)
        for name in STATEMENTS:
            assert await asked(postgres.database, name) in {"answered", "duplicate"}, name

    postgres.wait(call())


def test_no_fault_of_the_wire_is_a_bug(postgres: TestDatabase) -> None:
    """One fault for each statement; with all statements, all faults."""
    cases = [(name, FAULTS[n % len(FAULTS)]) for n, name in enumerate(sorted(STATEMENTS))]
    check_all(postgres, cases)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_no_fault_of_the_wire_is_a_bug_in_any_statement(name: str, postgres: TestDatabase) -> None:
    check_all(postgres, [(name, fault) for fault in (*FAULTS, SILENT)])


def test_buyers_get_what_they_were_answered(postgres: TestDatabase) -> None:
    """Each seat that was acknowledged is held by its buyer; a 503 may have been carried out."""

    async def call() -> None:
        sale = Sale(postgres)
        await sale.open(seats=60)
        acknowledged: dict[int, int] = {}
        async with wire_to(postgres.url).running() as wire:
            count = 0

            def plan(request: Request) -> Fault | None:
                nonlocal count
                if request.name not in {"reserve", "begin_payment"}:
                    return None
                count += 1
                return FAULTS[count // 3 % len(FAULTS)] if count % 3 == 0 else None

            wire.plan = plan
            database = Database(url_of(wire), "waitline.booking", connections_max=3)

            async def buy(number: int) -> None:
                try:
                    (row,) = await database.fetch_all("reserve", **reserve(number, number))
                    if row["outcome"] == "reserved":
                        acknowledged[number] = row["reservation_id"]
                        await database.fetch_all(
                            "begin_payment", **begin(row["reservation_id"], number)
                        )
                except Unavailable:
                    pass

            try:
                for first in range(1, 61, 3):
                    await until_async(lambda: pings(database), SOON_S)
                    await asyncio.gather(*(buy(first + n) for n in range(3)))
            finally:
                await database.close()
        rows = await sale.sql(
            "SELECT user_id, reservation_id FROM reservation WHERE state = 'PENDING'"
        )
        held = {int(row["user_id"]): row["reservation_id"] for row in rows}
        assert len(acknowledged) > 10
        assert acknowledged.items() <= held.items()
        assert await sale.findings() == []

    postgres.wait(call())
    assert HOLD_S > SOON_S
