"""After an uncertain failover capacity is not exceeded: what may have been given counts.

A replica is promoted that lacks the latest admissions. Visitors with a pass of the old primary may
still come with it, and the new primary does not know them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from tests.replicas import SOON_S, Pair, keeps_up, running_pair
from tests.until import until_async
from waitline.admission.admitter import Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.limits import Limits
from waitline.queue.listening import Listening
from waitline.queue.model import CHUNK_MAX, Moved, Slot, Swept, Unsure
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.valkey.client import ValkeyClient

ROOM = RoomId("uncertain")

# What clocks of two nodes may differ by, in ms.
APART_MS = 1_000

TTL_MS = 60_000


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as servers:
        yield servers


class Side(NamedTuple):
    """The line by one of the servers."""

    store: ValkeyClient
    line: Line

    async def admit(self, *, confirmed: bool = False) -> Moved | Unsure:
        listening = Listening(self.store)
        await listening.beat()
        outcome = await self.line.admit(
            ROOM,
            holder="",
            lease_ms=1,
            chunk_max=CHUNK_MAX,
            heard_ms=await listening.heard_ms(),
            confirmed=confirmed,
        )
        assert isinstance(outcome, Moved | Unsure)
        return outcome

    async def admitted(self, at_least: int) -> int:
        """Admit until so many more are inside; the rate may need a while for them."""
        total = 0

        async def more() -> bool:
            nonlocal total
            outcome = await self.admit()
            assert isinstance(outcome, Moved)
            total += outcome.admitted
            return total >= at_least

        await until_async(more, SOON_S, f"{at_least} are admitted")
        return total

    async def sweep(self, *, confirmed: bool = False) -> Swept | Unsure:
        return await self.line.sweep(ROOM, chunk_max=CHUNK_MAX, confirmed=confirmed)

    async def field(self, name: str) -> int:
        return int(await self.store.command("HGET", keys.of(ROOM).room, name) or 0)

    async def free(self) -> int:
        """Return the free slots by a call that has no token to admit anybody with."""
        later = int((await self.store.command("TIME"))[0]) * 1000 + TTL_MS
        await self.store.command("HSET", keys.of(ROOM).rate, "tokens", 0, "tokens_at", later)
        outcome = await self.admit()
        assert isinstance(outcome, Moved)
        assert outcome.admitted == 0
        return outcome.free


@asynccontextmanager
async def both(pair: Pair, **limits: float) -> AsyncIterator[tuple[Side, Side]]:
    """The line on the primary with 1 000 waiting visitors, and on the replica once promoted."""
    # WAIT takes as long as the replica does.
    stores = [ValkeyClient(url, timeout_s=SOON_S) for url in (pair.url, pair.replica_url)]
    rules = {"active_max": 500, "admit_per_s": 100, "ready_ttl_ms": TTL_MS, "active_ttl_ms": TTL_MS}
    old, new = (Side(store, Line(store)) for store in stores)
    try:
        await pair.demote()
        await old.store.command("FLUSHALL")
        await Rooms(old.store).create(ROOM, Rules(limits=Limits(**rules | limits)))  # type: ignore[arg-type]
        for first in range(0, 1_000, 250):
            names = [VisitorId(f"v{number}") for number in range(first, first + 250)]
            await old.line.join(ROOM, names)
        yield old, new
    finally:
        for store in stores:
            await store.close()


async def lose_a_history(pair: Pair, old: Side) -> int:
    """Have the old primary admit visitors of whom the promoted replica knows nothing."""
    await old.store.command("WAIT", 1, 5_000)
    await pair.promote()
    return await old.admitted(20)


def test_what_the_lost_history_gave_counts(pair: Pair) -> None:
    async def call() -> None:
        async with both(pair) as (old, new):
            inside = await old.admitted(30)
            lost = await lose_a_history(pair, old)
            unsure = await new.admit()
            assert isinstance(unsure, Unsure)
            assert lost <= unsure.slots < 500
            assert unsure.for_ms == TTL_MS + APART_MS
            assert await new.free() == 500 - inside - unsure.slots
            # Once is enough, whichever call comes first.
            assert isinstance(await new.sweep(), Swept)
            # Those who go free their slots: they cannot come back.
            (first,) = await new.line.validate(ROOM, [VisitorId("v0")])
            assert isinstance(first, Slot)
            await new.line.leave(ROOM, [(VisitorId("v0"), 0)])
            assert await new.free() == 500 - inside - unsure.slots + 1

    asyncio.run(call())


def test_a_slot_whose_end_was_lost_counts_until_the_last_pass_has_run_out(pair: Pair) -> None:
    """It may have been activated since: then its pass is longer than the new primary knows."""

    async def call() -> None:
        async with both(pair) as (old, new):
            await old.admitted(30)
            await lose_a_history(pair, old)
            assert isinstance(await new.admit(), Unsure)
            free, unsure = await new.free(), await new.field("unsure")
            k = keys.of(ROOM)
            await new.store.command("ZADD", k.admitted, 1, "v0", 1, "v1")
            swept = await new.sweep()
            assert isinstance(swept, Swept)
            assert swept.lapsed == 2
            assert await new.field("unsure") == unsure + 2
            assert await new.free() == free
            # One who was admitted since has the end that is known here.
            await new.store.command("HINCRBY", k.room, "unsure_from", -2 * TTL_MS)
            await new.store.command("ZADD", k.admitted, 1, "v2")
            await new.sweep()
            assert await new.free() == free + 1
            # All is known again.
            await new.store.command("HSET", k.room, "unsure_until", 1)
            assert await new.free() == free + 1 + unsure + 2

    asyncio.run(call())


def test_a_room_that_was_full_admits_nobody_until_slots_are_certain(pair: Pair) -> None:
    async def call() -> None:
        async with both(pair, active_max=100, admit_per_s=1_000) as (old, new):
            assert await old.admitted(100) == 100
            await old.store.command("WAIT", 1, 5_000)
            await pair.promote()
            assert await new.sweep() == Unsure(100, TTL_MS + APART_MS)
            assert await new.free() == 0
            leavers = [(VisitorId(f"v{number}"), 0) for number in range(100)]
            await new.line.leave(ROOM, leavers)
            assert await new.free() == 0

    asyncio.run(call())


def test_with_confirmed_admissions_few_can_be_lost(pair: Pair) -> None:
    async def call() -> None:
        async with both(pair, active_max=50_000, admit_per_s=10_000) as (old, new):
            await old.admit()
            await old.store.command("WAIT", 1, 5_000)
            await pair.promote()
            unsure = await new.sweep(confirmed=True)
            assert isinstance(unsure, Unsure)
            # A chunk for each lease that fits into the time; the rate would allow ten thousand.
            assert unsure.slots in {2 * CHUNK_MAX, 3 * CHUNK_MAX}

    asyncio.run(call())


def test_a_restart_and_a_room_without_a_past_are_certain(pair: Pair) -> None:
    """The file has what was answered before a restart, with the settings of decision 0002."""

    async def call(history: str) -> None:
        async with both(pair) as (old, _new):
            await old.admitted(10)
            k = keys.of(ROOM)
            await old.store.command("HSET", k.room, "history", history)
            assert isinstance(await old.sweep(), Swept)
            assert await old.field("unsure") == 0

    asyncio.run(call("another"))
    asyncio.run(call(""))


def test_the_admitter_says_what_counts_and_goes_on(pair: Pair) -> None:
    async def call() -> None:
        async with both(pair) as (old, new):
            await old.admitted(30)
            await old.store.command("SADD", keys.AWAKE, ROOM)
            await lose_a_history(pair, old)
            before = await new.field("admitted")
            rooms = Rooms(new.store)
            admitter = Admitter(
                rooms, new.line, AdmissionController(rooms, ShopReports(new.store)), name="a"
            )

            async def goes_on() -> bool:
                await admitter.visit_due()
                return await new.field("admitted") > before

            with capture_logs() as logs:
                await until_async(goes_on, SOON_S, "admission goes on")
            said = [line for line in logs if line["event"] == "failover_uncertain"]
            assert len(said) == 1
            assert said[0]["room"] == ROOM
            assert said[0]["slots"] == await new.field("unsure")

    asyncio.run(call())


def test_without_a_replica_the_admitter_admits_nobody(pair: Pair) -> None:
    async def call() -> None:
        async with both(pair) as (old, _new):
            await old.store.command("SADD", keys.AWAKE, ROOM)
            await pair.promote()
            confirming = ValkeyClient(pair.url, timeout_s=SOON_S, durability="replicated")
            rooms = Rooms(old.store)
            admitter = Admitter(
                rooms,
                old.line,
                AdmissionController(rooms, ShopReports(old.store)),
                name="a",
                confirm=confirming.confirm,
            )
            with capture_logs() as logs:
                for _ in range(3):
                    await admitter.visit_due()
            assert await old.field("admitted") == 0
            assert [line["event"] for line in logs] == ["admission_unconfirmed"]
            await pair.demote()
            await until_async(lambda: keeps_up(old.store), SOON_S)

            async def goes_on() -> bool:
                await admitter.visit_due()
                return await old.field("admitted") > 0

            await until_async(goes_on, SOON_S, "admission goes on")
            await confirming.close()

    asyncio.run(call())
