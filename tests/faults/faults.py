"""The faults of the suite: each is a context manager with a name; one more is an entry of `FAULTS`.

A fault is injected into a whole site under load (`site.py`), holds for some seconds and is lifted.
`test_fault_suite.py` runs every one of them, and docs/operations.md has a row for each.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tests.faults import clients, cpu, disks
from tests.faults.crowd import Crowd
from tests.faults.network import Host, of_flows
from tests.faults.parts import POSTGRES_PORT, Part
from tests.faults.shoppers import Shoppers
from tests.faults.site import (
    BOOKING_PORT,
    QUEUE_PORT,
    SANDBOX_PORT,
    VALKEY_PORT,
    Site,
)
from tests.processes import halted
from tests.until import until

SOON_S = 20.0


class Load(NamedTuple):
    """Who uses the site while it is hurt."""

    crowd: Crowd
    shoppers: Shoppers


Inject = Callable[[Site, Load], AbstractAsyncContextManager[None]]
InThread = Callable[[Site], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name, that of its test.
        does: What is done, for people.
        sees: What a visitor sees meanwhile.
        inject: Injects it until the block ends.
        hold_s: How long it holds.
        spares: Which parts of the service answer as ever: `line`, `sale`.
        heals: Whether visitors are served again before it is lifted.
        short: Whether it is among the few that every change runs.
    """

    name: str
    does: str
    sees: str
    inject: Inject
    hold_s: float = 3.0
    spares: frozenset[str] = frozenset()
    heals: bool = False
    short: bool = False


NONE: frozenset[str] = frozenset()
LINE, SALE, BOTH = frozenset(("line",)), frozenset(("sale",)), frozenset(("line", "sale"))


def in_thread(inject: InThread) -> Inject:
    """Return a fault whose steps block, made of a plain context manager."""

    @asynccontextmanager
    async def injected(site: Site, _load: Load) -> AsyncIterator[None]:
        context = inject(site)
        await asyncio.to_thread(context.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)

    return injected


def part_of(site: Site, name: str) -> Part:
    """Return a part by its name or its role at the moment."""
    if name in {"primary", "replica"}:
        return site.primary if name == "primary" else site.replica
    return site.parts[name]


def host_of(site: Site, name: str) -> Host:
    return site.hosts["clients"] if name == "clients" else part_of(site, name).host


@contextmanager
def killed(name: str, site: Site) -> Iterator[None]:
    """Kill a part with all its processes; the service manager starts it again at the end."""
    part_of(site, name).kill()
    try:
        yield
    finally:
        site.revive()


def frozen(name: str, site: Site) -> AbstractContextManager[None]:
    """Stop (SIGSTOP) all processes of a part meanwhile."""
    return halted(part_of(site, name).pids)


@contextmanager
def worker(name: str, signum: signal.Signals, site: Site) -> Iterator[None]:
    """Kill or stop one of a service's workers; the service replaces it by itself."""
    part = site.parts[name]
    struck = part.workers[0]
    os.kill(struck, signum)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(struck, signal.SIGCONT)


@contextmanager
def relay(site: Site) -> Iterator[None]:
    """Kill all workers of the box office, with their relays, while an event waits to be sent."""
    until(lambda: bool(site.sql(UNSENT)), SOON_S, "an event waits")
    for pid in site.parts["booking"].workers:
        os.kill(pid, signal.SIGKILL)
    yield


UNSENT = "SELECT FROM outbox WHERE sent_at IS NULL LIMIT 1"


@contextmanager
def cut(first: str, second: str, way: str, site: Site) -> Iterator[None]:
    """Cut the link between two hosts: to the second, from it, or both."""
    one, other = host_of(site, first), host_of(site, second)
    with ExitStack() as stack:
        if way in {"to", "both"}:
            stack.enter_context(other.deaf_to(one))
        if way in {"from", "both"}:
            stack.enter_context(one.deaf_to(other))
        yield


@contextmanager
def isolated(name: str, site: Site) -> Iterator[None]:
    """Cut a host off from all others."""
    host = host_of(site, name)
    others = [other for other in site.hosts.values() if other is not host]
    with ExitStack() as stack:
        stack.enter_context(host.deaf_to(*others))
        for other in others:
            stack.enter_context(other.deaf_to(host))
        yield


def delayed(name: str, seconds: float, site: Site) -> AbstractContextManager[None]:
    return host_of(site, name).delayed(seconds)


def throttled(name: str, kbit: int, site: Site) -> AbstractContextManager[None]:
    return host_of(site, name).throttled(kbit)


def lossy(name: str, percent: int, site: Site) -> AbstractContextManager[None]:
    """Lose some of the packets that arrive at a host."""
    return host_of(site, name).dropping(f"numgen random mod 100 < {percent}")


def starved(name: str, percent: int, site: Site) -> AbstractContextManager[None]:
    """Let a part have so much of one processor."""
    return cpu.limited(part_of(site, name).pids, percent)


@contextmanager
def disk_full(name: str, site: Site) -> Iterator[None]:
    """Fill a store's disk; a server that ends is started again when there is room."""
    with disks.full(site.folder / part_of(site, name).name):
        yield
    site.revive()


@contextmanager
def memory_full(site: Site) -> Iterator[None]:
    """Let the primary have all the memory that it may have."""
    with closing(site.valkey(site.primary.name)) as store:
        before = str(store.config_get("maxmemory")["maxmemory"])
        store.config_set("maxmemory", 1)
        try:
            yield
        finally:
            store.config_set("maxmemory", before)


@contextmanager
def skewed(clocks: dict[str, int], site: Site) -> Iterator[None]:
    """Set the clocks of services, each wrong by so many seconds."""
    for name, seconds in clocks.items():
        site.set_clock(name, seconds)
    try:
        yield
    finally:
        for name in clocks:
            site.set_clock(name, 0)


@contextmanager
def forgotten(server: str, port: int, site: Site) -> Iterator[None]:
    """Forget the connections to a server, as a firewall does: their packets go nowhere.

    New ones work. Neither end hears of it: both are half-open.
    """
    host = host_of(site, server)
    flows = host.flows(port)
    assert flows, f"nobody is connected to {server}"
    # What the server sends is not acknowledged then, so one direction is enough.
    with host.dropping(*of_flows(flows)):
        yield


def _killed_and_halted() -> Iterator[Fault]:
    whole = {
        "queue": ("queue service", "the waiting page retries; the sale continues", SALE),
        "admitter": ("admitter", "nothing; nobody is admitted in the meantime", BOTH),
        "booking": ("booking service", "503 or no connection at the box office", LINE),
        "sandbox": ("payment provider", "503 when paying; settled afterwards", LINE),
        "primary": ("Valkey's primary", "503 until the replica has taken over", NONE),
        "replica": ("Valkey's replica", "503 until it is back; polls are served", NONE),
        "postgres": ("PostgreSQL", "503 at the box office", LINE),
    }  # fmt: skip
    for name, (title, sees, spares) in whole.items():
        short = name == "postgres"
        yield Fault(
            f"{name}-killed", f"{title}: `kill -9`", sees, in_thread(partial(killed, name)),
            spares=spares, short=short,
        )  # fmt: skip
        yield Fault(
            f"{name}-halted", f"{title}: `SIGSTOP`", sees, in_thread(partial(frozen, name)),
            spares=spares,
        )  # fmt: skip
    for name, title, spares in (("queue", "queue", SALE), ("booking", "booking", LINE)):
        yield Fault(
            f"{name}-worker-killed", f"one {title} worker: `kill -9`", "its requests fail once",
            in_thread(partial(worker, name, signal.SIGKILL)), spares=spares, heals=True,
        )  # fmt: skip
        yield Fault(
            f"{name}-worker-halted", f"one {title} worker: `SIGSTOP`",
            "its requests hang until it is replaced",
            in_thread(partial(worker, name, signal.SIGSTOP)), spares=spares,
        )  # fmt: skip
    yield Fault(
        "relay-killed", "every relay of the outbox: `kill -9` while an event waits",
        "503 or no connection at the box office", in_thread(relay), spares=LINE, hold_s=1,
    )  # fmt: skip


LINKS = {
    ("clients", "queue"): ("no answer from the waiting page", SALE),
    ("clients", "booking"): ("no answer from the box office", LINE),
    ("queue", "primary"): ("503 from the waiting page", SALE),
    ("admitter", "primary"): ("nothing; nobody is admitted in the meantime", BOTH),
    ("booking", "primary"): ("503 where the box office asks the line", LINE),
    ("booking", "postgres"): ("503 at the box office", LINE),
    ("booking", "sandbox"): ("503 when paying; settled afterwards", LINE),
    ("primary", "replica"): ("503 until the replica confirms again; polls are served", NONE),
}
"""Every pair of hosts that talk to each other, beside the Sentinels."""


def _partitions() -> Iterator[Fault]:
    for (first, second), (sees, spares) in LINKS.items():
        for way, arrow in (("to", "→"), ("from", "←"), ("both", "↔")):
            yield Fault(
                f"{first}-{second}-cut-{way}", f"partition: {first} {arrow} {second}", sees,
                in_thread(partial(cut, first, second, way)), spares=spares,
                # Longer than a primary waits for its replica (`min-replicas-max-lag`).
                hold_s=14 if (second, way) == ("replica", "both") else 3,
                short=(second, way) == ("sandbox", "both"),
            )  # fmt: skip
    yield Fault(
        "primary-isolated", "partition: Valkey's primary ↔ everybody",
        "503 until the replica has taken over", in_thread(partial(isolated, "primary")), hold_s=8,
    )  # fmt: skip


def _slow() -> Iterator[Fault]:
    for name, title, spares in (
        ("clients", "all clients", NONE),
        ("primary", "Valkey's primary", NONE),
        ("postgres", "PostgreSQL", LINE),
        ("sandbox", "payment provider", LINE),
    ):
        yield Fault(
            f"{name}-delayed", f"{title}: each packet takes 100 ms longer", "slow answers, or 503",
            in_thread(partial(delayed, name, 0.1)), spares=spares,
        )  # fmt: skip
        yield Fault(
            f"{name}-throttled", f"{title}: link of 256 kbit/s", "slow answers, or 503",
            in_thread(partial(throttled, name, 256)), spares=spares,
        )  # fmt: skip
        yield Fault(
            f"{name}-lossy", f"{title}: every tenth packet is lost", "slow answers, or 503",
            in_thread(partial(lossy, name, 10)), spares=spares,
        )  # fmt: skip
    for name, title, spares in (
        ("primary", "Valkey's primary", NONE), ("postgres", "PostgreSQL", LINE)
    ):  # fmt: skip
        yield Fault(
            f"{name}-starved", f"{title}: 1 % of a processor", "slow answers, or 503",
            in_thread(partial(starved, name, 1)), spares=spares,
        )  # fmt: skip


def _full() -> Iterator[Fault]:
    for name, title, sees, spares in (
        ("primary", "Valkey's primary", "503", NONE),
        ("replica", "Valkey's replica", "nothing, or 503", NONE),
        ("postgres", "PostgreSQL", "503 at the box office", LINE),
    ):
        yield Fault(
            f"{name}-disk-full", f"{title}: disk full", sees,
            in_thread(partial(disk_full, name)), spares=spares,
        )  # fmt: skip
    yield Fault(
        "primary-memory-full", "Valkey: out of memory", "503 for new visitors",
        in_thread(memory_full),
    )  # fmt: skip


def _clocks() -> Iterator[Fault]:
    clocks = {"queue": 240, "admitter": -240, "booking": 300, "sandbox": -180}
    for name, seconds in clocks.items():
        yield Fault(
            f"{name}-clock-skewed", f"clock of {name}: {seconds // 60:+d} min", "nothing",
            in_thread(partial(skewed, {name: seconds})), spares=BOTH, heals=True,
        )  # fmt: skip
    yield Fault(
        "clocks-skewed", "clocks of all services: minutes apart", "nothing",
        in_thread(partial(skewed, clocks)), spares=BOTH, heals=True, short=True,
    )  # fmt: skip


def _clients() -> Iterator[Fault]:
    for server, port, title, spares in (
        ("primary", VALKEY_PORT, "Valkey", NONE),
        ("postgres", POSTGRES_PORT, "PostgreSQL", LINE),
        ("sandbox", SANDBOX_PORT, "the payment provider", LINE),
        ("queue", QUEUE_PORT, "the queue service", SALE),
        ("booking", BOOKING_PORT, "the booking service", LINE),
    ):
        yield Fault(
            f"{server}-half-open", f"connections to {title}: half-open",
            "no answer, or 503, to what is in progress; then new connections",
            in_thread(partial(forgotten, server, port)), spares=spares, heals=True,
        )  # fmt: skip
    yield Fault(
        "slow-clients", "200 clients that send one byte a second", "nothing",
        lambda site, _load: clients.slow(site), hold_s=12, spares=BOTH, heals=True,
    )  # fmt: skip
    yield Fault(
        "idle-streams", "10 000 event streams on which nothing happens", "nothing",
        lambda site, _load: clients.idle_streams(site), hold_s=10, spares=BOTH, heals=True,
    )  # fmt: skip
    yield Fault(
        "repeated-requests", "a balancer that sends every request twice", "nothing",
        lambda _site, load: clients.repeating(load.crowd, load.shoppers), spares=BOTH,
        heals=True, short=True,
    )  # fmt: skip


FAULTS: tuple[Fault, ...] = (
    *_killed_and_halted(), *_partitions(), *_slow(), *_full(), *_clocks(), *_clients()
)  # fmt: skip
