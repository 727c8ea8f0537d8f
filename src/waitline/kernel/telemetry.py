"""Metrics: every metric is declared here once, with its unit, meaning, labels and limit.

`docs/metrics.md` is the table of them. The instruments are those of this process
(`process_metrics.py` writes their snapshots); `COLLECTED` are read from a store at a scrape.
"""

from waitline.kernel.instruments import BucketHistogram, Counter, Family, Gauge, Instruments

HTTP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCRIPT_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
PROVIDER_BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
STATEMENT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

REQUESTS_MAX = 1_000
"""Label sets of requests: some 150 routes of both services, each with a few statuses. A client can
add its own methods and statuses at unknown paths, 100 of them at most."""

NAMES_MAX = 256
"""Label sets of what is named in our code: scripts, statements, batches, and their outcomes. There
are 130 today."""

ROOMS_MAX = 1_001
"""Label sets of a metric by room: 1 000 rooms, as many as are shown, and one that the others
share."""

ROOM = ("concert_id",)

HTTP_SECONDS = BucketHistogram(
    Family(
        "http_server_requests_seconds", "histogram", "s",
        "Time from a request's arrival to its response; uri is the route template",
        ("method", "uri", "status"), REQUESTS_MAX, HTTP_BOUNDS_S,
    )
)  # fmt: skip
REFUSALS = Counter(
    Family(
        "http_refusals", "counter", "responses",
        "Refused requests, by the code of the contract and the problem (docs/problems.md)",
        ("code", "problem"), NAMES_MAX,
    )
)  # fmt: skip
SCRIPT_SECONDS = BucketHistogram(
    Family(
        "redis_script_duration_seconds", "histogram", "s",
        "Duration of a script call, including the round trip to Valkey",
        ("script",), NAMES_MAX, SCRIPT_BOUNDS_S,
    )
)  # fmt: skip
SCRIPT_ERRORS = Counter(
    Family(
        "redis_script_errors", "counter", "calls",
        "Script calls that failed; error is the server's code, or UNAVAILABLE without a reply",
        ("script", "error"), NAMES_MAX,
    )
)  # fmt: skip
STATEMENT_SECONDS = BucketHistogram(
    Family(
        "database_statement_duration_seconds", "histogram", "s",
        "Duration of an SQL statement, including the round trip to the database",
        ("statement",), NAMES_MAX, STATEMENT_BOUNDS_S,
    )
)  # fmt: skip
PROVIDER_SECONDS = BucketHistogram(
    Family(
        "payment_provider_duration_seconds", "histogram", "s",
        "Duration of a call to the payment provider; outcome is ok, declined or silent (no answer)",
        ("call", "outcome"), NAMES_MAX, PROVIDER_BOUNDS_S,
    )
)  # fmt: skip
BATCH_ITEMS = BucketHistogram(
    Family(
        "batch_items", "histogram", "requests",
        "Requests in a batch; batch is the script or statement",
        ("batch",), NAMES_MAX, BATCH_BOUNDS,
    )
)  # fmt: skip
BATCH_WAIT_SECONDS = BucketHistogram(
    Family(
        "batch_wait_seconds", "histogram", "s",
        "Time in the queue: how long the first request of a batch waited for its call to begin",
        ("batch",), NAMES_MAX, SCRIPT_BOUNDS_S,
    )
)  # fmt: skip
BATCH_CALL_SECONDS = BucketHistogram(
    Family(
        "batch_call_seconds", "histogram", "s",
        "Time of service: duration of a batch's calls, until every request has its outcome",
        ("batch",), NAMES_MAX, SCRIPT_BOUNDS_S,
    )
)  # fmt: skip
CACHE_LOADS = Counter(
    Family(
        "cache_loads", "counter", "documents",
        "Documents made for a cache (now_serving, seats); all other requests were cache hits",
        ("cache",), NAMES_MAX,
    )
)  # fmt: skip
MOVE_SECONDS = BucketHistogram(
    Family(
        "scheduler_move_duration_seconds", "histogram", "s",
        "Duration of an admission call that admitted visitors",
        ROOM, ROOMS_MAX, SCRIPT_BOUNDS_S,
    )
)  # fmt: skip
ROUND_SECONDS = BucketHistogram(
    Family(
        "scheduler_round_duration_seconds", "histogram", "s",
        "Duration of one round of the admitter over the rooms that are due",
        bounds=HTTP_BOUNDS_S,
    )
)  # fmt: skip
DECISIONS = Counter(
    Family(
        "queue_admission_decisions", "counter", "decisions",
        "Decisions of the admission policy that were stored in a room, by reason",
        ("reason",), NAMES_MAX,
    )
)  # fmt: skip
CPU_SECONDS = Counter(
    Family("process_cpu_seconds", "counter", "s", "CPU time used by the service's processes")
)
FAILURES = Counter(
    Family(
        "metrics_failures", "counter", "failures",
        "Failures to collect or write a group of metrics; the others are not affected",
        ("figure",), NAMES_MAX,
    )
)  # fmt: skip
LOST_LINES = Counter(
    Family(
        "log_lines_lost", "counter", "lines",
        "Log lines that could not be written: a full disk, or no reader",
    )
)  # fmt: skip
ADDRESS_LIMITED = Counter(
    Family(
        "queue_address_limited", "counter", "calls",
        "Calls refused because the client address reached a limit of the room",
        ("limit",), NAMES_MAX,
    )
)  # fmt: skip
STORE_REDIRECTS = Counter(
    Family(
        "store_redirects", "counter", "commands",
        "Commands that a node of the Valkey cluster redirected or refused, and that were sent "
        "again",
        ("reply",), NAMES_MAX,
    )
)  # fmt: skip
STORE_MAPS = Counter(
    Family("store_slot_maps", "counter", "maps", "Slot maps fetched from the Valkey cluster")
)
RENDERINGS = Counter(Family("metrics_renderings", "counter", "pages", "Metrics pages rendered"))
POOL_SIZE = Gauge(
    Family("database_pool_size", "gauge", "connections", "Open connections to the database")
)
POOL_IN_USE = Gauge(
    Family(
        "database_pool_in_use", "gauge", "connections",
        "Database connections that are running a statement",
    )
)  # fmt: skip
POOL_WAITING = Gauge(
    Family(
        "database_pool_waiting", "gauge", "statements",
        "Statements waiting for a database connection",
    )
)  # fmt: skip
LOOP_LAG_SECONDS = Gauge(
    Family("event_loop_lag_seconds", "gauge", "s", "Highest event loop lag in the last second"),
    over="max",
)
MEMORY_BYTES = Gauge(
    Family(
        "process_resident_memory_bytes", "gauge", "bytes",
        "Resident memory of the service's processes",
    )
)  # fmt: skip
PROCESSES = Gauge(
    Family("service_processes", "gauge", "processes", "Processes of the service that run")
)
STREAMS_OPEN = Gauge(Family("queue_streams_open", "gauge", "streams", "Open event streams"))
STORE_FAULTS = Gauge(
    Family(
        "store_faults", "gauge", "faults",
        "Valkey settings that put data at risk, as of the last check, over all processes",
    )
)  # fmt: skip

INSTRUMENTS = Instruments(vars().values())
"""The instruments of this process: all that are declared above."""

STALE_PROCESSES = "metrics_stale_processes"
ROOMS_OMITTED = "metrics_rooms_omitted"
DECISION_REASON = "queue_admission_reason"
ROOMS = "scheduler_concerts_count"
ADMITTERS = "scheduler_admitters"

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

FAMILIES = {
    one.name: one
    for one in (*INSTRUMENTS.families(), *PAGE, *OF_ROOMS, *OF_DECISIONS, *OF_OPEN_WORK)
}
"""Every metric by name."""
