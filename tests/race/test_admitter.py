"""Two admitters at once over several rooms: harmless, and the leases spare most of the work."""

import asyncio
from functools import partial

from structlog.testing import capture_logs

from tests.race.crowd import Caller, at_once, callers
from tests.servers import Server
from tests.until import until_async
from waitline.admission.admitter import Admitter
from waitline.admission.controller import AdmissionController
from waitline.admission.shop_reports import ShopReports
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.instants import Instant
from waitline.queue import audit, keys
from waitline.queue.model import Slot
from waitline.queue.settings import Rules

ROOMS = [RoomId(f"room {number}") for number in range(5)]
CROWD = 120
PER_S = 400
DEADLINE_S = 30.0


def admitter(caller: Caller, name: str) -> Admitter:
    controller = AdmissionController(caller.rooms, ShopReports(caller.store))
    return Admitter(caller.rooms, caller.line, controller, name=name)


async def fill(caller: Caller, room: RoomId) -> None:
    rules = Rules().changed({"admit_per_s": PER_S, "admit_burst": 40, "active_max": 100})
    await caller.rooms.create(room, rules)
    await caller.line.join(room, [VisitorId(f"v{number}") for number in range(CROWD)])


async def check(caller: Caller, room: RoomId) -> None:
    """Check a room in which everybody who may be is inside."""
    seen = await audit.take_snapshot(caller.store, room)
    assert audit.examine(seen) == []
    assert len(seen.admitted) == 100
    assert len(seen.waiting) == CROWD - 100
    in_line = sorted(seen.slots.values(), key=lambda slot: slot.place)
    turns = [slot.admitted_ms for slot in in_line]
    assert turns == sorted(turns)
    assert [slot.place for slot in in_line] == [*range(1, 101)]
    standing = await caller.line.status(room, [(VisitorId("v0"), 0)])
    assert isinstance(standing[0], Slot)


def test_two_admitters_are_harmless(server: Server) -> None:
    async def race() -> None:
        async with callers(server, 3) as (one, two, watcher):
            await at_once([partial(fill, watcher, room) for room in ROOMS])

            async def full() -> bool:
                surveys = [await watcher.rooms.survey(room) for room in ROOMS]
                # One of the two may have had nothing to do with it until now.
                refused = sum(survey.counters["lease_refused"] for survey in surveys)
                return refused > 0 and all(survey.admitted == 100 for survey in surveys)

            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(admitter(caller, name).run())
                    for caller, name in ((one, "one"), (two, "two"))
                ]
                await until_async(full, DEADLINE_S)
                for loop in loops:
                    loop.cancel()
            await at_once([partial(check, watcher, room) for room in ROOMS])

    server.wait(race())


def test_an_admitter_that_died_is_replaced_when_its_lease_ends(server: Server) -> None:
    async def race() -> None:
        async with callers(server, 2) as (one, two):
            await fill(one, ROOMS[0])
            # Its last call, after which nothing more is heard of it.
            await one.line.admit(ROOMS[0], holder="dead", lease_ms=300, chunk_max=1)
            before = await two.rooms.survey(ROOMS[0])

            async def goes_on() -> bool:
                return (await two.rooms.survey(ROOMS[0])).admitted > before.admitted

            async with asyncio.TaskGroup() as group:
                loop = group.create_task(admitter(two, "two").run())
                await until_async(goes_on, DEADLINE_S)
                loop.cancel()
            found = await audit.take_snapshot(two.store, ROOMS[0])
            assert audit.examine(found) == []

    server.wait(race())


def test_what_the_clock_did_is_logged_once_by_two_admitters(server: Server) -> None:
    async def race() -> None:
        async with callers(server, 3) as (one, two, watcher):
            now_ms = await server.now_ms()
            times = {"opens_at": Instant(now_ms - 900, 0), "closes_at": Instant(now_ms - 500, 0)}
            for room in ROOMS:
                await watcher.rooms.create(room, Rules().changed(times))
                # As if both had been set before they passed.
                await watcher.store.command("HDEL", keys.of(room).room, "opened_ms", "closed_ms")

            with capture_logs() as lines:

                async def both_have_looked() -> bool:
                    # Each looks once a second; what the second one logs comes after the first's.
                    late = await server.now_ms() > now_ms + 2_500
                    return late and len(lines) >= 2 * len(ROOMS)

                async with asyncio.TaskGroup() as group:
                    loops = [
                        group.create_task(admitter(caller, name).run())
                        for caller, name in ((one, "one"), (two, "two"))
                    ]
                    await until_async(both_have_looked, DEADLINE_S)
                    for loop in loops:
                        loop.cancel()
            said = sorted((line["event"], line["room"]) for line in lines)
            assert said == [
                (name, room) for name in ("room_closed", "room_opened") for room in ROOMS
            ]

    server.wait(race())
