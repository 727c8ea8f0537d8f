"""Metrics: each is declared once, with its unit, meaning, labels and limit.

`docs/metrics.md` is the table of them. The instruments are those of this process
(`process_metrics.py` writes their snapshots); `collected_metrics.py` has those that are read from a
store at a scrape.
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

RULES_MAX = 500
"""Label sets of a metric by protection rule: 100 rules, with five of the decisions each."""

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
GATE_DECISIONS = Counter(
    Family(
        "gate_decisions", "counter", "requests",
        "Requests of protected sites, by the first rule that matches and what was decided",
        ("rule", "decision"), RULES_MAX,
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

STORE_CHANGES = Counter(
    Family(
        "store_server_changes", "counter", "servers",
        "Servers of Valkey that took the place of another: a failover or a restart",
    )
)  # fmt: skip
DATABASE_CHANGES = Counter(
    Family(
        "database_server_changes", "counter", "servers",
        "Servers of PostgreSQL that took the place of another: a failover or a restart",
    )
)  # fmt: skip
CERTIFICATE_EXPIRY = Gauge(
    Family(
        "store_certificate_expiry_timestamp_seconds", "gauge", "s",
        "When the certificate that Valkey presented expires first, in s since 1970; only with TLS",
    ),
    over="min",
)  # fmt: skip
KEY_AGE_SECONDS = Gauge(
    Family(
        "signing_key_age_seconds", "gauge", "s", "Age of the key that signs tickets and passes"
    ),
    over="max",
)  # fmt: skip
AMOUNT_PAID = Counter(
    Family(
        "payments_confirmed_amount", "counter", "minor units",
        "Amount of confirmed payments; what is refunded later is not subtracted",
        ("currency",), NAMES_MAX,
    )
)  # fmt: skip
AUDIT_FINDINGS = Gauge(
    Family("audit_findings", "gauge", "findings", "Broken invariants found by the last audit"),
    lasting=True,
)
AUDIT_TIME = Gauge(
    Family(
        "audit_timestamp_seconds", "gauge", "s", "When the last audit ended, in s since 1970"
    ),
    over="max",
    lasting=True,
)  # fmt: skip

INSTRUMENTS = Instruments(vars().values())
"""The instruments of this process: all that are declared above."""
