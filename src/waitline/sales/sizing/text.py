"""Rows of the tables that people read: what each sale needs, formulas, measurements. Pure."""

from collections.abc import Callable, Sequence

from waitline.sales.sizing.figures import Costs
from waitline.sales.sizing.model import Need, SaleLoad, valkey_cores, worker_cores

Sized = tuple[SaleLoad, Need]

Row = tuple[str, ...]

_FIGURES: tuple[tuple[str, Callable[[SaleLoad, Need], str]], ...] = (
    ("a: entries/s at the peak", lambda load, _: f"{load.arrivals_per_s:,.0f}"),
    ("p: polls/s at the peak that reach the service", lambda load, _: f"{load.polls_per_s:,.0f}"),
    ("w: waiting at most", lambda load, _: f"{load.waiting:,}"),
    ("b: bookings/s at most", lambda load, _: f"{load.bookings_per_s:,.0f}"),
    (
        "queue workers, with a spare one",
        lambda _, found: (
            f"{found.parts.queue_workers:,} (cores used: {found.parts.worker_cores:,.2f})"
        ),
    ),
    (
        "Valkey: shards; cores",
        lambda _, found: f"{found.parts.shards:,}; {found.parts.valkey_cores:,.2f}",
    ),
    ("Valkey: memory", lambda _, found: f"{found.parts.valkey_mb:,.0f} MB"),
    ("booking workers, with a spare one", lambda _, found: f"{found.parts.booking_workers:,}"),
    (
        "PostgreSQL: cores; connections",
        lambda _, found: f"{found.parts.postgresql_cores:,.1f}; {found.parts.connections:,}",
    ),
    ("PostgreSQL: disk and its log", lambda _, found: f"{found.parts.disk_mb:,.0f} MB"),
    (
        "CDN: requests",
        lambda _, found: f"{found.parts.cdn_requests:,}" if found.parts.cdn_requests else "-",
    ),
    (
        "CDN: delivered",
        lambda _, found: f"{found.parts.cdn_gb:,.1f} GB" if found.parts.cdn_requests else "-",
    ),
    ("nearest limit, used share", lambda _, found: f"{found.limits[0].share:,.0%}"),
    ("cost of the sale", lambda _, found: f"${sum(found.dollars.values()):,.2f}"),
)


def needs(sized: Sequence[Sized]) -> list[Row]:
    """Return a row per figure: its name, and its value for each sale."""
    return [(name, *(shown(load, found) for load, found in sized)) for name, shown in _FIGURES]


def dollars(sized: Sequence[Sized]) -> list[Row]:
    """Return a row per part: its name, and its price for each sale."""
    parts = sized[0][1].dollars
    return [(part, *(f"{found.dollars[part]:,.2f}" for _, found in sized)) for part in parts]


def formulas(costs: Costs) -> list[Row]:
    """Return a row per formula: what it gives, the formula, and the source of its costs."""
    worker, store, buyer, most = costs.queue_worker, costs.valkey, costs.buyer, costs.limits
    pool, booking = costs.connections, costs.booking
    return [
        (
            "queue workers",
            (
                f"((a + p) x {worker.us_per_request:g} µs + b x {buyer.queue_ms:g} ms) ÷ "
                f"({most.utilisation:g} - {worker.wake_cores:g}), rounded up, and one more"
            ),
            worker.source,
        ),
        (
            "Valkey, cores",
            (
                f"queue workers x {store.wake_cores_per_worker:g} + (a + p) x "
                f"{store.us_per_request:g} µs + b x {buyer.valkey_ms:g} ms; a shard for each "
                f"{most.utilisation:g}"
            ),
            store.source,
        ),
        (
            "Valkey, memory",
            f"w x {store.bytes_per_visitor} B x {store.memory_factor} + {store.base_mb} MB",
            store.source,
        ),
        (
            "booking workers",
            f"b x {buyer.booking_ms:g} ms ÷ {most.utilisation:g}, rounded up, and one more",
            buyer.source,
        ),
        (
            "PostgreSQL, cores",
            f"b x {buyer.postgresql_ms:g} ms ÷ {most.utilisation:g}",
            buyer.source,
        ),
        (
            "PostgreSQL, connections",
            f"booking workers x {pool.pool} + {pool.pool_spare}",
            pool.source,
        ),
        (
            "PostgreSQL, disk",
            (
                f"bookings x ({booking.table_bytes / 1e3:g} kB + "
                f"{booking.log_bytes / 1e3:g} kB of log)"
            ),
            booking.source,
        ),
        (
            "CDN",
            (
                f"requests: polls + visitors x {costs.page.requests}; "
                f"{costs.page.now_serving_bytes:,} B a poll, "
                f"{costs.page.bytes / 1e3:g} kB a visitor"
            ),
            costs.page.source,
        ),
    ]


def agreement(costs: Costs) -> list[Row]:
    """Return a row per measurement: cores by the formulas and as measured, with the error."""
    rows: list[Row] = []
    for row in costs.measured:
        workers = worker_cores(costs, row.requests_per_s, row.workers)
        store = valkey_cores(costs, row.requests_per_s, row.workers)
        rows.append((
            row.what,
            f"{row.requests_per_s:,.0f}",
            f"{workers:.2f} / {row.worker_cores:.2f}",
            f"{workers / row.worker_cores - 1:+.0%}",
            f"{store:.2f} / {row.valkey_cores:.2f}",
            f"{store / row.valkey_cores - 1:+.0%}",
        ))  # fmt: skip
    return rows
