"""Figures of an interval: what `waitline top` shows, and its JSON document. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from waitline.sales.live_view.samples import MetricChange

HTTP = "http_server_requests_seconds"

NAMES = frozenset(
    {
        "queue_wait_size", "queue_active_size", "queue_active_limit", "queue_entry_count_total",
        "queue_exit_count_total", "queue_estimated_wait_seconds", "queue_admission_reason",
        "queue_admission_limit_per_second", "queue_shop_free_seats",
        "queue_shop_live_reservations", "queue_shop_load", "queue_shop_report_age_seconds",
        "queue_admission_decisions_total", "queue_streams_open", "scheduler_move_users_total",
        "scheduler_concerts_count", "scheduler_admitters", "metrics_rooms_omitted",
        f"{HTTP}_bucket", f"{HTTP}_sum", f"{HTTP}_count",
        "process_cpu_seconds_total", "process_resident_memory_bytes", "service_processes",
        "event_loop_lag_seconds", "database_pool_size", "database_pool_in_use",
        "database_pool_waiting", "outbox_events", "payments_open", "payments_attention",
        "payments_confirmed_amount_total",
    }
)  # fmt: skip
"""The metrics that are read."""

_NOT_SHOWN = ("/actuator/", "/api/v1/health")


class _Shown(msgspec.Struct, frozen=True, rename="camel"):
    """A part of the document; its fields are in camel case there."""


class RoomRow(_Shown, frozen=True):
    """A room in which something happens.

    Attributes:
        room: Its name.
        waiting: Visitors who wait.
        active: Visitors who hold a slot.
        active_max: Most of them.
        entered_per_s: Visitors who took a place, per second; `None` until it is known.
        admitted_per_s: Visitors admitted, per second.
        left_per_s: Visitors who left, for whatever reason, per second.
        wait_s: Estimated wait of a new visitor, in s; `None` if nobody was admitted lately.
        reason: Reason of the admission decision; `None` if the shop has never reported.
        limit_per_s: Current limit of admissions per second, of that decision.
        free_seats: Available seats, as the shop reported.
        live_reservations: Unpaid reservations, as the shop reported.
        shop_load: Load of the shop relative to its target.
        report_age_s: Age of that report, in s.
    """

    room: str
    waiting: int
    active: int
    active_max: int
    entered_per_s: float | None
    admitted_per_s: float | None
    left_per_s: float | None
    wait_s: float | None
    reason: str | None
    limit_per_s: float | None
    free_seats: int | None
    live_reservations: int | None
    shop_load: float | None
    report_age_s: float | None


class CallRow(_Shown, frozen=True):
    """A call of a service that was made in the interval.

    Attributes:
        service: The service.
        call: Method and route.
        per_s: Requests per second.
        refused_per_s: Of these, answered with 4xx.
        failed_per_s: Of these, answered with 5xx.
        p50_ms: Median, 95th and 99th percentile of the time to the response, in ms.
        p95_ms: See above.
        p99_ms: See above.
    """

    service: str
    call: str
    per_s: float
    refused_per_s: float
    failed_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class InstanceRow(_Shown, frozen=True):
    """An instance of a service.

    Attributes:
        service: The service.
        instance: Its name.
        processes: Its processes.
        per_s: Requests per second.
        cpu_cores: CPU time per second, in cores.
        memory_bytes: Resident memory.
        loop_lag_s: Highest event loop lag in the last second.
        streams: Open event streams.
    """

    service: str
    instance: str
    processes: int
    per_s: float
    cpu_cores: float | None
    memory_bytes: int
    loop_lag_s: float | None
    streams: int


class BoxOfficeFigures(_Shown, frozen=True):
    """The box office.

    Attributes:
        paid_per_s: Amount paid per second, in minor units, by currency.
        payments_pending: Payments without an outcome.
        payments_refunding: Payments that are being refunded.
        payments_attention: Payments that need an operator.
        events_waiting: Events not sent yet.
        events_dead: Events that need an operator.
        connections: Open connections to the database.
        connections_in_use: Of these, those that run a statement.
        statements_waiting: Statements that wait for a connection.
    """

    paid_per_s: dict[str, float]
    payments_pending: int
    payments_refunding: int
    payments_attention: int
    events_waiting: int
    events_dead: int
    connections: int
    connections_in_use: int
    statements_waiting: int


class SourceRow(_Shown, frozen=True):
    """Where metrics are read.

    Attributes:
        address: Its address.
        failure: Why it could not be read; `None` if it was.
    """

    address: str
    failure: str | None


class LiveFigures(_Shown, frozen=True):
    """Everything about one interval.

    Attributes:
        at: When it ended: ISO 8601, UTC.
        interval_s: Its length, in s.
        sources: Where metrics are read.
        rooms: Those in which something happens, most visitors waiting first.
        rooms_total: All rooms.
        rooms_omitted: Rooms in which something happens, but which the services do not show.
        admitters: Admitters that share the rooms.
        decisions_per_s: Decisions of the admission policy, per second, by reason.
        calls: Calls that were made, the most frequent first.
        instances: The instances of the services.
        box_office: The box office; `None` without one.
    """

    at: str
    interval_s: float
    sources: list[SourceRow]
    rooms: list[RoomRow]
    rooms_total: int
    rooms_omitted: int
    admitters: int
    decisions_per_s: dict[str, float]
    calls: list[CallRow]
    instances: list[InstanceRow]
    box_office: BoxOfficeFigures | None


def live_figures(
    change: MetricChange, interval_s: float, failures: Mapping[str, str | None], at: str
) -> LiveFigures:
    """Return the figures of an interval.

    Args:
        change: The metrics at its begin and end.
        interval_s: Its length.
        failures: Why a source could not be read, or `None`, by address.
        at: When it ended.
    """
    # Every instance of the queue service reports the same rooms.
    rooms_total = change.now("scheduler_concerts_count", over=max)
    decisions = change.per_second("queue_admission_decisions_total", "reason")
    return LiveFigures(
        at=at,
        interval_s=round(interval_s, 3),
        sources=[SourceRow(address, failure) for address, failure in failures.items()],
        rooms=_rooms(change),
        rooms_total=int(rooms_total.get((), 0)),
        rooms_omitted=int(change.now("metrics_rooms_omitted", over=max).get((), 0)),
        admitters=int(change.now("scheduler_admitters", over=max).get((), 0)),
        decisions_per_s={reason: round(rate, 2) for (reason,), rate in sorted(decisions.items())},
        calls=_calls(change),
        instances=_instances(change),
        box_office=_box_office(change),
    )


def _rooms(change: MetricChange) -> list[RoomRow]:
    def now(name: str) -> dict[Sequence[str], float]:
        return change.now(name, "concert_id", over=max)

    def rate(name: str) -> dict[Sequence[str], float]:
        return change.per_second(name, "concert_id", over=max)

    left: dict[str, float] = {}
    by_reason = change.per_second("queue_exit_count_total", "concert_id", "reason", over=max)
    for (room, _), per_s in by_reason.items():
        left[room] = left.get(room, 0.0) + per_s
    reasons = {
        room: reason
        for (room, reason), holds in change.now(
            "queue_admission_reason", "concert_id", "reason", over=max
        ).items()
        if holds
    }
    active, most = now("queue_active_size"), now("queue_active_limit")
    entered, admitted = rate("queue_entry_count_total"), rate("scheduler_move_users_total")
    waits, limits = now("queue_estimated_wait_seconds"), now("queue_admission_limit_per_second")
    free, live = now("queue_shop_free_seats"), now("queue_shop_live_reservations")
    loads, ages = now("queue_shop_load"), now("queue_shop_report_age_seconds")
    rows = [
        RoomRow(
            room=key[0],
            waiting=int(waiting),
            active=int(active.get(key, 0)),
            active_max=int(most.get(key, 0)),
            entered_per_s=_rounded(entered.get(key)),
            admitted_per_s=_rounded(admitted.get(key)),
            left_per_s=_rounded(left.get(key[0])),
            wait_s=_rounded(waits.get(key)),
            reason=reasons.get(key[0]),
            limit_per_s=_rounded(limits.get(key)),
            free_seats=_whole(free.get(key)),
            live_reservations=_whole(live.get(key)),
            shop_load=_rounded(loads.get(key)),
            report_age_s=_rounded(ages.get(key)),
        )
        for key, waiting in now("queue_wait_size").items()
    ]
    return sorted(rows, key=lambda row: (-row.waiting, -row.active, row.room))


def _calls(change: MetricChange) -> list[CallRow]:
    by = ("service", "method", "uri")
    statuses = change.per_second(f"{HTTP}_count", *by, "status")
    rows = []
    for group, times in change.histograms(HTTP, *by).items():
        service, method, uri = group
        if times.total <= 0 or uri.startswith(_NOT_SHOWN):
            continue

        def of(digit: str, group: Sequence[str] = group) -> float:
            return sum(
                rate
                for key, rate in statuses.items()
                if key[:-1] == group and key[-1].startswith(digit)
            )

        p50, p95, p99 = (times.quantile_s(share) for share in (0.5, 0.95, 0.99))
        rows.append(
            CallRow(
                service=service,
                call=f"{method} {uri}",
                per_s=round(times.total, 2),
                refused_per_s=round(of("4"), 2),
                failed_per_s=round(of("5"), 2),
                p50_ms=_ms(p50),
                p95_ms=_ms(p95),
                p99_ms=_ms(p99),
            )
        )
    return sorted(rows, key=lambda row: (-row.per_s, row.service, row.call))


def _instances(change: MetricChange) -> list[InstanceRow]:
    by = ("service", "instance")
    requests = change.per_second(f"{HTTP}_count", *by)
    cpu = change.per_second("process_cpu_seconds_total", *by)
    memory = change.now("process_resident_memory_bytes", *by)
    lags = change.now("event_loop_lag_seconds", *by, over=max)
    streams = change.now("queue_streams_open", *by)
    return [
        InstanceRow(
            service=group[0],
            instance=group[1],
            processes=int(processes),
            per_s=round(requests.get(group, 0.0), 2),
            cpu_cores=_rounded(cpu.get(group)),
            memory_bytes=int(memory.get(group, 0)),
            loop_lag_s=_rounded(lags.get(group), 4),
            streams=int(streams.get(group, 0)),
        )
        for group, processes in sorted(change.now("service_processes", *by).items())
    ]


def _box_office(change: MetricChange) -> BoxOfficeFigures | None:
    # Every instance of the box office reports the same database.
    events = change.now("outbox_events", "state", over=max)
    payments = change.now("payments_open", "state", over=max)
    if not events:
        return None
    paid = change.per_second("payments_confirmed_amount_total", "currency")
    return BoxOfficeFigures(
        paid_per_s={currency: round(rate, 2) for (currency,), rate in sorted(paid.items())},
        payments_pending=int(payments.get(("pending",), 0)),
        payments_refunding=int(payments.get(("refunding",), 0)),
        payments_attention=int(change.now("payments_attention", over=max).get((), 0)),
        events_waiting=int(events.get(("waiting",), 0)),
        events_dead=int(events.get(("dead",), 0)),
        connections=int(change.now("database_pool_size").get((), 0)),
        connections_in_use=int(change.now("database_pool_in_use").get((), 0)),
        statements_waiting=int(change.now("database_pool_waiting").get((), 0)),
    )


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s * 1000, 2)
