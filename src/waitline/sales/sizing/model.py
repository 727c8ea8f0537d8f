"""The formulas: what a load needs of queue workers, Valkey, the box office, a CDN, and money. Pure.

Source: costs.toml and prices.toml, each with its own; docs/operations.md, Sizing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import NamedTuple

from waitline.sales.sizing.figures import Costs, Prices

INSTANCES_LEAST = 2
"""Fewest instances of each service: one goes on while the other is replaced or lost."""

ADMITTERS = 2
"""Admitters; more do not admit faster."""

ADMITTER_VCPU = 0.25
"""Cores of an admitter: it uses a hundredth of one (`waitline-bench carry`)."""

NODES = 2
"""Nodes of a shard of Valkey: a primary and a replica."""

HOURS_OF_A_MONTH = 730


@dataclass(frozen=True, slots=True)
class SaleLoad:
    """Load of a sale.

    Attributes:
        arrivals_per_s: Visitors who enter per second at the peak.
        polls_per_s: Polls per second at the peak that reach the service.
        waiting: Visitors waiting at most.
        bookings_per_s: Bookings per second at the peak.
        bookings: Bookings in all.
        polls: Polls in all that a CDN answers; 0 without one.
        visitors: Visitors in all.
        hours: How long the installation runs for this sale.
    """

    arrivals_per_s: float
    polls_per_s: float
    waiting: int
    bookings_per_s: float
    bookings: int
    polls: int
    visitors: int
    hours: float

    @property
    def requests_per_s(self) -> float:
        """Calls of visitors who enter or wait, per second."""
        return self.arrivals_per_s + self.polls_per_s


class SizedLimit(NamedTuple):
    """How near a part is to what it can do at most.

    Attributes:
        part: What may be the limit.
        share: Used share; above 1 this load does not fit.
        remedy: What to do about it.
    """

    part: str
    share: float
    remedy: str


class Parts(NamedTuple):
    """What a load needs of each part.

    Attributes:
        queue_workers: Processes of the queue service, a core each, with a spare one.
        worker_cores: Cores that they use.
        valkey_cores: Cores that Valkey uses, over all shards.
        shards: Primaries of Valkey; a room is on one.
        valkey_mb: Memory of Valkey.
        booking_workers: Processes of the booking service, a core each, with a spare one.
        postgresql_cores: Cores of PostgreSQL.
        connections: Connections of PostgreSQL.
        disk_mb: Disk of the bookings and of their log.
        cdn_requests: Requests that a CDN answers, or passes on once per edge and second.
        cdn_gb: What it delivers.
    """

    queue_workers: int
    worker_cores: float
    valkey_cores: float
    shards: int
    valkey_mb: float
    booking_workers: int
    postgresql_cores: float
    connections: int
    disk_mb: float
    cdn_requests: int
    cdn_gb: float


class Need(NamedTuple):
    """What a load needs, where its limit is, and what it costs.

    Attributes:
        parts: What it needs of each part.
        limits: Parts by how near they are to their limit, nearest first.
        dollars: Cost of the sale by part.
    """

    parts: Parts
    limits: tuple[SizedLimit, ...]
    dollars: Mapping[str, float]


def worker_cores(costs: Costs, requests_per_s: float, workers: int) -> float:
    """Return the cores that queue workers use for calls of visitors."""
    cost = costs.queue_worker
    return workers * cost.wake_cores + requests_per_s * cost.us_per_request / 1e6


def valkey_cores(costs: Costs, requests_per_s: float, workers: int) -> float:
    """Return the cores that Valkey uses for calls of visitors."""
    cost = costs.valkey
    return workers * cost.wake_cores_per_worker + requests_per_s * cost.us_per_request / 1e6


def need(load: SaleLoad, costs: Costs, prices: Prices) -> Need:
    """Return what a load needs, and what it costs."""
    most, buyer = costs.limits.utilisation, costs.buyer
    buying_cores = load.bookings_per_s * buyer.queue_ms / 1e3
    busy = load.requests_per_s * costs.queue_worker.us_per_request / 1e6 + buying_cores
    workers = ceil(busy / (most - costs.queue_worker.wake_cores)) or 1
    store_cores = valkey_cores(costs, load.requests_per_s, workers)
    store_cores += load.bookings_per_s * buyer.valkey_ms / 1e3
    store_mb = _valkey_mb(load, costs)
    booking = ceil(load.bookings_per_s * buyer.booking_ms / 1e3 / most) + 1
    database = load.bookings_per_s * buyer.postgresql_ms / 1e3 / most
    pool = costs.connections
    disk = costs.booking.table_bytes + costs.booking.log_bytes
    page = costs.page
    cdn = load.polls and load.polls + load.visitors * page.requests
    cdn_bytes = load.polls * page.now_serving_bytes + load.visitors * page.bytes
    parts = Parts(
        queue_workers=max(INSTANCES_LEAST, workers + 1),
        worker_cores=worker_cores(costs, load.requests_per_s, workers) + buying_cores,
        valkey_cores=store_cores,
        shards=ceil(store_cores / most),
        valkey_mb=store_mb,
        booking_workers=max(INSTANCES_LEAST, booking),
        postgresql_cores=database,
        connections=pool.pool * max(INSTANCES_LEAST, booking) + pool.pool_spare,
        disk_mb=load.bookings * disk / 1e6,
        cdn_requests=cdn,
        cdn_gb=cdn_bytes / 1e9 if cdn else 0.0,
    )
    return Need(parts, tuple(_limits(load, parts, costs)), _dollars(load, parts, prices))


def _valkey_mb(load: SaleLoad, costs: Costs) -> float:
    cost = costs.valkey
    return load.waiting * cost.bytes_per_visitor * cost.memory_factor / 1e6 + cost.base_mb


def _limits(load: SaleLoad, found: Parts, costs: Costs) -> list[SizedLimit]:
    most = costs.limits
    primary = (
        "the one primary of the room: a core of Valkey",
        found.valkey_cores / most.utilisation,
        (
            f"{'' if load.polls else 'let a CDN answer the polls, '}spread the arrivals, or sell "
            "in several rooms on several shards. Batches grow under load: with calls of 100 "
            f"visitors one primary took {costs.valkey.joins_per_s_most:,} joins/s"
        ),
    )
    line = (
        "the length of the line",
        load.waiting / most.waiting_most,
        "admit faster, or close the room to new visitors (--waiting-max)",
    )
    database = (
        "the one primary of PostgreSQL: 16 cores",
        found.postgresql_cores / DATABASE_CORES_MOST,
        "lower the room's rate: buyers wait in the line instead",
    )
    limits = [SizedLimit(*row) for row in (primary, line, database)]
    return sorted(limits, key=lambda limit: limit.share, reverse=True)


DATABASE_CORES_MOST = 16
"""Cores of PostgreSQL that the formulas are used for. `waitline-bench booking` measured two."""


def _dollars(load: SaleLoad, found: Parts, prices: Prices) -> dict[str, float]:
    compute, node, database = prices.compute, prices.valkey, prices.postgresql
    vcpu = found.queue_workers + found.booking_workers + ADMITTERS * ADMITTER_VCPU
    shard_gb = found.valkey_mb / 1e3 / found.shards
    database_hour = database.instance_hour * _double(
        found.postgresql_cores / database.instance_vcpu
    )
    disk_gb = max(database.gb_least, found.disk_mb / 1e3)
    balancer = prices.balancer
    # Units are charged by the mean of an hour. Behind a CDN waiting visitors have no connection.
    connections_per_s = load.visitors / (load.hours * 3600)
    units = max(
        connections_per_s / balancer.unit_connections_per_s,
        0 if load.polls else load.waiting / balancer.unit_connections,
    )
    by_hour = {
        "containers": vcpu * (compute.vcpu_hour + compute.gb_per_vcpu * compute.gb_hour),
        "Valkey": found.shards * NODES * node.node_hour * _double(shard_gb / node.node_gb),
        "PostgreSQL": database_hour + disk_gb * database.gb_month / HOURS_OF_A_MONTH,
        "load balancer": balancer.hour + units * balancer.unit_hour,
    }
    cdn = found.cdn_requests / 1e4 * prices.cdn.requests_10k + found.cdn_gb * prices.cdn.gb
    return {part: dollars * load.hours for part, dollars in by_hour.items()} | {"CDN": cdn}


def _double(ratio: float) -> int:
    """Return the price of an instance, as a multiple of the smallest: sizes double."""
    return 1 << max(0, ceil(log2(ratio))) if ratio > 1 else 1
