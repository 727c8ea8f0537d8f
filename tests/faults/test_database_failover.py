"""The primary of the database dies while buyers pay, and its standby takes over.

Then three records are compared: what the clients were answered, the new primary, and the provider's
ledger.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from tests.faults.crowd import paused
from tests.standby import Pair, paired, sql
from tests.until import until_async
from waitline.kernel.errors import Unavailable
from waitline.sales.http_client import HttpAnswer, HttpClient
from waitline.trial.installation import Installation, start

SOON_S = 20.0
SETTLED_S = 60.0

ROOM = "1"
SCHEDULE = 1
PRICE = 50_000

BUYERS = 40

# Seconds between two polls of a visitor who waits.
POLL_S = 0.05

# Bookings before and after the failover: the load is at its height, and goes on.
BOOKED = 200

OPEN = (
    "SELECT FROM payment WHERE state IN ('PENDING', 'REFUNDING') "
    "UNION ALL SELECT FROM outbox WHERE sent_at IS NULL"
)
DUE = (
    "UPDATE payment SET look_at = listening_now() WHERE state IN ('PENDING', 'REFUNDING')",
    "UPDATE outbox SET send_at = listening_now() WHERE sent_at IS NULL",
)


class Buyers:
    """Visitors who enter, choose a seat and pay, one after the other on each of `BUYERS` places.

    Attributes:
        paid: Reservation of each payment that was answered with success.
        answers: How many answers of each status there were.
    """

    def __init__(self, shop: Installation) -> None:
        self.paid: set[int] = set()
        self.answers: Counter[int | str] = Counter()
        self._queue = HttpClient(shop.url)
        self._office = HttpClient(shop.booking_url)
        self._numbers = count(1)
        self._over = asyncio.Event()

    @asynccontextmanager
    async def buying(self) -> AsyncIterator["Buyers"]:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(BUYERS):
                    group.create_task(self._buy())
                try:
                    yield self
                finally:
                    self._over.set()
        finally:
            self._queue.close()
            self._office.close()

    async def more(self, bookings: int) -> None:
        wanted = len(self.paid) + bookings
        await until_async(lambda: len(self.paid) >= wanted, SETTLED_S, f"{bookings} more are paid")

    async def _buy(self) -> None:
        while not self._over.is_set():
            await self._visit(next(self._numbers))

    async def _visit(self, number: int) -> None:
        user = f"buyer-{number}"
        who = {"concertId": ROOM, "userId": user}
        await self._call(self._queue, "POST", "/api/v1/queue/enter", who)
        path = f"/api/v1/queue/status?concertId={ROOM}&userId={user}"
        token = ""
        while not token and not self._over.is_set():
            answer = await self._call(self._queue, "GET", path)
            if answer is not None and answer["status"] == "READY":
                token = answer["token"]
            else:
                await paused(POLL_S)
        if not token:
            return
        seat = {"seatId": number, "scheduleId": SCHEDULE}
        held = await self._call(
            self._office, "POST", "/api/v1/reservations", seat,
            {"X-User-Id": user, "X-Queue-Token": token},
        )  # fmt: skip
        if held is None:
            return
        money = {
            "reservationId": held["reservationId"], "userId": user, "amount": PRICE,
            "paymentMethod": "CARD", "concertId": ROOM,
        }  # fmt: skip
        if await self._call(self._office, "POST", "/api/v1/payments", money) is not None:
            self.paid.add(held["reservationId"])

    async def _call(
        self,
        client: HttpClient,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the data of a success, or `None`."""
        try:
            content = b"" if body is None else json.dumps(body).encode()
            answer = await client.request(method, path, headers, content)
        except Unavailable:
            self.answers["none"] += 1
            return None
        self.answers[answer.status] += 1
        return _data(answer)


def _data(answer: HttpAnswer) -> Any:  # noqa: ANN401 - JSON
    if answer.status == 503:
        assert answer.retry_after_s >= 1
    # A seat or a place of a request whose answer was lost is somebody's already.
    return json.loads(answer.body)["data"] if answer.status in {200, 201} else None


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


def opened(shop: Installation) -> None:
    """Let the room admit as fast as buyers come."""
    change = ["rooms", "set", ROOM, "--admit-per-second", "1000", "--active-max", "5000"]
    run(shop, *change)


def run(shop: Installation, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "waitline", *words, "--data-dir", str(shop.data_dir)]
    if words[0] != "payments":
        command += ["--valkey-url", shop.valkey_url]
    # The sandbox's key is made anew at each start, and only the services have it.
    environment = psutil.Process(shop.processes()["booking"][0]).environ()
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False, timeout=SETTLED_S, env=environment
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, done.stdout


def charges(shop: Installation) -> dict[str, tuple[int, int]]:
    """The provider's ledger: of each charge how often it was charged and refunded."""
    path = shop.data_dir / "sandbox" / "ledger.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        rows = ledger.execute("SELECT key, charged, refunded FROM charge").fetchall()
    return {str(UUID(bytes=key)): (charged, refunded) for key, charged, refunded in rows}


async def settled(pair: Pair) -> None:
    """Wait until no payment and no event is open on the new primary."""

    async def nothing_is_open() -> bool:
        for statement in DUE:
            await sql(pair.standby, statement)
        return not await sql(pair.standby, OPEN)

    await until_async(nothing_is_open, SETTLED_S, "everything is settled")


async def confirmed(pair: Pair) -> set[int]:
    rows = await sql(
        pair.standby, "SELECT reservation_id FROM reservation WHERE state = 'CONFIRMED'"
    )
    return {row["reservation_id"] for row in rows}


async def balance(pair: Pair, shop: Installation) -> set[str]:
    """Compare payments and ledger both ways; return the keys of charges without a payment."""
    books = charges(shop)
    for row in await sql(pair.standby, "SELECT charge_key::text AS key, state FROM payment"):
        charged, refunded = books.pop(row["key"], (0, 0))
        assert 0 <= refunded <= charged <= 1
        assert (charged - refunded == 1) is (row["state"] == "COMPLETED")
    return {key for key, (charged, refunded) in books.items() if charged > refunded}


def audited(shop: Installation, pair: Pair, *what: str) -> list[dict[str, Any]]:
    status, output = run(shop, "audit", *what, "--json", "--database-url", pair.url)
    findings: list[dict[str, Any]] = json.loads(output)["findings"]
    assert bool(findings) == bool(status)
    return findings


def test_a_synchronous_standby_loses_nothing_that_was_answered(folder: Path) -> None:
    async def play(pair: Pair, shop: Installation) -> None:
        await pair.synchronous()
        async with Buyers(shop).buying() as buyers:
            await buyers.more(BOOKED)
            pair.primary.kill()
            await pair.promote()
            await buyers.more(BOOKED)
        assert set(buyers.answers) <= {200, 201, 409, 410, 503, "none"}, buyers.answers
        await settled(pair)
        assert not buyers.paid - await confirmed(pair)
        assert await balance(pair, shop) == set()
        assert audited(shop, pair, "--booking") == []

    played(folder, play)


@pytest.mark.long
def test_what_a_standby_behind_the_primary_lacks_is_found(folder: Path) -> None:
    async def play(pair: Pair, shop: Installation) -> None:
        async with Buyers(shop).buying() as buyers:
            await buyers.more(BOOKED)
            await pair.caught_up()
            kept = set(buyers.paid)
            await pair.cut()
            await buyers.more(BOOKED)
            pair.primary.kill()
            await pair.promote()
            await buyers.more(BOOKED)
        await settled(pair)
        stand = await confirmed(pair)
        assert kept <= stand
        lost = buyers.paid - stand
        # Some were paid between the last that the standby has and the cut, or by its side.
        assert len(lost) >= BOOKED // 2
        assert audited(shop, pair, "--booking") == []
        unpaid = await balance(pair, shop)
        assert len(unpaid) >= len(lost)
        (found,) = audited(shop, pair, "--provider")
        assert found["invariant"] == "B4"
        assert found["times"] == len(unpaid)
        _, output = run(
            shop, "payments", "refund-unknown", "--yes", "--json", "--database-url", pair.url
        )
        made = {one["key"]: one["outcome"] for one in json.loads(output)["charges"]}
        assert set(made) <= unpaid
        assert set(made.values()) == {"refunded"}
        while json.loads(output)["more"]:
            _, output = run(
                shop, "payments", "refund-unknown", "--yes", "--json", "--database-url", pair.url
            )
        assert await balance(pair, shop) == set()
        assert audited(shop, pair, "--provider") == []

    played(folder, play)


def played(folder: Path, play: Any) -> None:  # noqa: ANN401 - a coroutine function
    with paired(folder / "pg") as pair:
        settings = {"database_url": pair.url, "mode": "trial"}
        with start(1, settings, box_office=True, batch_scheduling=False) as shop:
            opened(shop)
            asyncio.run(play(pair, shop))
