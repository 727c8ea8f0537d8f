"""Did memory and open files stay flat? Pure.

A leak shows as a slope that goes on. What a process takes while it warms up does not, so only the
second half of the arrivals is judged. The slope is the median of those between any two looks, which
one busy look does not move.
Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median

from waitline.bench.scenario import words
from waitline.bench.scenario.summary import Threshold

MEMORY_MB_PER_H_MAX = 30.0
"""Growth of one part. Python's allocator takes memory in pieces of a megabyte, so that a healthy
process moves by a few. At 2 000 calls a second a leak of five bytes a call exceeds this."""

FILES_PER_H_MAX = 100.0
"""Growth of one part. Connections come and go by some dozens; one file lost in a thousand calls is
thousands an hour."""

SPAN_S_MIN = 600.0
"""Length of the arrivals from which on growth is judged: in a shorter run the pieces by which
memory is taken, told per hour, look like leaks."""

LOOKS_MIN = 10
"""Looks in the second half that a slope takes."""

UNJUDGED = frozenset(("k6", "runner", "others", "sandbox"))
"""Parts that are measured and not judged: the generator and this runner keep every figure; the play
provider remembers its last 200 000 charges, which takes it some 100 MB and hours to reach."""


def judged(
    at_s: Sequence[float],
    memory_mb: Mapping[str, Sequence[float]],
    files: Mapping[str, Sequence[float]],
    until_s: float,
) -> list[Threshold]:
    """Judge what every part has grown by, per hour, in the second half of the arrivals.

    Args:
        at_s: When each look was taken, from the first arrival on.
        memory_mb: At each look, by part.
        files: How many were open then, by part.
        until_s: When arrivals ended.

    Returns:
        Two thresholds a part; none if it did not go on for long enough to tell.
    """
    half = [index for index, at in enumerate(at_s) if until_s / 2 <= at <= until_s]
    if until_s < SPAN_S_MIN or len(half) < LOOKS_MIN:
        return []
    limits = (
        ("memory", memory_mb, MEMORY_MB_PER_H_MAX, " MB"),
        ("open files", files, FILES_PER_H_MAX, ""),
    )
    return [
        _threshold(
            f"{what} of {words.ROLES[role]}, growth per hour{unit and ' in'}{unit}", grown, most
        )
        for what, columns, most, unit in limits
        for role in columns
        if role not in UNJUDGED
        for grown in [per_hour([at_s[at] for at in half], [columns[role][at] for at in half])]
    ]


def per_hour(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the median slope between any two looks, per hour; 0.0 of fewer than two."""
    points = list(zip(at_s, values, strict=True))
    slopes = [
        (later - earlier) / (later_s - earlier_s) * 3_600
        for (earlier_s, earlier), (later_s, later) in combinations(points, 2)
        if later_s > earlier_s
    ]
    return median(slopes) if slopes else 0.0


def _threshold(subject: str, grown: float, most: float) -> Threshold:
    return Threshold(subject, f"growth<={most:g}", grown, grown <= most, "server")
