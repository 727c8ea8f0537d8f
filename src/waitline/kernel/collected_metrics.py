"""Metrics that are read from a store at a scrape, declared as in `telemetry.py`."""

from waitline.kernel.instruments import Family
from waitline.kernel.telemetry import INSTRUMENTS, ROOM, ROOMS_MAX

STALE_PROCESSES = "metrics_stale_processes"
ROOMS_OMITTED = "metrics_rooms_omitted"
DECISION_REASON = "queue_admission_reason"
ROOMS = "scheduler_concerts_count"
ADMITTERS = "scheduler_admitters"
STANDSTILL = "queue_admission_stuck_seconds"

PAGE = (
    Family(
        STALE_PROCESSES, "gauge", "processes",
        "Processes whose metrics are older than ten seconds; their gauges are omitted",
    ),
)  # fmt: skip
"""Of the metrics page itself."""

OF_ROOMS = (
    Family("queue_wait_size", "gauge", "visitors", "Visitors waiting", ROOM, ROOMS_MAX),
    Family("queue_active_size", "gauge", "visitors", "Visitors holding a slot", ROOM, ROOMS_MAX),
    Family(
        "queue_active_limit", "gauge", "visitors",
        "Most visitors who may hold a slot", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_admitting", "gauge", "yes or no",
        "Whether visitors who wait should be admitted now: 1 in an open room with something to "
        "sell, else 0",
        ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_throughput_users_per_second", "gauge", "visitors/s",
        "Visitors admitted in the last second", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_estimated_wait_seconds", "gauge", "s",
        "Estimated wait of a new visitor, from the measured rate", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_entry_count", "counter", "visitors", "Visitors who took a place", ROOM, ROOMS_MAX
    ),
    Family(
        "queue_exit_count", "counter", "visitors", "Visitors who have left the room, by reason",
        (*ROOM, "reason"), 5 * ROOMS_MAX,
    ),
    Family(
        "queue_return_count", "counter", "visitors",
        "Visitors who returned to their place after being passed over", ROOM, ROOMS_MAX,
    ),
    Family("scheduler_move_users", "counter", "visitors", "Visitors admitted", ROOM, ROOMS_MAX),
    Family(
        "scheduler_cleanup_removed", "counter", "slots", "Expired slots freed", ROOM, ROOMS_MAX
    ),
    Family(
        "queue_no_show_count", "counter", "visitors",
        "Visitors admitted who never activated", ROOM, ROOMS_MAX,
    ),
    Family(
        "scheduler_lock_acquire_failures", "counter", "calls",
        "Admission calls refused: another admitter holds the lease",
        ("scheduler_type", *ROOM), ROOMS_MAX,
    ),
    Family(
        ROOMS, "gauge", "rooms", "Rooms served by the admitter", ("scheduler_type",)
    ),
    Family(
        ADMITTERS, "gauge", "processes",
        "Admitters that share the rooms: those with a heartbeat in the last 1.5 seconds",
    ),
    Family(
        STANDSTILL, "gauge", "s",
        "Longest time that a room has admitted nobody, though it is open, visitors wait and slots "
        "are free; measured from scrape to scrape",
    ),
    Family(
        ROOMS_OMITTED, "gauge", "rooms",
        "Active rooms without series: more than 1,000 rooms are active",
    ),
)  # fmt: skip
"""Of the rooms in which something happens, read from the store."""

OF_DECISIONS = (
    Family(
        "queue_admission_limit_per_second", "gauge", "visitors/s",
        "Current limit of admissions per second", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_admission_allowance", "gauge", "visitors",
        "Visitors who may still be admitted, given the free seats", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_no_show_share", "gauge", "share",
        "Expected share of admitted visitors who do not activate, 0 to 1", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_shop_free_seats", "gauge", "seats",
        "Available seats, from the shop's latest report", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_shop_live_reservations", "gauge", "reservations",
        "Unpaid reservations, from the shop's latest report", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_shop_load", "gauge", "share",
        "Load of the shop relative to its target: 1 is on target", ROOM, ROOMS_MAX,
    ),
    Family(
        "queue_shop_report_age_seconds", "gauge", "s",
        "Age of the shop's latest report", ROOM, ROOMS_MAX,
    ),
    Family(
        DECISION_REASON, "gauge", "yes or no",
        "Reason of a room's admission decision: 1 for the current one, 0 for the others",
        (*ROOM, "reason"), 8 * ROOMS_MAX,
    ),
)  # fmt: skip
"""Of rooms whose shop reports, read from the store."""

OF_OPEN_WORK = (
    Family(
        "outbox_events", "gauge", "events",
        "Events not sent yet (waiting), or that need an operator (dead)", ("state",), 2,
    ),
    Family("outbox_oldest_age_seconds", "gauge", "s", "Age of the oldest event not sent yet"),
    Family(
        "payments_open", "gauge", "payments",
        "Payments pending or being refunded", ("state",), 2,
    ),
    Family("payments_oldest_age_seconds", "gauge", "s", "Age of the oldest open payment"),
    Family(
        "payments_attention", "gauge", "payments",
        "Payments that need an operator, as listed by `waitline payments`",
    ),
)  # fmt: skip
"""Of the box office's open work, read from the database."""

NODES_MAX = 64
"""Label sets of a metric by primary of Valkey; a large cluster has some dozens."""

NODE = ("node",)

OF_STORE = (
    Family("store_memory_bytes", "gauge", "bytes", "Memory that Valkey uses", NODE, NODES_MAX),
    Family(
        "store_memory_limit_bytes", "gauge", "bytes",
        "Valkey's `maxmemory`; none without a limit", NODE, NODES_MAX,
    ),
    Family("store_clients", "gauge", "connections", "Connections to Valkey", NODE, NODES_MAX),
    Family(
        "store_commands", "counter", "commands", "Commands that Valkey carried out", NODE, NODES_MAX
    ),
    Family("store_cpu_seconds", "counter", "s", "CPU time that Valkey used", NODE, NODES_MAX),
    Family(
        "store_evicted_keys", "counter", "keys", "Keys that Valkey dropped: lost places",
        NODE, NODES_MAX,
    ),
    Family("store_replicas", "gauge", "replicas", "Connected replicas", NODE, NODES_MAX),
    Family(
        "store_replica_lag_bytes", "gauge", "bytes",
        "Bytes that the slowest connected replica has not acknowledged yet", NODE, NODES_MAX,
    ),
    Family(
        "store_saving", "gauge", "yes or no",
        "Whether the last write of the append-only file and the last snapshot succeeded",
        NODE, NODES_MAX,
    ),
)  # fmt: skip
"""Of each primary of Valkey, from its INFO."""

OF_DATABASE = (
    Family(
        "database_connections", "gauge", "connections",
        "Connections to the database, by state", ("state",), 4,
    ),
    Family(
        "database_connections_limit", "gauge", "connections", "PostgreSQL's `max_connections`"
    ),
    Family(
        "database_transactions", "counter", "transactions",
        "Transactions of the database, by outcome", ("outcome",), 2,
    ),
    Family(
        "database_blocks_read", "counter", "blocks",
        "Blocks that PostgreSQL took from its cache, or had to read", ("source",), 2,
    ),
    Family("database_deadlocks", "counter", "deadlocks", "Deadlocks in the database"),
    Family("database_size_bytes", "gauge", "bytes", "Size of the database on disk"),
    Family(
        "database_lock_waits", "gauge", "connections", "Connections that wait for a lock"
    ),
    Family(
        "database_oldest_transaction_seconds", "gauge", "s", "Age of the oldest open transaction"
    ),
    Family("database_replicas", "gauge", "standbys", "Connected standbys"),
    Family(
        "database_replica_lag_bytes", "gauge", "bytes",
        "Bytes of the log that the slowest connected standby has not applied yet; none without the "
        "right to read it (pg_monitor)",
    ),
)  # fmt: skip
"""Of PostgreSQL, from its statistics."""

CERTIFICATE_EXPIRY = "certificate_expiry_timestamp_seconds"

ENDPOINTS_MAX = 32
"""Label sets of the certificates: hosts of the database, and public addresses."""

OF_CERTIFICATES = (
    Family(
        CERTIFICATE_EXPIRY, "gauge", "s",
        "When the certificate of PostgreSQL or of a public address "
        "(WAITLINE_CERTIFICATE_ADDRESSES) expires, in s since 1970; only with TLS",
        ("endpoint",), ENDPOINTS_MAX,
    ),
)  # fmt: skip
"""Of certificates that no connection of ours shows."""

FAMILIES = {
    one.name: one
    for one in (
        *INSTRUMENTS.families(),
        *PAGE,
        *OF_ROOMS,
        *OF_DECISIONS,
        *OF_OPEN_WORK,
        *OF_STORE,
        *OF_DATABASE,
        *OF_CERTIFICATES,
    )
}
"""Every metric by name."""
