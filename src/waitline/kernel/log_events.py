"""Log events: the one list of names that appear as `event` in the log, with meaning and keys.

Operators alert on the names, so they are an interface. docs/log-events.md is the table of them;
tests/unit/test_log_events.py compares every log call and that table with this list.

`…_failed` is logged once when a repeated step begins to fail, `…_recovered` once when it works
again. Level `error` means a bug, with the traceback; `warning` means that something outside did
not answer or was rejected.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class LogEvent(NamedTuple):
    """One event.

    Attributes:
        meaning: One sentence for an operator.
        keys: Keys of the line besides event, level and timestamp.
    """

    meaning: str
    keys: tuple[str, ...] = ()


_STEPS: Final = {
    "address_counts": (
        "What this worker counts of client addresses is not stored",
        "Counts of client addresses are stored again",
    ),
    "admission": ("Nobody is admitted", "Visitors are admitted again"),
    "event_purge": ("Sent events are not deleted", "Sent events are deleted again"),
    "event_relay": ("The outbox sends no events", "The outbox sends events again"),
    "feed": ("Event streams get no updates", "Event streams get updates again"),
    "garbage_collection": ("Cyclic garbage is not collected", "Cyclic garbage is collected again"),
    "idempotency_purge": (
        "Old idempotency keys are not deleted",
        "Old idempotency keys are deleted again",
    ),
    "keyring_watch": ("Changes to the key file are not noticed", "The key file is watched again"),
    "listening": (
        "This queue worker does not beat; while none does, no time counts against visitors",
        "This queue worker beats again",
    ),
    "mode_check": (
        "A bug keeps this worker from checking the mode of the data in a store",
        "The mode of the data is checked again",
    ),
    "load_report": (
        "This booking worker reports neither load nor stock to the waiting rooms",
        "This booking worker reports again",
    ),
    "metrics_flush": ("Metrics of this process are not updated", "Metrics are written again"),
    "payment_events": (
        "Payment events are not read, so paid visitors keep their slots",
        "Payment events are read again",
    ),
    "room_watch": (
        "Rooms that wake are not noticed, so the metrics may leave them out",
        "Rooms that wake are noticed again",
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
        "Seats of lapsed reservations are not put back on sale",
        "Seats of lapsed reservations are put back again",
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
        "The reason of a room's admission decision changed; `per_s` is its present rate",
        ("room", "reason", "per_s", "free", "load"),
    ),
    "admission_decision_failed": LogEvent(
        "The policy failed for one room, which keeps its last decision", ("room", "reason")
    ),
    "batch_failed": LogEvent(
        "A bug failed a batch; `key` is its room or its statement", ("key", "size", "reason")
    ),
    "charge_rejected": LogEvent(
        "The payment provider rejected a charge as invalid, which counts as declined",
        ("charge", "reason"),
    ),
    "charge_unknown": LogEvent(
        "The provider reported a charge that this installation did not make", ("charge",)
    ),
    "connection_sweep_failed": LogEvent(
        "A bug failed the sweep of one connection, which is not swept any more", ("reason",)
    ),
    "database_lossy": LogEvent(
        "PostgreSQL may lose confirmed payments in a crash; `reason` names the settings",
        ("reason",),
    ),
    "departures_failed": LogEvent(
        "Visitors of one room who paid could not be removed; their events are dead letters",
        ("room", "reason"),
    ),
    "event_rejected": LogEvent(
        "The store rejected an event of the outbox; `dead` events wait for an operator",
        ("event_id", "dead", "reason"),
    ),
    "feed_room_failed": LogEvent("Event streams of one room get no updates", ("room", "reason")),
    "payment_lost": LogEvent(
        "A payment was gone when its charge was made, as after a failover to a standby that lacks "
        "it; the charge is refunded",
        ("charge",),
    ),
    "shop_keys_failed": LogEvent(
        "A shop's key set cannot be fetched; its last good keys stay in use", ("url", "reason")
    ),
    "shop_keys_recovered": LogEvent("A shop's key set can be fetched again", ("url",)),
    "keyring_loaded": LogEvent("The keys of tickets and passes were read again", ("kids",)),
    "keyring_unreadable": LogEvent(
        "The changed key file is invalid; the worker keeps its present keys",
        ("reason", "kept"),
    ),
    "management_exited": LogEvent(
        "The management process ended and is started again; visitors are not affected",
        ("status", "retry_in_s"),
    ),
    "metric_failed": LogEvent(
        "A figure of the metrics is missing or old; the others are not affected",
        ("figure", "reason"),
    ),
    "metric_recovered": LogEvent("A figure of the metrics is complete again", ("figure",)),
    "library_message": LogEvent(
        "A library logged a warning or an error; `logger` is its name", ("logger", "text")
    ),
    "log_limited": LogEvent(
        "Lines of one kind were left out: more than 20 within 10 s", ("kind", "left_out")
    ),
    "payment_event_rejected": LogEvent(
        "An event of the box office cannot be handled and is a dead letter",
        ("entry", "reason"),
    ),
    "payment_flagged": LogEvent(
        "The provider reports something special of a payment: a refund, a dispute, another amount; "
        "`seats` are on sale again. `waitline payments` lists those that need attention",
        ("payment", "flag", "state", "seats"),
    ),
    "schedule_settling": LogEvent(
        "Reservations of a stopped schedule were ended",
        ("schedule", "live", "ended", "refunding", "settled"),
    ),
    "payment_unsettled": LogEvent(
        "A payment is still open after a status check with the provider; the check is repeated",
        ("payment", "state", "looks", "reason"),
    ),
    "queue_recovered": LogEvent("The queue service answers the box office again"),
    "queue_unreachable": LogEvent("The circuit breaker to the queue service opened", ("reason",)),
    "request_failed": LogEvent("A bug failed a request (500)", ("path", "reason")),
    "request_unavailable": LogEvent(
        "A request got 503; at most one line in ten seconds, `unlogged` counts the others",
        ("path", "reason", "unlogged"),
    ),
    "room_closed": LogEvent(
        "A room closed by its closing time; one admitter logs it, `waitline rooms log` has what "
        "operators changed",
        ("room",),
    ),
    "room_opened": LogEvent(
        "A room opened by its opening time; one admitter logs it, within about a second", ("room",)
    ),
    "room_visit_failed": LogEvent(
        "The admitter failed in one room, and retries it after a pause", ("room", "reason")
    ),
    "admitter_started": LogEvent("The admitter runs on this Valkey", ("does", "mode", "valkey")),
    "https_missing": LogEvent(
        "Production without a proxy that ends TLS: browsers would not keep visitors' cookies",
        ("reason",),
    ),
    "service_listening": LogEvent(
        "A service has started: what it does, where it listens, and which stores it uses",
        ("service", "does", "mode", "addresses", "workers", "valkey", "database", "payments"),
    ),
    "shop_report_invalid": LogEvent("A load report cannot be parsed", ("reason",)),
    "shop_reports_unreadable": LogEvent(
        "The load reports cannot be read; the last ones still hold", ("reason",)
    ),
    "shutdown_timed_out": LogEvent(
        "Graceful shutdown took too long and the process was ended", ("after_s",)
    ),
    "variables_ignored": LogEvent(
        "Environment variables that Kubernetes or Docker set for a service or link are no settings",
        ("variables",),
    ),
    "store_unchecked": LogEvent(
        "A store could not be checked at the start; the process starts and checks again",
        ("reason",),
    ),
    "store_of_another_mode": LogEvent(
        "A store was exchanged for one with data of another mode; this process uses it no more",
        ("reason",),
    ),
    "store_slots_mapped": LogEvent(
        "The slots of Valkey's cluster are held by other nodes than before", ("primaries",)
    ),
    "store_unsaved": LogEvent("Valkey loses the line at a restart", ("reason",)),
    "store_unfit": LogEvent(
        "Valkey may lose data, for example by an eviction policy; `reason` names the remedy",
        ("reason",),
    ),
    "webhook_message_dropped": LogEvent(
        "The payment sandbox gave up on a webhook message", ("charge", "reason")
    ),
}

_FAILED: Final = ("reason", "retry_in_s")

EVENTS: Final[Mapping[str, LogEvent]] = MappingProxyType(
    _OTHERS
    | {f"{name}_failed": LogEvent(failed, _FAILED) for name, (failed, _) in _STEPS.items()}
    | {f"{name}_recovered": LogEvent(works) for name, (_, works) in _STEPS.items()}
)
"""Every event by its name."""
