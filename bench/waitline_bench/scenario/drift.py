"""Leak detection: the trend of memory and open files. Pure.

A leak shows as a steady slope. Growth during warm-up does not count, so only the second half of the
arrivals is judged. The slope is the Theil-Sen estimator: the median over all pairs of samples,
robust against outliers.
Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median

from waitline_bench.scenario import result_text
from waitline_bench.scenario.summary import Threshold

MEMORY_MB_PER_H_MAX = 30.0
"""Growth of one process. Python's allocator takes memory in pieces of a megabyte, so that a healthy
process moves by a few. At 2 000 calls a second a leak of five bytes a call exceeds this."""

FILES_PER_H_MAX = 300.0
"""Growth of one process. Visitors' connections come and go by some dozens; one lost in ten thousand
calls, at 2 000 a second, is 720 an hour."""

SPAN_S_MIN = 600.0
"""Shortest arrival period for which growth is judged: in a shorter run, single allocations of a
megabyte look like leaks per hour."""

LIMITS = (
    ("memory_mb", "MB that are added per hour", MEMORY_MB_PER_H_MAX),
    ("files", "open files that are added per hour", FILES_PER_H_MAX),
)
"""Criteria: column, label, and largest growth per hour."""

LOOKS_MIN = 10
"""Least samples in the second half for a slope."""

UNJUDGED = frozenset(("k6", "runner", "others", "sandbox"))
"""Parts that are measured but not judged: the generator and this runner keep every figure, and the
sandbox provider keeps its last 200 000 charges, some 100 MB, which takes hours to fill."""


def judged(
    at_s: Sequence[float], columns: Mapping[str, Mapping[str, Sequence[float]]], until_s: float
) -> list[Threshold]:
    """Judge the growth of every role's processes per hour, over the second half.

    Args:
        at_s: Time of each sample since the first arrival.
        columns: `memory_mb`, `files` and `processes` of each sample, by part.
        until_s: End of the arrivals.

    Returns:
        Two thresholds per part; none if the run was too short.
    """
    half = [index for index, at in enumerate(at_s) if until_s / 2 <= at <= until_s]
    if until_s < SPAN_S_MIN or len(half) < LOOKS_MIN:
        return []
    found = []
    for name, what, most in LIMITS:
        for role, values in columns[name].items():
            if role not in UNJUDGED:
                # Per process: a database has one per connection, and their number varies.
                each = [values[at] / max(1, columns["processes"][role][at]) for at in half]
                grown = per_hour([at_s[at] for at in half], each)
                subject = f"{what} per process, {result_text.ROLES[role]}"
                found.append(
                    Threshold(subject, f"growth<={most:g}", grown, grown <= most, "server")
                )
    return found


def per_hour(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the median slope between any two samples, per hour; 0.0 for fewer than two."""
    points = list(zip(at_s, values, strict=True))
    slopes = [
        (later - earlier) / (later_s - earlier_s) * 3_600
        for (earlier_s, earlier), (later_s, later) in combinations(points, 2)
        if later_s > earlier_s
    ]
    return median(slopes) if slopes else 0.0
