"""Throughput of the queue service by its number of instances.

Every instance has the same CPU quota, so small that all of them, the store and the generator fit on
this machine: then the instances are the limit, as on machines of their own. What n instances answer
is compared with n times what one instance answers in the same round.
"""

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from waitline.trial import ValkeyServer
from waitline_bench.cpu_quotas import CpuQuotas
from waitline_bench.measured_room import Room
from waitline_bench.scale_out import instances
from waitline_bench.scale_out.clients import ClientPlan
from waitline_bench.scale_out.instances import Instance
from waitline_bench.scale_out.load import Load, OnProgress, run_visits, troubles
from waitline_bench.scale_out.visits import Crowd, Work

WAITING = 20_000
"""Visitors who wait and are polled."""

ADMIT_PER_S = {Work.ENTER: 2_000.0, Work.POLL: 20.0, Work.JOURNEY: 100_000.0}
"""Admissions per second: the default; few, so that those who are polled still wait; and without an
effective limit, so that a journey waits for a poll only."""

VISITS = {Work.ENTER: 48, Work.POLL: 48, Work.JOURNEY: 700}
"""Visits in progress per instance: enough that its quota is the limit. A visitor on a journey
pauses for a second before it polls."""

CONNECTIONS = 48
"""Connections per instance; more requests wait for one in the generator."""

WARM_UP_S = 2.0
"""Longer than the pause of a journey, so that its steps are evenly mixed."""


@dataclass(frozen=True, slots=True)
class ScaleOutEffort:
    """Size of a run.

    Attributes:
        counts: Numbers of instances, the first of which is 1.
        works: What to measure.
        share: CPU quota of an instance, as a share of a core.
        seconds: Length of a measurement.
        rounds: How often each is measured, alternately.
    """

    counts: tuple[int, ...]
    works: tuple[Work, ...]
    share: float
    seconds: float
    rounds: int


def run_scale_out(on_progress: OnProgress, effort: ScaleOutEffort) -> dict[str, Any]:
    """Measure each work at each number of instances, several rounds.

    Returns:
        By work and number of instances: medians of the rounds (`combined`).

    Raises:
        Misconfigured: CPU quotas cannot be set here.
        Unavailable: An instance did not start, or the generator failed.
    """
    found: dict[Work, dict[int, list[dict[str, Any]]]] = {work: {} for work in effort.works}
    with ExitStack() as stack:
        quotas = stack.enter_context(CpuQuotas())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        store = ValkeyServer(folder / "valkey")
        stack.callback(store.stop)
        store.start()
        most = max(effort.counts)
        on_progress(f"starting {most} instances")
        started = stack.enter_context(
            instances.start(most, folder, store.url, quotas, effort.share)
        )
        bench = _Bench(on_progress, effort, store, quotas, started)
        for number in range(effort.rounds):
            for work in effort.works:
                # Alternate 1 2 4, 4 2 1, …, so that slow drift of the machine affects all alike.
                counts = effort.counts if number % 2 == 0 else tuple(reversed(effort.counts))
                for count in counts:
                    figures = bench.run_case(work, count, number)
                    found[work].setdefault(count, []).append(figures)
    return {work: combined(by_count) for work, by_count in found.items()}


def combined(by_count: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Combine the rounds of one work.

    Args:
        by_count: The figures of each round, by number of instances.

    Returns:
        By number of instances, medians: `per_s` visits per second; `times`: that as a multiple of
        one instance's in the same round, with the least and the most; `efficiency`: `times` per
        instance. `rounds` has everything.
    """
    single = [figures["visits_per_s"] for figures in by_count[1]]
    rows = {}
    for count, rounds in sorted(by_count.items()):
        times = [one["visits_per_s"] / alone for one, alone in zip(rounds, single, strict=True)]
        rows[str(count)] = {
            "per_s": median(one["visits_per_s"] for one in rounds),
            "answers_per_s": median(one["answers_per_s"] for one in rounds),
            "times": median(times),
            "times_least": min(times),
            "times_most": max(times),
            "efficiency": median(times) / count,
            "steps": {
                step: {
                    name: median(one["steps"][step][name] for one in rounds)
                    for name in ("p50_ms", "p95_ms", "p99_ms")
                }
                for step in rounds[0]["steps"]
                if all(step in one["steps"] for one in rounds)
            },
            "quota_used": median(one["quota_used"] for one in rounds),
            "throttled": median(one["throttled"] for one in rounds),
            "lease_refused": median(one["lease_refused"] for one in rounds),
            "cores": {
                role: median(one["cores"][role] for one in rounds) for role in rounds[0]["cores"]
            },
            "instances": rounds[-1]["instances"],
            "troubles": [trouble for one in rounds for trouble in one["troubles"]],
            "rounds": rounds,
        }
    return rows


class _Bench:
    """Measures on running instances, of which it pauses those that do not take part."""

    def __init__(
        self,
        on_progress: OnProgress,
        effort: ScaleOutEffort,
        store: ValkeyServer,
        quotas: CpuQuotas,
        started: Sequence[Instance],
    ) -> None:
        self._on_progress = on_progress
        self._effort = effort
        self._store = store
        self._quotas = quotas
        self._started = started

    def run_case(self, work: Work, count: int, number: int) -> dict[str, Any]:
        """Measure one work at one number of instances, in a room of its own."""
        chosen, others = self._started[:count], self._started[count:]

        def say(text: str) -> None:
            self._on_progress(f"round {number + 1}, {work}, instances: {count}; {text}")

        with _paused(others):
            room = Room(self._store.url, f"{work}-{count}-{number}")
            room.fill(WAITING if work is Work.POLL else 0, ADMIT_PER_S[work])
            room.open()
            plan = ClientPlan(
                ports=tuple(instance.port for instance in chosen),
                connections=CONNECTIONS,
                visits=VISITS[work] * count,
                per_s=0.0,
            )
            crowd = Crowd(work, (room.name,), WAITING, "n")
            roles = {
                **{instance.name: instance.pids for instance in chosen},
                "admitters": [instance.admitter.pid for instance in chosen],
                "valkey": [self._store.pid],
            }
            before = [_Counts.of(instance, self._quotas) for instance in chosen]
            load = Load(WARM_UP_S, self._effort.seconds)
            figures = run_visits(say, plan, crowd, load, roles)
            after = [_Counts.of(instance, self._quotas) for instance in chosen]
            survey = room.survey()
            findings = room.findings()
            room.delete()
        counts = [last.since(first) for first, last in zip(before, after, strict=True)]
        requests = sum(one.requests for one in counts)
        attempts = sum(one.attempts for one in counts)
        return {
            **figures,
            "instances": [
                {"instance": one.label, "share": one.requests / requests} for one in counts
            ],
            "lease_refused": survey.counters["lease_refused"] / max(1, attempts),
            "throttled": sum(one.throttled for one in counts) / sum(one.periods for one in counts),
            "quota_used": median(
                figures["cores"][instance.name] / self._effort.share for instance in chosen
            ),
            "troubles": [*troubles(figures), *findings],
        }


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counters of an instance: its label, requests, calls of admit, and periods of its quota."""

    label: str
    requests: float
    attempts: float
    periods: int
    throttled: int

    @classmethod
    def of(cls, instance: Instance, quotas: CpuQuotas) -> "_Counts":
        metrics, throttling = instance.metrics(), quotas.throttling(instance.name)
        requests = "http_server_requests_seconds_count"
        return cls(
            ",".join(metrics.values(requests, "instance")),
            metrics.total(requests),
            metrics.total("redis_script_duration_seconds_count", script="admit"),
            throttling.periods,
            throttling.throttled,
        )

    def since(self, earlier: "_Counts") -> "_Counts":
        return _Counts(
            self.label,
            self.requests - earlier.requests,
            self.attempts - earlier.attempts,
            self.periods - earlier.periods,
            self.throttled - earlier.throttled,
        )


@contextmanager
def _paused(others: Sequence[Instance]) -> Iterator[None]:
    """Stop all processes of some instances meanwhile, so that they take no CPU time and no lease.

    Instances that are not started at all would be the same, but starting them takes seconds.
    """
    for instance in others:
        instance.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for instance in others:
            instance.signal(signal.SIGCONT)
