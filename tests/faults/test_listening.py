"""Visitors who could not be heard were not silent: outages and steps of the clock count for nobody.

A visitor of every kind is inside (waiting and in contact, ready, active, with a seat on hold) while
the processes of one kind are frozen for longer than any of them may take, or a clock is set. Then
nobody has lost anything; and the same visitors, once they fall silent while everything works, do.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import redis

from tests.faults.crowd import Caller, CutOffError, enter, named, paused
from tests.faults.stack import SOON_S, START_S, Stack, snapshot, sql
from tests.faults.test_booking_crash import Buyer
from tests.until import until_async
from waitline.trial.installation import start

# Long enough for a machine on which this process, or another one, stands still for a moment.
IDLE_S = 5
TURN_S = 10
OUTAGE_S = 12.0

# Between two polls of a visitor who waits.
POLL_S = 0.4

WAITING = [f"w{number}" for number in range(10)]

HOUR_S = 3_600

# Lets the scripts read a clock that is wrong by as many ms as a key says.
STEPPED = """
from dataclasses import replace
from hashlib import sha1
from waitline.valkey import scripts

TRUE = "return time[1] * 1000 + math.floor(time[2] / 1000)"
load = scripts.load

def stepped(package, name):
    script = load(package, name)
    source = script.source.replace(TRUE, TRUE + " + (redis.call('GET', 'test:step_ms') or 0)")
    assert (source == script.source) is ("redis.call('TIME')" not in source), name
    return replace(script, source=source, digest=sha1(source.encode()).hexdigest())

scripts.load = stepped
"""

# Which processes an outage freezes.
OUTAGES = {
    "everything": ("worker", "parent", "booking", "admitter", "valkey", "postgres"),
    "services": ("worker", "parent", "booking", "admitter"),
    "workers": ("worker", "parent", "booking"),
    "admitter": ("admitter",),
    "stores": ("valkey", "postgres"),
}


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Run an installation whose store's clock can be set."""
    patched = folder / "patched"
    patched.mkdir(exist_ok=True)
    (patched / "sitecustomize.py").write_text(STEPPED, "utf-8")
    settings = {"hold_s": str(TURN_S), "booking_workers": "2"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(patched), prepend=os.pathsep)
        with start(
            2, settings, box_office=True, data_dir=folder / "data", batch_scheduling=False
        ) as program:
            yield Stack(
                program,
                program.port,
                program.data_dir,
                program.valkey_url,
                program.booking_port,
            )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name, running(Path(name)) as stack:
        yield stack


class Sale:
    """A room with somebody of every kind inside."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.room = stack.room(
            name,
            activeMax=2,
            admitPerSecond=100,
            admitBurst=10,
            idleSeconds=IDLE_S,
            readySeconds=TURN_S,
            activeSeconds=TURN_S,
        )

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Let visitors in, and let those who wait be in contact until the block ends."""
        self.buyer = await asyncio.to_thread(Buyer, self.stack, "1")
        async with self.caller() as caller:
            for visitor in ("ready", "active"):
                await caller.ask(*enter(self.room, visitor))
            await until_async(lambda: self.is_in("active", "READY"), SOON_S)
            for visitor in WAITING:
                assert (await caller.ask(*enter(self.room, visitor))).status == 201
            await caller.ask(*named("POST", "activate", self.room, "active"))
        polls = [asyncio.create_task(self.poll(visitor)) for visitor in WAITING]
        try:
            yield
        finally:
            for poll in polls:
                poll.cancel()

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        caller = Caller(self.stack.port)
        try:
            yield caller
        finally:
            await caller.close()

    async def poll(self, visitor: str) -> None:
        async with self.caller() as caller:
            while True:
                with suppress(CutOffError):
                    await caller.ask(*named("GET", "status", self.room, visitor))
                await paused(POLL_S)

    async def state(self, visitor: str) -> str:
        async with self.caller() as caller:
            with suppress(CutOffError):
                reply = await caller.ask(*named("GET", "status", self.room, visitor))
                if reply.status == 200:
                    return str(reply.json["data"]["status"])
        return ""

    async def is_in(self, visitor: str, state: str) -> bool:
        return await self.state(visitor) == state

    def hold(self) -> str:
        (row,) = sql(
            self.stack,
            "SELECT state FROM reservation WHERE reservation_id = $1",
            self.buyer.reservation,
        )
        return str(row["state"])

    async def nobody_lost_anything(self) -> None:
        await until_async(lambda: self.is_in("ready", "READY"), SOON_S, "the turn goes on")
        assert await self.state("active") == "ACTIVE"
        assert await asyncio.to_thread(self.hold) == "PENDING"

    async def all_get_their_turn(self) -> None:
        await asyncio.to_thread(self.stack.change, self.room, activeMax=100)
        for visitor in WAITING:
            await until_async(lambda v=visitor: self.is_in(v, "READY"), SOON_S, visitor)  # type: ignore[misc]
        seen = await asyncio.to_thread(snapshot, self.stack.url, self.room)
        assert not seen.passed

    def passes_over(self, *visitors: str) -> bool:
        return set(visitors) <= snapshot(self.stack.url, self.room).passed

    async def silence_still_counts(self) -> None:
        """Fall silent while everything works, and see turns, stays and the hold end."""
        await asyncio.to_thread(self.stack.change, self.room, mode="paused")
        async with self.caller() as caller:
            for visitor in ("s1", "s2"):
                await caller.ask(*enter(self.room, visitor))
        await paused(IDLE_S * 17 / 16 + 0.5)
        await asyncio.to_thread(self.stack.change, self.room, mode="open")
        # Nobody asks for their status: that would be a contact.
        await until_async(lambda: asyncio.to_thread(self.passes_over, "s1", "s2"), SOON_S)
        for visitor in ("ready", "active"):
            await until_async(
                lambda v=visitor: self.is_in(v, "EXPIRED"),  # type: ignore[misc]
                TURN_S + SOON_S,
                f"{visitor} expires",
            )
        await until_async(
            lambda: asyncio.to_thread(lambda: self.hold() == "EXPIRED"), TURN_S + SOON_S
        )


@contextmanager
def frozen(stack: Stack, roles: tuple[str, ...]) -> Iterator[None]:
    processes = stack.program.processes()
    pids = [pid for role in roles for pid in processes[role]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("everything"),
        *(pytest.param(what, marks=pytest.mark.long) for what in OUTAGES if what != "everything"),
    ],
)
def test_an_outage_counts_for_nobody(stack: Stack, what: str) -> None:
    async def play() -> None:
        sale = Sale(stack, f"outage-{what}")
        async with sale.inside():
            await paused(2 * POLL_S)
            with frozen(stack, OUTAGES[what]):
                await paused(OUTAGE_S)
            await until_async(lambda: asyncio.to_thread(stack.whole), START_S)
            if what != "admitter":
                await sale.nobody_lost_anything()
            await sale.all_get_their_turn()
        await sale.silence_still_counts()
        assert await asyncio.to_thread(stack.audited, sale.room) == []

    asyncio.run(play())


def test_a_step_of_the_clock_counts_for_nobody(stack: Stack) -> None:
    """Forward by an hour, and back."""

    async def play() -> None:
        sale = Sale(stack, "step")
        async with sale.inside():
            for hours in (1, 0):
                await asyncio.to_thread(set_clocks, stack, hours)
                await sale.nobody_lost_anything()
                # A beat of everybody with the new clock.
                await paused(1)
                await sale.nobody_lost_anything()
            await sale.all_get_their_turn()
        await sale.silence_still_counts()
        seen = await asyncio.to_thread(snapshot, stack.url, sale.room)
        assert seen.number("stepped_back_ms") > (HOUR_S - 10) * 1000
        assert await asyncio.to_thread(stack.audited, sale.room) == []

    asyncio.run(play())


def set_clocks(stack: Stack, hours: int) -> None:
    """Set the clocks of both stores, as what runs on them sees them."""
    store = redis.Redis.from_url(stack.url, decode_responses=True)
    try:
        before_ms = int(store.get("test:step_ms") or 0)
        now_ms = hours * HOUR_S * 1000
        store.set("test:step_ms", now_ms)
    finally:
        store.close()
    sql(
        stack,
        "UPDATE listening SET beat_at = beat_at - make_interval(secs => $1), lost_s = lost_s - $1",
        (now_ms - before_ms) / 1000,
    )


@pytest.mark.long
def test_a_restart_counts_for_nobody() -> None:
    """Everything is shut down and started again, on the same data."""

    async def before(stack: Stack) -> Sale:
        sale = Sale(stack, "restart")
        async with sale.inside():
            await paused(2 * POLL_S)
        return sale

    async def after(stack: Stack, sale: Sale) -> None:
        sale.stack = stack
        polls = [asyncio.create_task(sale.poll(visitor)) for visitor in WAITING]
        await sale.nobody_lost_anything()
        await sale.all_get_their_turn()
        for poll in polls:
            poll.cancel()
        await sale.silence_still_counts()

    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        with running(Path(name)) as stack:
            sale = asyncio.run(before(stack))
        asyncio.run(paused(OUTAGE_S))
        with running(Path(name)) as stack:
            asyncio.run(after(stack, sale))
