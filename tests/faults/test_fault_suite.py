"""The fault suite: every fault of `faults.py`, on a whole site, under load, one after the other.

While a fault holds, clients get only answers that the contract allows. Once it is lifted they are
served again. Then the line and the box office are audited, and compared with what the clients were
answered: nobody is lost or served twice, the order is kept, no seat is sold twice, and the provider
keeps the money of bookings only.

`make faults` runs all of it and writes the table in docs/operations.md.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

from tests.faults import fault_table, network, site
from tests.faults.crowd import Crowd, Entry, assert_kept, paused
from tests.faults.faults import FAULTS, LINKS, Fault, Load, part_of
from tests.faults.parts import POSTGRES_PORT
from tests.faults.shoppers import (
    GIVEN_BACK,
    Booking,
    Log,
    Shoppers,
    assert_left,
    assert_sold,
    settle,
)
from tests.faults.site import (
    BOOKING_PORT,
    QUEUE_PORT,
    SANDBOX_PORT,
    VALKEY_PORT,
    Show,
    Site,
)
from tests.faults.stack import snapshot
from tests.servers import IN_CI
from tests.until import until
from waitline.queue.audit import examine

# Seconds until everything is as before: a primary that was replaced is made a replica after ten.
WHOLE_S = 90.0

# Seconds until visitors are served again.
SERVED_S = 60.0

# Seconds between two visitors of the same caller: the load is to last, not to fill the processors.
REST_S = 0.03

# Share of requests that may fail where a fault changes nothing: a busy machine misses deadlines.
SPARED = 0.05

# Visitors who are served before and after a fault.
PLACES, PAYMENTS = 20, 4


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    """A whole site, called from its clients' host."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    lacks = network.missing() or ("" if library else "faketime is missing (make tools)")
    if lacks:
        (pytest.fail if IN_CI else pytest.skip)(lacks)
    assert library is not None
    with site.running(library) as started:
        yield started


def where(running: Site) -> str:
    """Return the address of the queue service."""
    return running.hosts["queue"].address


@dataclass(frozen=True, slots=True)
class Times:
    """When a fault was injected and lifted, and all were served again, in seconds."""

    injected: float
    lifted: float
    served: float


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=() if fault.short else pytest.mark.long)
        for fault in FAULTS
    ],
)
def test_nothing_is_lost(
    fault: Fault, running: Site, record_property: Callable[[str, object], None]
) -> None:
    until(running.whole, WHOLE_S, "the site is whole")
    show = running.show()
    crowd = Crowd(QUEUE_PORT, show.line, callers=3, host=where(running), rest_s=REST_S)
    load = Load(crowd, Shoppers(running, show))
    times = asyncio.run(play(running, load, fault))
    until(running.whole, WHOLE_S, "the site is whole again")
    compare(running, show, load)
    log = load.shoppers.log
    good = {
        "line": [entry.answered_s for entry in crowd.entries.values()],
        "sale": [one.paid_s for one in log.paid],
    }
    bad = {"line": crowd.turned_away + log.line, "sale": log.sale}
    asked = {"line": len(crowd.entries) + log.answered["line"], "sale": log.answered["sale"]}
    for name in fault.spares:
        assert bad[name].total() <= asked[name] * SPARED, f"{name}: {bad[name]}"
    record_property("fault", fault.name)
    record_property("held_s", f"{times.lifted - times.injected:.1f}")
    for name, answered in good.items():
        record_property(f"{name}_s", f"{pause_s(answered, times):.1f}")
    record_property("bad", str(bad))
    record_property("refused", str(dict(log.refused)))


async def play(running: Site, load: Load, fault: Fault) -> Times:
    """Let visitors come before, during and after the fault."""
    crowd, shoppers = load

    async def served() -> None:
        await crowd.grows(PLACES, SERVED_S)
        await shoppers.pay(PAYMENTS, SERVED_S)

    async with crowd.arriving(), shoppers.shopping():
        await served()
        async with fault.inject(running, load):
            injected = monotonic()
            await paused(fault.hold_s)
            if fault.heals:
                await served()
            lifted = monotonic()
        await served()
        return Times(injected, lifted, monotonic())


def pause_s(answered: list[float], times: Times) -> float:
    """Return the longest time without a good answer, from the fault to the end."""
    around = sorted([times.injected, *(one for one in answered if one > times.injected)])
    return max((later - earlier for earlier, later in pairwise(around)), default=0.0)


def compare(running: Site, show: Show, load: Load) -> None:
    """Audit line and box office, and compare them with what the clients were answered."""
    settle(running)
    running.pause(show.line)
    assert_kept(load.crowd, snapshot(running.valkey_url, show.line))
    assert not load.crowd.unknown
    assert not load.crowd.halves
    log = load.shoppers.log
    assert_sold(running, log)
    until(lambda: left(running, show, load), SERVED_S, "who has paid has left the room")
    assert examine(snapshot(running.valkey_url, show.room)) == []
    audits = [("--room", show.line), ("--booking",)]
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda what: running.audited(*what), audits)) == [[], []]


def left(running: Site, show: Show, load: Load) -> bool:
    try:
        assert_left(load.shoppers.log, snapshot(running.valkey_url, show.room))
    except AssertionError:
        return False
    return True


async def nothing_happens(running: Site, show: Show) -> Load:
    """Play without a fault."""
    load = Load(Crowd(QUEUE_PORT, show.line, host=where(running)), Shoppers(running, show))
    async with load.crowd.arriving(), load.shoppers.shopping():
        await load.crowd.grows(PLACES, SERVED_S)
        await load.shoppers.pay(2 * GIVEN_BACK, SERVED_S)
    return load


@pytest.mark.long
def test_the_comparison_notices_what_a_fault_could_do(running: Site) -> None:
    until(running.whole, WHOLE_S, "the site is whole")
    show = running.show()
    load = asyncio.run(nothing_happens(running, show))
    settle(running)
    running.pause(show.line)
    log = load.shoppers.log
    assert_sold(running, log)
    seen = snapshot(running.valkey_url, show.line)
    load.crowd.entries["nobody"] = Entry(1_000_000, 0.0, 0.0)
    with pytest.raises(AssertionError, match="lost"):
        assert_kept(load.crowd, seen)
    with pytest.raises(AssertionError, match="hold a slot"):
        assert_left(Log([Booking(next(iter(seen.slots)), 0, paid_s=1.0)]), seen)
    kept = next(one for one in log.paid if one.seat % GIVEN_BACK)
    other = next(one for one in log.bookings if one is not kept)
    for planted in (
        Booking(kept.user, kept.seat, 1),
        replace(kept, user=other.user),
        replace(kept, seat=other.seat),
        replace(kept, given_back=True),
    ):
        with pytest.raises(AssertionError):
            assert_sold(running, Log([planted]))
    with pytest.raises(AssertionError, match="the same reservation"):
        assert_sold(running, Log([kept, kept]))
    with damaged(running.folder / "ledger.sqlite3"), pytest.raises(AssertionError):
        assert_sold(running, log)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Refund a charge that was kept, or keep one that was refunded, in the provider's books."""
    with closing(sqlite3.connect(path, timeout=SERVED_S)) as books:
        (key,) = books.execute("SELECT key FROM charge WHERE charged = 1 LIMIT 1").fetchone()

        def turn() -> None:
            books.execute("UPDATE charge SET refunded = 1 - refunded WHERE key = ?", (key,))
            books.commit()

        turn()
        try:
            yield
        finally:
            turn()


def test_every_link_that_carries_traffic_is_cut_by_a_fault(running: Site) -> None:
    names = {host.address: name for name, host in running.hosts.items()}
    roles = {running.primary.name: "primary", running.replica.name: "replica"}
    found = set()
    for name, port in SERVERS:
        host = part_of(running, name).host
        for address, _ in host.flows(port):
            client = names[address]
            # The tests themselves, and Sentinels.
            if client not in {"clients", "watch", host.name}:
                found.add((roles.get(client, client), name))
    assert ("queue", "primary") in found
    cut = set(LINKS)
    assert found <= cut | {(second, first) for first, second in cut}


SERVERS = (
    ("queue", QUEUE_PORT), ("booking", BOOKING_PORT), ("sandbox", SANDBOX_PORT),
    ("primary", VALKEY_PORT), ("replica", VALKEY_PORT), ("postgres", POSTGRES_PORT),
)  # fmt: skip


def test_every_fault_has_its_row() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    document = fault_table.DOCUMENT.read_text("utf-8")
    assert fault_table.updated(document, {}) == document, "run make faults"
    # Other tests that the document names are there.
    root = fault_table.DOCUMENT.parents[1]
    named = set(re.findall(r"`(tests/[\w/]+\.py)", document))
    assert named
    assert not [path for path in named if not (root / path).exists()]
