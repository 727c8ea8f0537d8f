"""MeasuredLoad costs and list prices, read from the files beside this module."""

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec


class WorkerCost(msgspec.Struct, frozen=True):
    """Cores of a queue worker: a share of its own, and the time of a request."""

    us_per_request: float
    wake_cores: float
    calls_per_s_fitted: str
    source: str


class ValkeyCost(msgspec.Struct, frozen=True):
    """Cores of Valkey: a share for each worker that calls it, and the time of a request."""

    us_per_request: float
    wake_cores_per_worker: float
    bytes_per_visitor: int
    base_mb: int
    memory_factor: int
    joins_per_s_most: int
    source: str


class BuyerCost(msgspec.Struct, frozen=True):
    """CPU time of a buyer, in ms, from entering to the paid seat."""

    booking_ms: float
    postgresql_ms: float
    queue_ms: float
    valkey_ms: float
    source: str


class BookingCost(msgspec.Struct, frozen=True):
    """Disk of a booking, in bytes."""

    table_bytes: int
    log_bytes: int
    source: str


class ConnectionCost(msgspec.Struct, frozen=True):
    """Connections of visitors and of the database."""

    kept_bytes: int
    per_worker_most: int
    pool: int
    pool_spare: int
    source: str


class PageCost(msgspec.Struct, frozen=True):
    """The waiting page as a CDN delivers it."""

    requests: int
    bytes: int
    now_serving_bytes: int
    source: str


class PlanningLimits(msgspec.Struct, frozen=True):
    """What is not exceeded."""

    utilisation: float
    waiting_most: int
    source: str


class MeasuredLoad(msgspec.Struct, frozen=True):
    """A measurement of a whole installation."""

    what: str
    command: str
    workers: int
    requests_per_s: float
    worker_cores: float
    valkey_cores: float
    source: str


class Costs(msgspec.Struct, frozen=True):
    """`costs.toml`."""

    queue_worker: WorkerCost
    valkey: ValkeyCost
    buyer: BuyerCost
    booking: BookingCost
    connections: ConnectionCost
    page: PageCost
    limits: PlanningLimits
    measured: tuple[MeasuredLoad, ...]


class ComputePrice(msgspec.Struct, frozen=True):
    """Containers."""

    vcpu_hour: float
    gb_hour: float
    gb_per_vcpu: float
    source: str


class NodePrice(msgspec.Struct, frozen=True):
    """A node of Valkey; one of twice the memory costs twice as much."""

    node: str
    node_hour: float
    node_gb: float
    source: str


class DatabasePrice(msgspec.Struct, frozen=True):
    """A database with a standby; one of twice the cores costs twice as much."""

    instance: str
    instance_hour: float
    instance_vcpu: int
    gb_month: float
    gb_least: int
    source: str


class BalancerPrice(msgspec.Struct, frozen=True):
    """A load balancer, and its units of capacity."""

    hour: float
    unit_hour: float
    unit_connections_per_s: int
    unit_connections: int
    source: str


class CdnPrice(msgspec.Struct, frozen=True):
    """A CDN."""

    requests_10k: float
    gb: float
    source: str


class Prices(msgspec.Struct, frozen=True):
    """`prices.toml`."""

    provider: str
    as_of: date
    note: str
    compute: ComputePrice
    valkey: NodePrice
    postgresql: DatabasePrice
    balancer: BalancerPrice
    cdn: CdnPrice


T = TypeVar("T")


@cache
def costs() -> Costs:
    """Return the measured costs."""
    return _load("costs.toml", Costs)


@cache
def prices() -> Prices:
    """Return the list prices."""
    return _load("prices.toml", Prices)


def _load(name: str, kind: type[T]) -> T:
    text = Path(__file__).with_name(name).read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), kind)
