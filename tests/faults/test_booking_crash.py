"""The booking service is killed at every step of paying: every charge ends as a sale or a refund.

The service that is started in its place settles what was left open: the reconciler queries the
provider, the relay publishes the events. Then three records are compared: the database, the
provider's ledger, and the room.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.faults.stack import SOON_S, START_S, WAITLINE, Stack, kill, runs, sql, up
from tests.http_client import Client, call
from tests.until import until

PRICE = 50_000
SCHEDULE = 1

# How often the service dies while many pay, and how many those are.
DEATHS = 4
BUYERS = 8

NUMBERS = count(1)


class Buyer:
    """One visitor, who has been let in and holds a seat of the demo concert."""

    def __init__(self, stack: Stack, room: str) -> None:
        self.stack = stack
        self.number = next(NUMBERS)
        self.room = room
        self.user = 1_000 + self.number
        self.queue("POST", "enter", json=self._who).raise_for_status()
        until(lambda: self.standing() == "READY", SOON_S, "the visitor is let in")
        self.reservation = self.reserve()

    def standing(self) -> str:
        data: dict[str, Any] = self.queue("GET", "status", params=self._who).json()["data"]
        self.token = data["token"]
        return str(data["status"])

    @property
    def _who(self) -> dict[str, str]:
        return {"concertId": self.room, "userId": str(self.user)}

    def queue(self, method: str, verb: str, **words: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """Call the queue, again while it asks for that: no part of it is killed here."""
        with Client(f"http://127.0.0.1:{self.stack.port}/api/v1/queue/") as client:
            return client.request(method, verb, **words)

    def reserve(self) -> int:
        body = {"seatId": self.number, "scheduleId": SCHEDULE}
        headers = {"X-User-Id": str(self.user), "X-Queue-Token": self.token}
        answer = self.call("POST", "reservations", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["data"]["reservationId"])

    def pay(self, method: str = "CARD") -> httpx.Response:
        body = {
            "reservationId": self.reservation,
            "userId": self.user,
            "amount": PRICE,
            "paymentMethod": method,
            "concertId": self.room,
        }
        return self.call("POST", "payments", json=body)

    def cancel(self) -> httpx.Response:
        headers = {"X-User-Id": str(self.user)}
        return self.call("DELETE", f"reservations/{self.reservation}", headers=headers)

    def call(self, method: str, path: str, **words: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        url = f"http://127.0.0.1:{self.stack.booking_port}/api/v1/{path}"
        return call(method, url, **words)

    def states(self) -> tuple[str, str, list[str]]:
        """How seat, reservation and payments stand."""
        (row,) = sql(
            self.stack,
            "SELECT r.state AS reservation, s.state AS seat, array("
            "SELECT p.state FROM payment AS p WHERE p.reservation_id = r.reservation_id "
            "ORDER BY p.created_at) AS payments "
            "FROM reservation AS r JOIN reserved_seat USING (reservation_id) "
            "JOIN seat AS s USING (seat_id) WHERE r.reservation_id = $1",
            self.reservation,
        )
        return row["seat"], row["reservation"], row["payments"]


def crash(stack: Stack) -> None:
    """Kill the booking service and wait until another has taken its place."""
    dead = stack.booking
    kill(dead)
    until(lambda: not runs(dead), SOON_S, "it is dead")


def assert_settled(stack: Stack) -> None:
    """Wait until nothing is open, and hold all books against each other."""
    until(stack.whole, START_S, "everything is there again")

    def nothing_is_open() -> bool:
        # Jobs run at once instead of at their intervals.
        sql(
            stack,
            "UPDATE payment SET look_at = listening_now() WHERE state IN ('PENDING', 'REFUNDING')",
        )
        sql(stack, "UPDATE outbox SET send_at = listening_now() WHERE sent_at IS NULL")
        return not sql(
            stack,
            "SELECT FROM payment WHERE state IN ('PENDING', 'REFUNDING') "
            "UNION ALL SELECT FROM outbox WHERE sent_at IS NULL",
        )

    until(nothing_is_open, START_S, "everything is settled")
    assert audited(stack) == []
    assert_balanced(stack)


def audited(stack: Stack) -> list[Any]:
    """What `waitline audit --booking` finds."""
    where = ("--data-dir", str(stack.data_dir), "--valkey-url", stack.url)
    argv = [*WAITLINE, "audit", "--booking", "--json", *where]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=START_S)  # noqa: S603 - our own command
    assert done.returncode in {0, 1}, done.stderr
    findings: list[Any] = json.loads(done.stdout)["findings"]
    assert bool(findings) == bool(done.returncode), "its exit status says something else"
    return findings


def charges(stack: Stack) -> dict[str, dict[str, Any]]:
    """The provider's books: each settled charge."""
    path = stack.data_dir / "sandbox" / "ledger.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        rows = ledger.execute("SELECT key, charged, refunded FROM charge").fetchall()
    return {
        str(UUID(bytes=key)): {"charged": charged, "refunded": refunded}
        for key, charged, refunded in rows
    }


def assert_balanced(stack: Stack) -> None:
    """Check that the provider keeps the money of confirmed reservations, and no other."""
    books = charges(stack)
    payments = sql(stack, "SELECT charge_key::text AS key, state FROM payment")
    assert set(books) <= {row["key"] for row in payments}
    for row in payments:
        charge = books.get(row["key"], {"charged": 0, "refunded": 0})
        assert 0 <= charge["refunded"] <= charge["charged"] <= 1
        assert (charge["charged"] - charge["refunded"] == 1) is (row["state"] == "COMPLETED")


@contextmanager
def paying(buyer: Buyer, method: str = "CARD") -> Iterator[Future[httpx.Response]]:
    """Pay meanwhile, whatever the answer to the client."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(buyer.pay, method)


def begun(buyer: Buyer) -> None:
    until(lambda: buyer.states()[2] == ["PENDING"], SOON_S, "the payment has begun")


def before_the_charge(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    sandbox = stack.sandbox
    os.kill(sandbox, signal.SIGSTOP)
    with paying(buyer):
        begun(buyer)
        crash(stack)
        # Before it has read what it was asked for.
        kill(sandbox)
    return buyer


def while_the_provider_charges(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    with paying(buyer):
        begun(buyer)
        crash(stack)
    return buyer


def after_the_charge(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    with paying(buyer, "TIMEOUT+LATE_WEBHOOK"):
        until(lambda: charged(buyer), SOON_S, "the provider has charged")
        assert buyer.states() == ("RESERVED", "PENDING", ["PENDING"])
        crash(stack)
        # If this does not fail, the check of the books proves nothing.
        with pytest.raises(AssertionError):
            assert_balanced(stack)
    return buyer


def while_it_is_confirmed(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    # The confirmation is tried again and again while the seat is locked.
    with locked(buyer), paying(buyer, "LATE_WEBHOOK"):
        until(lambda: charged(buyer), SOON_S, "the provider has charged")
        assert buyer.states() == ("RESERVED", "PENDING", ["PENDING"])
        crash(stack)
    return buyer


@contextmanager
def locked(buyer: Buyer) -> Iterator[None]:
    """Hold the lock of the buyer's seat meanwhile."""
    holds, over = threading.Event(), threading.Event()

    async def hold() -> None:
        url = (buyer.stack.data_dir / "postgres.url").read_text("utf-8")
        connection = await asyncpg.connect(url, timeout=SOON_S)
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT FROM seat WHERE seat_id = $1 FOR UPDATE", buyer.number
                )
                holds.set()
                await asyncio.to_thread(over.wait, START_S)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(asyncio.run, hold())
        try:
            assert holds.wait(SOON_S)
            yield
        finally:
            over.set()
        holder.result()


def before_the_event_is_sent(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    valkey = stack.valkey
    os.kill(valkey, signal.SIGSTOP)
    try:
        assert buyer.pay().status_code == 201
        assert sql(stack, "SELECT FROM outbox WHERE sent_at IS NULL")
        crash(stack)
    finally:
        os.kill(valkey, signal.SIGCONT)
    return buyer


def before_the_refund(stack: Stack) -> Buyer:
    buyer = Buyer(stack, "1")
    assert buyer.pay().status_code == 201
    sandbox = stack.sandbox
    os.kill(sandbox, signal.SIGSTOP)
    try:
        assert buyer.cancel().status_code == 200
        assert buyer.states() == ("AVAILABLE", "CANCELLED", ["REFUNDING"])
        crash(stack)
    finally:
        os.kill(sandbox, signal.SIGCONT)
    return buyer


def charged(buyer: Buyer) -> bool:
    rows = sql(
        buyer.stack,
        "SELECT charge_key::text AS key FROM payment WHERE reservation_id = $1",
        buyer.reservation,
    )
    books = charges(buyer.stack)
    return [books.get(row["key"], {}).get("charged") for row in rows] == [1]


BOUGHT = ("OCCUPIED", "CONFIRMED", ["COMPLETED"])

Step = tuple[Callable[[Stack], Buyer], tuple[str, str, list[str]]]

# In halves: a service that ends too often within a minute is given up.
STEPS: dict[str, list[Step]] = {
    "paying": [
        (before_the_charge, ("RESERVED", "PENDING", ["FAILED"])),
        (while_the_provider_charges, BOUGHT),
        (after_the_charge, BOUGHT),
    ],
    "having paid": [
        (while_it_is_confirmed, BOUGHT),
        (before_the_event_is_sent, BOUGHT),
        (before_the_refund, ("AVAILABLE", "CANCELLED", ["REFUNDED"])),
    ],
}


@pytest.fixture
def shop(folder: Path) -> Iterator[Stack]:
    """A stack of its own: one whose service dies too often gives up."""
    with up(folder, workers=1, box_office=True) as running:
        yield running


@pytest.mark.parametrize("half", STEPS)
def test_killed_at_any_step_it_leaves_nothing_open(shop: Stack, half: str) -> None:
    for step, expected in STEPS[half]:
        buyer = step(shop)
        assert_settled(shop)
        assert buyer.states() == expected, step.__name__
        if expected[2] == ["FAILED"]:
            # Nobody was charged, so the visitor pays again.
            assert buyer.pay().status_code == 201
            assert buyer.states() == ("OCCUPIED", "CONFIRMED", ["FAILED", "COMPLETED"])
        # B5: a buyer who has paid has left the room and freed the slot.
        until(partial(gone, buyer), SOON_S, "the slot is free")


def gone(buyer: Buyer) -> bool:
    return buyer.standing() == "NOT_FOUND"


METHODS = ["CARD", "CARD", "DECLINE", "WEBHOOK_FIRST", "DUPLICATE_WEBHOOK", "LATE_WEBHOOK"]


@pytest.mark.long
def test_killed_again_and_again_while_many_pay_it_keeps_what_it_promised(shop: Stack) -> None:
    over = threading.Event()
    sold: list[Buyer] = []
    given_up: list[Buyer] = []

    def shop_on(number: int) -> None:
        """Buy one seat after the other, and now and then give it up, whatever the answers are."""
        random = Random(number)  # noqa: S311 - which methods come when
        while not over.is_set():
            # A service that is just starting refuses, or is not there.
            with suppress(httpx.TransportError, AssertionError, ValueError):
                buyer = Buyer(shop, "1")
                if buyer.pay(random.choice(METHODS)).status_code == 201:
                    sold.append(buyer)
                if random.random() < 0.2:
                    given_up.append(buyer)
                    buyer.cancel()

    with ThreadPoolExecutor(BUYERS) as pool:
        buyers = [pool.submit(shop_on, number) for number in range(BUYERS)]
        try:
            for _ in range(DEATHS):
                before = len(sold)
                until(lambda at=before: len(sold) > at + BUYERS, START_S, "seats are sold")  # type: ignore[misc]
                crash(shop)
        finally:
            over.set()
    for done in buyers:
        done.result()

    assert_settled(shop)
    kept = [one.states() for one in sold if one not in given_up]
    assert len(kept) > DEATHS * BUYERS // 2
    assert {(seat, state, payments[-1]) for seat, state, payments in kept} == {
        ("OCCUPIED", "CONFIRMED", "COMPLETED")
    }
    for one in sold:
        until(partial(gone, one), SOON_S, "the slots are free")
