"""Time series and totals from the samples of a run. Pure.

Latencies here are the server's: from a request's arrival in the worker to its answer, without
network and client. They come from histogram buckets, so quantiles are estimates.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from waitline.sales.buckets import NOTHING, Buckets
from waitline_bench.scenario.samples import Sample
from waitline_bench.scenario.scrape import Metrics

Column = list[float | None]

PREFIX = "/api/v1/queue/"
BOOKING = {
    "/api/v1/schedules/{scheduleId}/seats": "seats",
    "/api/v1/reservations": "reserve",
    "/api/v1/payments": "pay",
    "/api/v1/reservations/{reservationId}": "refund",
}
"""Routes to report: all below the prefix, with a name for each."""

HTTP = "http_server_requests_seconds"
SCRIPT = "redis_script_duration_seconds"
ROUND = "scheduler_round_duration_seconds"
STATEMENT = "database_statement_duration_seconds"

SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}

_STORE_COMMANDS = re.compile(r"^latency_percentiles_usec_(evalsha(?:_ro)?)$")


def columns(samples: Sequence[Sample], first_s: float) -> dict[str, Any]:
    """Return the changes from each sample to the next.

    Args:
        samples: At least one.
        first_s: Time of the first arrival, by the monotonic clock.

    Returns:
        One list per figure, all as long as `at_s`; under `cores`, `memory_mb`, `files`, `processes`
        and `p95_ms_by_call` one list per role or call. `None` without observations.
    """
    pairs = list(pairwise(samples))
    roles = list(dict.fromkeys(role for sample in samples for role in sample.memory_bytes))
    calls = _calls(samples)
    spans = [_calls_span(earlier, later) for earlier, later in pairs]
    return {
        "at_s": [round(later.at_s - first_s, 2) for _, later in pairs],
        "requests_per_s": _smoothed(spans, [later.at_s - earlier.at_s for earlier, later in pairs]),
        "enters_per_s": _rates(pairs, "entered"),
        "admissions_per_s": _rates(pairs, "let_in"),
        "exits_per_s": _rates(pairs, "gone"),
        "waiting": [later.rooms.waiting for _, later in pairs],
        "admitted": [later.rooms.admitted for _, later in pairs],
        **{name: [_ms(span, share) for span in spans] for name, share in SHARES.items()},
        "p95_ms_by_call": {
            name: [_ms(_span(earlier, later, HTTP, uri=uri), 0.95) for earlier, later in pairs]
            for name, uri in calls.items()
        },
        "cores": _cores(pairs, roles),
        "memory_mb": {
            role: [later.memory_bytes.get(role, 0) / 1e6 for _, later in pairs] for role in roles
        },
        "files": {role: [later.files.get(role, 0) for _, later in pairs] for role in roles},
        "processes": {
            role: [len(later.processes.get(role, ())) for _, later in pairs] for role in roles
        },
        "store_commands_per_s": [_store_rate(earlier, later) for earlier, later in pairs],
        "store_memory_mb": [int(later.store["used_memory"]) / 1e6 for _, later in pairs],
    }


def totals(samples: Sequence[Sample], commands: Mapping[str, str]) -> dict[str, Any]:
    """Return the server's totals of the run.

    Args:
        samples: The first before it, the last after it.
        commands: Valkey's statistics by command.
    """
    first, last = samples[0], samples[-1]
    metrics = last.metrics
    return {
        "calls": {
            name: _figures(_span(first, last, HTTP, uri=uri))
            for name, uri in _calls([last]).items()
        },
        "statuses": {
            status: count
            for status in metrics.values(f"{HTTP}_count", "status")
            if (count := _added(first.metrics, metrics, f"{HTTP}_count", status=status))
        },
        "scripts": {
            name: figures
            for name in metrics.values(f"{SCRIPT}_count", "script")
            if (figures := _figures(_span(first, last, SCRIPT, script=name)))["count"]
        },
        "statements": {
            name: figures
            for name in metrics.values(f"{STATEMENT}_count", "statement")
            if (figures := _figures(_span(first, last, STATEMENT, statement=name)))["count"]
        },
        "rounds": _figures(_span(first, last, ROUND)),
        "lease_refused": metrics.total("scheduler_lock_acquire_failures_total"),
        "store": {
            "version": last.store.get("valkey_version") or last.store.get("redis_version"),
            "memory_peak_mb": int(last.store["used_memory_peak"]) / 1e6,
            "commands": int(last.store["total_commands_processed"])
            - int(first.store["total_commands_processed"]),
            "script_ms": store_script_ms(commands),
        },
        "cpu_s": _cpu_s(samples),
        "took_s": last.usage.at_s - first.usage.at_s,
        "machine_s": last.usage.machine_s - first.usage.machine_s,
        "stolen_s": last.usage.stolen_s - first.usage.stolen_s,
    }


def store_script_ms(commands: Mapping[str, str]) -> dict[str, float]:
    """Return the quantiles of a script's time in the store, in ms; empty if none ran."""
    for name, text in commands.items():
        if _STORE_COMMANDS.match(name):
            quantiles = dict(pair.split("=") for pair in text.split(","))
            return {f"{word}_ms": float(us) / 1_000 for word, us in quantiles.items()}
    return {}


def _calls(samples: Sequence[Sample]) -> dict[str, str]:
    """Return the visitors' calls and their routes."""
    routes = dict.fromkeys(
        route for sample in samples for route in sample.metrics.values(f"{HTTP}_count", "uri")
    )
    queue = {
        route.removeprefix(PREFIX): route for route in sorted(routes) if route.startswith(PREFIX)
    }
    return queue | {name: route for route, name in BOOKING.items() if route in routes}


def _calls_span(earlier: Sample, later: Sample) -> Buckets:
    spans = [_span(earlier, later, HTTP, uri=uri) for uri in _calls([later]).values()]
    spans = [span for span in spans if span.bounds_s]
    if not spans:
        return NOTHING
    counts = tuple(sum(column) for column in zip(*(span.counts for span in spans), strict=True))
    return Buckets(spans[0].bounds_s, counts, sum(span.sum_s for span in spans))


def _smoothed(spans: Sequence[Buckets], took_s: Sequence[float]) -> list[float]:
    """Return calls/s, each the mean of up to three samples.

    Workers update their metrics once a second, unsynchronised, so a sample may include zero, one or
    two updates of a worker.
    """
    windows = [slice(max(0, at - 1), at + 2) for at in range(len(spans))]
    return [sum(span.total for span in spans[w]) / sum(took_s[w]) for w in windows]


def _span(earlier: Sample, later: Sample, name: str, **labels: str) -> Buckets:
    return later.metrics.buckets(name, **labels).since(earlier.metrics.buckets(name, **labels))


def _ms(span: Buckets, share: float) -> float | None:
    seconds = span.quantile_s(share)
    return None if seconds is None else seconds * 1_000


def _figures(span: Buckets) -> dict[str, float | None]:
    mean_s = span.mean_s
    return {
        "count": span.total,
        "mean_ms": None if mean_s is None else mean_s * 1_000,
        **{name: _ms(span, share) for name, share in SHARES.items()},
    }


def _added(earlier: Metrics, later: Metrics, name: str, **labels: str) -> float:
    return max(0.0, later.total(name, **labels) - earlier.total(name, **labels))


def _rates(pairs: Sequence[tuple[Sample, Sample]], name: str) -> list[float]:
    return [
        (getattr(later.rooms, name) - getattr(earlier.rooms, name)) / (later.at_s - earlier.at_s)
        for earlier, later in pairs
    ]


def _cores(pairs: Sequence[tuple[Sample, Sample]], roles: Sequence[str]) -> dict[str, Column]:
    cores: dict[str, Column] = {role: [] for role in (*roles, "others", "stolen")}
    for earlier, later in pairs:
        took_s = later.usage.at_s - earlier.usage.at_s
        ours = 0.0
        for role in roles:
            then_s = earlier.usage.roles_s.get(role, 0.0)
            used = max(0.0, later.usage.roles_s.get(role, 0.0) - then_s) / took_s
            ours += used
            cores[role].append(used)
        machine = (later.usage.machine_s - earlier.usage.machine_s) / took_s
        cores["others"].append(max(0.0, machine - ours))
        cores["stolen"].append((later.usage.stolen_s - earlier.usage.stolen_s) / took_s)
    return cores


def _cpu_s(samples: Sequence[Sample]) -> dict[str, float]:
    """Return CPU time by role; an ended process counts with its last sample."""
    used_s: dict[str, float] = {}
    for earlier, later in pairwise(samples):
        for role, now_s in later.usage.roles_s.items():
            added_s = max(0.0, now_s - earlier.usage.roles_s.get(role, 0.0))
            used_s[role] = used_s.get(role, 0.0) + added_s
    return used_s


def _store_rate(earlier: Sample, later: Sample) -> float:
    name = "total_commands_processed"
    return (int(later.store[name]) - int(earlier.store[name])) / (later.at_s - earlier.at_s)
