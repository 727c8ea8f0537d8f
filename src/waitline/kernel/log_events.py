"""Log events: the one list of names that appear as `event` in the log, with meaning and keys.

Operators alert on the names, so a name is an interface: docs/log-events.md is its table, and
tests/test_log_events.py holds every log call and that table against this list.

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
        keys: What the line carries besides event, level and timestamp.
    """

    meaning: str
    keys: tuple[str, ...] = ()


EVENTS: Final[Mapping[str, LogEvent]] = MappingProxyType(
    {
        "admission_changed": LogEvent(
            "A room admits at another pace or for another reason than before, by the shop's report",
            ("room", "reason", "per_s", "free", "load"),
        ),
        "admission_decision_failed": LogEvent(
            "The policy failed for one room, which keeps its last decision", ("room", "reason")
        ),
        "admission_failed": LogEvent(
            "The admitter cannot reach the store, so nobody is admitted", ("reason",)
        ),
        "admission_recovered": LogEvent("The admitter reaches the store again"),
        "batch_failed": LogEvent("A bug failed a batch of requests", ("room", "size", "reason")),
        "charge_rejected": LogEvent(
            "The payment provider rejected a charge as invalid, which counts as declined",
            ("charge", "reason"),
        ),
        "charge_unknown": LogEvent(
            "The provider reported a charge that this installation did not make", ("charge",)
        ),
        "departures_failed": LogEvent(
            "Visitors of one room who paid could not be removed; their events are dead letters",
            ("room", "reason"),
        ),
        "event_rejected": LogEvent(
            "The store rejected an event of the outbox; `dead` events wait for an operator",
            ("event_id", "dead", "reason"),
        ),
        "event_relay_failed": LogEvent("The outbox sends no events", ("reason",)),
        "event_relay_recovered": LogEvent("The outbox sends events again"),
        "feed_failed": LogEvent("Event streams get no updates from the store", ("reason",)),
        "feed_room_failed": LogEvent(
            "Event streams of one room get no updates", ("room", "reason")
        ),
        "idempotency_answer_lost": LogEvent(
            "A request was carried out, but its answer is not stored for its idempotency key",
            ("reason",),
        ),
        "idempotency_purge_failed": LogEvent("Old idempotency keys are not deleted", ("reason",)),
        "keyring_loaded": LogEvent("The keys of tickets and passes were read again", ("kids",)),
        "keyring_unreadable": LogEvent(
            "The changed key file cannot be used; the worker keeps the keys that it has",
            ("reason", "kept"),
        ),
        "load_report_failed": LogEvent(
            "The box office does not report its load and stock to the waiting rooms", ("reason",)
        ),
        "load_report_recovered": LogEvent("The box office reports load and stock again"),
        "payment_event_rejected": LogEvent(
            "An event of the box office cannot be handled and is a dead letter",
            ("entry", "reason"),
        ),
        "payment_events_failed": LogEvent(
            "The admitter reads no payment events, so paid visitors keep their slots", ("reason",)
        ),
        "payment_events_recovered": LogEvent("The admitter reads payment events again"),
        "payment_unsettled": LogEvent(
            "A payment is still open after a look at the provider; it is tried again",
            ("payment", "state", "looks", "reason"),
        ),
        "queue_recovered": LogEvent("The queue service answers the box office again"),
        "queue_unreachable": LogEvent(
            "The circuit breaker to the queue service opened", ("reason",)
        ),
        "request_failed": LogEvent("A bug failed a request (500)", ("path", "reason")),
        "request_unavailable": LogEvent(
            "A request got 503; at most one line a second, `unlogged` counts the others",
            ("path", "reason", "unlogged"),
        ),
        "room_visit_failed": LogEvent(
            "The admitter failed in one room, and retries it after a pause", ("room", "reason")
        ),
        "seat_expiry_failed": LogEvent(
            "Seats of lapsed reservations are not put back on sale", ("reason",)
        ),
        "seat_expiry_recovered": LogEvent("Seats of lapsed reservations are put back again"),
        "settlement_failed": LogEvent("Open payments are not settled", ("reason",)),
        "shop_report_invalid": LogEvent("A load report cannot be parsed", ("reason",)),
        "shop_reports_unreadable": LogEvent(
            "The load reports cannot be read; the last ones still hold", ("reason",)
        ),
        "shutdown_timed_out": LogEvent(
            "Graceful shutdown took too long and the process was ended", ("after_s",)
        ),
        "webhook_message_dropped": LogEvent(
            "The payment sandbox gave up on a webhook message", ("charge", "reason")
        ),
    }
)
