"""Offered load of a script, as k6 resolves its options. Pure.

Source: `k6 inspect --execution-requirements`, whose durations are written as Go writes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

AROUND_S = 150.0
"""Extra time of a run beyond its scenarios: k6 allows setup and teardown a minute each."""

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
_DURATION = re.compile(r"([\d.]+)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Offer:
    """Load of a script.

    Attributes:
        scenarios: Scenarios, as k6 prints them.
        load_s: Time from the first arrival to the last.
        most_s: Timeout of the whole run.
    """

    scenarios: Mapping[str, Mapping[str, Any]]
    load_s: float
    most_s: float


def parse_offer(inspected: Mapping[str, Any]) -> Offer:
    """Parse k6's inspection of a script."""
    scenarios: Mapping[str, Mapping[str, Any]] = inspected["scenarios"]
    return Offer(
        scenarios=scenarios,
        load_s=max(map(length_s, scenarios.values()), default=0.0),
        most_s=duration_s(inspected["totalDuration"]) + AROUND_S,
    )


def length_s(scenario: Mapping[str, Any]) -> float:
    """Return the time of a scenario's last arrival, in s after the start."""
    stages = scenario.get("stages") or ()
    lasts = scenario.get("duration") or scenario.get("maxDuration")
    length = sum(duration_s(stage["duration"]) for stage in stages) or duration_s(lasts)
    return duration_s(scenario.get("startTime")) + length


def visitors_each(scenarios: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the visitors per arrival: our scripts declare it, others have one."""
    inspected = [(scenario.get("env") or {}).get("VISITORS") for scenario in scenarios.values()]
    return int(inspected[0]) if len(inspected) == 1 and inspected[0] else 1


def steps(scenarios: Mapping[str, Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return visitors/s over time as a polyline; none for closed or overlapping loads."""
    corners: list[tuple[float, float]] = []
    each = visitors_each(scenarios)
    for scenario in sorted(scenarios.values(), key=lambda one: duration_s(one["startTime"])):
        own = _corners(scenario)
        if not own or (corners and own[0][0] < corners[-1][0]):
            return []
        corners += [(at_s, each * rate) for at_s, rate in own]
    return corners


def planned(scenarios: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the planned visitors; 0 for closed models."""
    lines = [_corners(scenario) for scenario in scenarios.values()]
    arrivals = sum(
        (a + b) / 2 * (later - at) for line in lines for (at, a), (later, b) in pairwise(line)
    )
    return round(visitors_each(scenarios) * arrivals) if all(lines) else 0


def _corners(scenario: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return arrivals/s over time; empty for closed models."""
    if scenario["executor"] not in {"constant-arrival-rate", "ramping-arrival-rate"}:
        return []
    at_s, unit_s = duration_s(scenario["startTime"]), duration_s(scenario["timeUnit"])
    rate = scenario.get("rate") or scenario.get("startRate") or 0
    # A constant rate is a single stage.
    stages = scenario.get("stages") or [{"duration": scenario["duration"], "target": rate}]
    corners = [(at_s, rate / unit_s)]
    for stage in stages:
        at_s += duration_s(stage["duration"])
        corners.append((at_s, stage["target"] / unit_s))
    return corners


def duration_s(text: str | None) -> float:
    """Read a duration such as `1m30s`; 0.0 for none."""
    return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(text or ""))
