"""Poll interval with jitter, and estimate of the wait. Pure."""

from math import ceil, exp, sqrt
from typing import NamedTuple

POLL_NEAR_MS = 3_000
"""Poll interval in ms for the first thousand places. Source: the wire contract."""

POLL_FAR_MS = 10_000
"""Poll interval in ms at twenty thousand places. At a room's default rate (2 000/s) the turn comes
after 10 s, so polling more often brings no news. Source: decision 0008."""

POLL_MAX_MS = 30_000
"""Longest poll interval in ms. A line may move faster than expected; and a client that polls less
often than the server's keep-alive timeout needs a new connection each time."""

POLL_LEAST_MS = 2_000
"""Shortest useful poll interval, in ms. Source: the wire contract."""

POLL_JITTER = 0.2
"""Jitter, as a share of the interval: visitors who joined together do not poll together."""

_NEAR_PLACES = 1_000
_FAR_PLACES = 20_000
_PLACES_PER_MS = (_FAR_PLACES - _NEAR_PLACES) / (POLL_FAR_MS - POLL_NEAR_MS)

RATE_SAMPLES_MIN = 3
"""Fewest measured seconds for an estimate: the count of a single second varies too much."""

RECENT_MS = 30_000
"""Time over which the recent admission rate is smoothed, in ms, the same as in admit.lua. The count
of one second jumps between 0 and a burst; a longer time would hide the effect of a change."""

_SPREAD_LEAST = 0.1
"""Narrowest range, as a share of the mean on either side: a range that is kept is better than a
precise time that is missed."""


def poll_after_ms(position: int, jitter: float) -> int:
    """Return the poll interval for a position, in ms.

    Args:
        position: 1 for the next to be admitted; 0 for the admitted.
        jitter: Random number in [0, 1).
    """
    if position <= _NEAR_PLACES:
        return POLL_NEAR_MS
    wanted = POLL_NEAR_MS + (position - _NEAR_PLACES) / _PLACES_PER_MS
    return int(min(wanted, POLL_MAX_MS) * (1 + POLL_JITTER * jitter))


def first_poll_after_s(position: int, jitter: float) -> int:
    """Return the time until the first poll of a visitor who has just joined, in whole s.

    Args:
        position: As for `poll_after_ms`.
        jitter: As for `poll_after_ms`.

    Source:
        RFC 9110, section 10.2.3: `Retry-After` is in whole seconds.
    """
    return ceil(poll_after_ms(position, jitter) / 1000)


class Seconds(NamedTuple):
    """A range of seconds."""

    low: float
    high: float


class PerSecond(NamedTuple):
    """A range of admissions per second."""

    low: float
    high: float


def rate_range(mean: float, deviation: float, samples: int) -> PerSecond | None:
    """Return the expected range of the admission rate, or `None` if it is unknown.

    The range is one standard error wide on either side, and at least a tenth of the mean.

    Args:
        mean: Smoothed admissions per second.
        deviation: Their standard deviation from second to second.
        samples: Seconds measured.
    """
    if samples < RATE_SAMPLES_MIN or mean <= 0:
        return None
    error = max(deviation / sqrt(samples), mean * _SPREAD_LEAST)
    return PerSecond(low=max(mean - error, mean / 2), high=mean + error)


def recent_rate(recent: float, age_ms: int, span_ms: int) -> float:
    """Return admissions per second, smoothed over `RECENT_MS`; 0.0 if there were none lately.

    Args:
        recent: Admissions, each weighted by e^(-age / `RECENT_MS`), as of the last one.
        age_ms: Time since the last one.
        span_ms: Time since the first one that counts. A room that has just begun to admit shows
            the mean of that time.
    """
    # Less than a second would show a burst as a rate; after the clock was set back, ages are
    # negative.
    span = max(span_ms, 1_000) / RECENT_MS
    weighted_s = RECENT_MS / 1_000 * (1 - exp(-span))
    return recent * exp(-max(age_ms, 0) / RECENT_MS) / weighted_s


def wait_range(ahead: int, pace: PerSecond | None) -> Seconds | None:
    """Return the expected time to admit `ahead` visitors, or `None` if it is unknown."""
    if pace is None:
        return None
    return Seconds(low=ahead / pace.high, high=ahead / pace.low)
