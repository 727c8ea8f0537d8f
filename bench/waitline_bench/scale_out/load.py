"""One measurement: a generator process sends visits to instances."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from waitline.kernel.plurals import counted
from waitline.sales.histogram import Histogram
from waitline_bench import usage
from waitline_bench.generator.crew import Crew
from waitline_bench.scale_out.clients import GRACE_S, ClientPlan
from waitline_bench.scale_out.visits import STEPS, Crowd

START_S = 30.0
"""Timeout of a report of the generator process."""

OnProgress = Callable[[str], None]


class Load(NamedTuple):
    """Length of a measurement.

    Attributes:
        warm_up_s: Time between the start of a closed loop and the measurement, in s.
        seconds: Length of the measurement.
    """

    warm_up_s: float
    seconds: float


def run_visits(
    on_progress: OnProgress,
    plan: ClientPlan,
    crowd: Crowd,
    load: Load,
    roles: usage.Roles,
) -> dict[str, Any]:
    """Send visits and return the figures.

    Args:
        on_progress: Receives the current step as text.
        plan: What the generator does.
        crowd: The visitors.
        load: How long.
        roles: Processes whose CPU time is measured; the generator is added.

    Returns:
        `answers_per_s` and `visits_per_s` within the measurement; `steps`: p50, p95 and p99 in ms
        by step; `ports`: answers by port; `cores`: busy cores by role; `refused`: unexpected
        answers by step and status; `begun`, `entered`, `broken` and `unfinished` visits.

    Raises:
        Unavailable: The generator failed.
    """
    order = {"plan": plan._asdict(), "crowd": crowd._asdict()}
    with Crew("waitline_bench.scale_out.clients", [order]) as crew:
        roles = {**roles, "generator": crew.pids}
        crew.listen(lambda: all(crew.reports), START_S, "the generator's start")
        from_s = monotonic() + load.warm_up_s
        until_s = from_s + load.seconds
        crew.order(from_s=from_s, until_s=until_s)
        _listen(on_progress, crew, from_s, "warming up")
        first = usage.take_reading(roles)
        _listen(on_progress, crew, until_s, "measuring")
        cores = usage.cores_between(first, usage.take_reading(roles))
        crew.listen(
            lambda: crew.total("over") == 1, GRACE_S + START_S, "the generator's last answers"
        )
        (found,) = crew.reports
    return {
        **{name: found[name] for name in ("begun", "entered", "broken", "unfinished", "refused")},
        "answers_per_s": found["answers"] / load.seconds,
        "visits_per_s": found["done"] / load.seconds,
        "ports": found["by_port"],
        "steps": {
            step: _latency(Histogram(found["times"][step]))
            for step in STEPS
            if step in found["times"]
        },
        "cores": cores,
    }


def troubles(figures: dict[str, Any]) -> list[str]:
    """Return what went wrong in a measurement, as sentences."""
    found = [
        f"{step}: {counted(times, 'time')}" for step, times in sorted(figures["refused"].items())
    ]
    for name, text in (
        ("broken", "connections broke while an answer was awaited"),
        ("unfinished", f"visits were not over {GRACE_S:.0f} s after the end"),
    ):
        if figures[name]:
            found.append(f"{figures[name]:,} {text}")
    return found


def _listen(on_progress: OnProgress, crew: Crew, until_s: float, what: str) -> None:
    def over() -> bool:
        left_s = max(0.0, until_s - monotonic())
        on_progress(f"{what}: {crew.total('answers'):,} answers, {left_s:.0f} s to go")
        return left_s == 0

    crew.listen(over, until_s - monotonic() + START_S, what)


def _latency(times: Histogram) -> dict[str, Any]:
    shares: Sequence[tuple[str, float]] = (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))
    return {"count": times.total, **{name: times.quantile_ms(share) for name, share in shares}}
