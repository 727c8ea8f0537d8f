"""When a visitor should ask again, and how long the wait may be. Pure."""

from math import ceil, sqrt
from typing import NamedTuple

POLL_NEAR_MS = 3_000
"""How soon to ask again within the first thousand places. Source: the wire contract."""

POLL_FAR_MS = 10_000
"""How soon to ask again at twenty thousand places: when, at the pace of a room that was given none
of its own (2 000/s), the turn comes. Polling more often on the way brings nothing new,
and the turn is still heard of within seconds. Source: decision 0008."""

POLL_MAX_MS = 30_000
"""The longest hint: a room may empty faster than expected, and who asks
less often than the server keeps connections open pays for a new one each time."""

POLL_LEAST_MS = 2_000
"""Polling more often than this brings nothing new. Source: the wire contract."""

POLL_JITTER = 0.2
"""Share by which hints differ, so that those who came together do not ask together."""

_NEAR_PLACES = 1_000
_FAR_PLACES = 20_000
_PLACES_PER_MS = (_FAR_PLACES - _NEAR_PLACES) / (POLL_FAR_MS - POLL_NEAR_MS)

RATE_SAMPLES_MIN = 3
"""Measured seconds below which a rate is unknown: one second's count says little."""

_SPREAD_LEAST = 0.1
"""A range is never narrower than this share on either side: a promise to the second that slips
by one is worse than a range that holds."""


def poll_after_ms(position: int, jitter: float) -> int:
    """Return how long a visitor should wait before asking again, in ms.

    Args:
        position: 1 for the next to be admitted; 0 for the admitted.
        jitter: Where in the jitter this answer falls, in [0, 1).
    """
    if position <= _NEAR_PLACES:
        return POLL_NEAR_MS
    wanted = POLL_NEAR_MS + (position - _NEAR_PLACES) / _PLACES_PER_MS
    return int(min(wanted, POLL_MAX_MS) * (1 + POLL_JITTER * jitter))


def first_poll_after_s(position: int, jitter: float) -> int:
    """Return how long a visitor who has just joined should wait, in whole s.

    Args:
        position: As for `poll_after_ms`.
        jitter: As for `poll_after_ms`.

    Source:
        RFC 9110, section 10.2.3: `Retry-After` knows no part of a second.
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
    """Return the pace that a line can be expected to keep, or `None` if it is unknown.

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


def wait_range(ahead: int, pace: PerSecond | None) -> Seconds | None:
    """Return how long `ahead` visitors take to be admitted, or `None` if it is unknown."""
    if pace is None:
        return None
    return Seconds(low=ahead / pace.high, high=ahead / pace.low)
