"""Log events: the one list of names that appear as `event` in the log, with meaning, keys, level.

Operators alert on the names, so they are an interface. docs/log-events.md is the table of them;
tests/unit/test_log_events.py compares every log call and that table with this list.

`…_failed` is logged once when a repeated step begins to fail, `…_recovered` once when it works
again. Level `error` means a bug, with the traceback; `warning` means that an external system did
not answer or rejected us.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class LogEvent(NamedTuple):
    """One event.

    Attributes:
        meaning: One sentence for an operator.
        keys: Keys of the line besides event, level and timestamp.
        level: Level of its lines: info, warning, error, or two of them.
    """

    meaning: str
    keys: tuple[str, ...] = ()
    level: str = "warning"


_STEPS: Final = {
    "address_counts": (
        "This worker's counts of client addresses are not stored",
        "Counts of client addresses are stored again",
    ),
    "admission": ("Nobody is admitted", "Visitors are admitted again"),
    "certificates": (
        "The expiry of the stores' certificates is not checked",
        "The expiry of the stores' certificates is checked again",
    ),
    "event_purge": ("Sent events are not deleted", "Sent events are deleted again"),
    "event_relay": ("Outbox events are not sent", "Outbox events are sent again"),
    "feed": ("Event streams get no updates", "Event streams get updates again"),
    "garbage_collection": ("Cyclic garbage is not collected", "Cyclic garbage is collected again"),
    "idempotency_purge": (
        "Old idempotency keys are not deleted",
        "Old idempotency keys are deleted again",
    ),
    "keyring_watch": ("The key file is not watched for changes", "The key file is watched again"),
    "listening": (
        "This queue worker sends no heartbeat; while none does, no time counts against visitors",
        "This queue worker sends heartbeats again",
    ),
    "mode_check": (
        "A bug keeps this worker from checking the mode of the data in a store",
        "The mode of the data is checked again",
    ),
    "load_report": (
        "This booking worker does not report its load and stock to the waiting rooms",
        "This booking worker reports again",
    ),
    "metrics_flush": ("Metrics of this process are not updated", "Metrics are written again"),
    "payment_events": (
        "Payment events are not read, so visitors keep their slots after paying",
        "Payment events are read again",
    ),
    "room_watch": (
        "Rooms that wake up are not noticed, so the metrics may omit them",
        "Rooms that wake up are noticed again",
    ),
    "schedule_stop": (
        "Reservations of stopped schedules are not ended and refunded",
        "Reservations of stopped schedules are ended and refunded again",
    ),
    "cooldown_purge": (
        "Cool-downs that no longer count are not deleted",
        "Cool-downs that no longer count are deleted again",
    ),
    "evidence_purge": (
        "Entries of the evidence log that are too old are not deleted",
        "Entries of the evidence log that are too old are deleted again",
    ),
    "seat_expiry": (
        "Seats of expired reservations are not put back on sale",
        "Seats of expired reservations are put back on sale again",
    ),
    "seat_refresh": (
        "Seat maps are not refreshed ahead of requests",
        "Seat maps are refreshed again",
    ),
    "store_check": (
        "The settings of Valkey are not checked",
        "The settings of Valkey are checked again",
    ),
    "valkey_watch": ("Valkey does not answer", "Valkey answers again"),
    "database_watch": ("PostgreSQL does not answer", "PostgreSQL answers again"),
    "settlement": ("Open payments are not settled", "Open payments are settled again"),
}
"""Steps that `periodic` runs: meaning of their `…_failed` and `…_recovered` events."""

_OTHERS: Final = {
    "admission_changed": LogEvent(
        "The reason of a room's admission decision changed; `per_s` is its current rate",
        ("room", "reason", "per_s", "free", "load"),
        level="info",
    ),
    "admission_decision_failed": LogEvent(
        "The policy failed for one room, which keeps its last decision",
        ("room", "reason"),
        level="error",
    ),
    "admission_unconfirmed": LogEvent(
        "No replica confirms what was admitted, so the room admits nobody until one does",
        ("room", "reason"),
    ),
    "batch_failed": LogEvent(
        "A batch failed with a bug; `key` is its room or statement",
        ("key", "size", "reason"),
        level="error",
    ),
    "charge_rejected": LogEvent(
        "The payment provider rejected a charge as invalid; it counts as declined",
        ("charge", "reason"),
    ),
    "charge_unknown": LogEvent(
        "The provider reported a charge that this installation did not make", ("charge",)
    ),
    "connection_sweep_failed": LogEvent(
        "The sweep of one connection failed with a bug; the connection is no longer swept",
        ("reason",),
        level="error",
    ),
    "database_lossy": LogEvent(
        "PostgreSQL may lose the latest payments in a crash; `reason` names the settings",
        ("reason",),
    ),
    "departures_failed": LogEvent(
        "Slots of visitors who paid could not be freed in one room; the events are dead letters",
        ("room", "reason"),
        level="error",
    ),
    "event_rejected": LogEvent(
        "Valkey rejected an event of the outbox; if `dead`, it needs an operator",
        ("event_id", "dead", "reason"),
    ),
    "failover_uncertain": LogEvent(
        "A replica took over, which may lack the latest admissions: `slots` of the room count as "
        "taken for `for_s`",
        ("room", "slots", "for_s"),
    ),
    "feed_room_failed": LogEvent(
        "Event streams of one room get no updates", ("room", "reason"), level="error"
    ),
    "payment_lost": LogEvent(
        "A payment was gone when its charge was made, as after a failover to a standby that lacks "
        "it; the charge is refunded",
        ("charge",),
    ),
    "protection_changed": LogEvent(
        "An operator changed the protection rules of the gate",
        ("version", "rules", "who"),
        level="info",
    ),
    "shop_keys_failed": LogEvent(
        "A shop's key set cannot be fetched; its last valid keys stay in use", ("url", "reason")
    ),
    "shop_keys_recovered": LogEvent(
        "A shop's key set can be fetched again", ("url",), level="info"
    ),
    "keyring_loaded": LogEvent(
        "The keys of tickets and passes were reloaded", ("kids",), level="info"
    ),
    "keyring_unreadable": LogEvent(
        "The changed key file is invalid; the worker keeps its current keys",
        ("reason", "kept"),
    ),
    "management_exited": LogEvent(
        "The management process exited and is restarted; visitors are not affected",
        ("status", "retry_in_s"),
    ),
    "metric_failed": LogEvent(
        "A group of metrics is missing or stale; the others are not affected",
        ("figure", "reason"),
    ),
    "metric_recovered": LogEvent("A group of metrics is complete again", ("figure",), level="info"),
    "library_message": LogEvent(
        "A library logged a warning or an error; `logger` is its name",
        ("logger", "text"),
        level="warning or error",
    ),
    "log_limited": LogEvent(
        "Lines of one kind were dropped (rate limit: 20 in 10 s)", ("kind", "left_out")
    ),
    "payment_event_rejected": LogEvent(
        "An event of the box office cannot be processed and became a dead letter",
        ("entry", "reason"),
    ),
    "payment_flagged": LogEvent(
        "The provider reports a refund, a dispute or another amount for a payment; `seats` is the "
        "number of seats put back on sale. `waitline payments` lists those that need attention",
        ("payment", "flag", "state", "seats"),
    ),
    "schedule_settling": LogEvent(
        "Reservations of a stopped schedule were ended",
        ("schedule", "live", "ended", "refunding", "settled"),
        level="info",
    ),
    "payment_unsettled": LogEvent(
        "A payment is still open after a status check at the provider; the check is repeated",
        ("payment", "state", "looks", "reason"),
        level="warning or error",
    ),
    "queue_recovered": LogEvent("The queue service answers the box office again", level="info"),
    "queue_unreachable": LogEvent("The circuit breaker to the queue service opened", ("reason",)),
    "request_failed": LogEvent(
        "A request failed with a bug (500)", ("path", "reason", "request_id"), level="error"
    ),
    "request_unavailable": LogEvent(
        "A request got 503; at most one line in ten seconds, `unlogged` counts the others",
        ("path", "reason", "request_id", "unlogged"),
    ),
    "request_refused": LogEvent(
        "A request was refused; one line in ten seconds for each problem, `unlogged` counts the "
        "others",
        ("problem", "code", "request_id", "unlogged"),
        level="info",
    ),
    "request_answered": LogEvent(
        "The access log: an answered request; `route` is the path template, `ms` the time to the "
        "response",
        ("method", "route", "status", "ms", "request_id", "trace_id"),
        level="info",
    ),
    "trace_export_failed": LogEvent(
        "The trace collector does not accept traces, which are lost; nothing else is affected",
        ("collector",),
    ),
    "trace_export_recovered": LogEvent(
        "The trace collector accepts traces again", ("collector",), level="info"
    ),
    "room_closed": LogEvent(
        "A room closed by its closing time; one admitter logs it, `waitline rooms log` has what "
        "operators changed",
        ("room",),
        level="info",
    ),
    "room_opened": LogEvent(
        "A room opened by its opening time; one admitter logs it, within about a second",
        ("room",),
        level="info",
    ),
    "room_visit_failed": LogEvent(
        "The admitter failed in one room and retries it after a pause",
        ("room", "reason"),
        level="error",
    ),
    "admitter_started": LogEvent(
        "The admitter has started", ("does", "mode", "valkey"), level="info"
    ),
    "https_missing": LogEvent(
        "Production without HTTPS: browsers reject visitors' cookies; put a TLS proxy in front",
        ("reason",),
    ),
    "schema_newer": LogEvent(
        "The tables are at a later migration, `step`, than this version knows, and serve it too",
        ("step", "known"),
        level="info",
    ),
    "service_draining": LogEvent(
        "A service was asked to stop: it is not ready, but still serves for `seconds`",
        ("seconds",),
        level="info",
    ),
    "service_listening": LogEvent(
        "A service has started: its role, its addresses, and the stores that it uses",
        ("service", "does", "mode", "addresses", "workers", "valkey", "database", "payments"),
        level="info",
    ),
    "shop_report_invalid": LogEvent("A load report cannot be parsed", ("reason",)),
    "shop_reports_unreadable": LogEvent(
        "The load reports cannot be read; the last ones stay in effect", ("reason",), level="error"
    ),
    "shutdown_timed_out": LogEvent(
        "Graceful shutdown timed out; the process was ended", ("after_s",), level="error"
    ),
    "variables_ignored": LogEvent(
        "Variables that Kubernetes or Docker set for services or links were ignored",
        ("variables",),
        level="info",
    ),
    "store_unchecked": LogEvent(
        "A store could not be checked at startup; the process starts and checks again later",
        ("reason",),
    ),
    "store_not_promoted": LogEvent(
        "At startup the store is a replica: the process waits for its promotion, and then ends",
        ("reason", "waits_s"),
    ),
    "store_of_another_mode": LogEvent(
        "A store was replaced by one with data of another mode; this process stops using it",
        ("reason",),
        level="error",
    ),
    "store_slots_mapped": LogEvent(
        "Slots of the Valkey cluster have moved to other nodes", ("primaries",), level="info"
    ),
    "store_unsaved": LogEvent("Valkey has no persistence: a restart loses the line", ("reason",)),
    "store_unfit": LogEvent(
        "Valkey may lose data, for example by an eviction policy; `reason` names the remedy",
        ("reason",),
    ),
    "webhook_message_dropped": LogEvent(
        "The payment sandbox gave up on a webhook message", ("charge", "reason")
    ),
}

_FAILED: Final = ("reason", "retry_in_s")
_FAILED_LEVEL: Final = "warning or error"

EVENTS: Final[Mapping[str, LogEvent]] = MappingProxyType(
    _OTHERS
    | {
        f"{name}_failed": LogEvent(failed, _FAILED, _FAILED_LEVEL)
        for name, (failed, _) in _STEPS.items()
    }
    | {f"{name}_recovered": LogEvent(works, level="info") for name, (_, works) in _STEPS.items()}
)
"""Every event by its name."""
