"""Leak detection: the trend of memory and open files. Pure.

A leak shows as a slope that goes on. What a process takes while it warms up does not, so only the
second half of the arrivals is judged. The slope is the median of those between any two looks, which
one busy look does not move.
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
"""Length of the arrivals from which on growth is judged: in a shorter run the pieces by which
memory is taken look, per hour, like leaks."""

LIMITS = (
    ("memory_mb", "MB that are added per hour", MEMORY_MB_PER_H_MAX),
    ("files", "open files that are added per hour", FILES_PER_H_MAX),
)
"""What is judged: its column, what it is called, and how much of it may be added."""

LOOKS_MIN = 10
"""Looks in the second half that a slope takes."""

UNJUDGED = frozenset(("k6", "runner", "others", "sandbox"))
"""Parts that are measured and not judged: the generator and this runner keep every figure; the play
provider remembers its last 200 000 charges, which takes it some 100 MB and hours to reach."""


def judged(
    at_s: Sequence[float], columns: Mapping[str, Mapping[str, Sequence[float]]], until_s: float
) -> list[Threshold]:
    """Judge the growth of every role's processes per hour, over the second half.

    Args:
        at_s: When each look was taken, from the first arrival on.
        columns: `memory_mb`, `files` and `processes` at each look, by part.
        until_s: When arrivals ended.

    Returns:
        Two thresholds a part; none if it did not go on for long enough to tell.
    """
    half = [index for index, at in enumerate(at_s) if until_s / 2 <= at <= until_s]
    if until_s < SPAN_S_MIN or len(half) < LOOKS_MIN:
        return []
    found = []
    for name, what, most in LIMITS:
        for role, values in columns[name].items():
            if role not in UNJUDGED:
                # Of one process: a database has one for each connection, and these come and go.
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
