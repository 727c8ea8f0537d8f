"""Bodies and answers of the visitors' hot calls, by the contract's names."""

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

SECONDS_CACHED = 1_024
"""Formatted seconds cached per worker: slots end within some minutes from now, thousands of them in
the same second."""


class VisitorBody(msgspec.Struct, frozen=True):
    """Body of enter and extend."""

    concertId: str | int | float  # noqa: N815 - the contract's names
    userId: str | int | float  # noqa: N815


class ValidateBody(VisitorBody, frozen=True):
    """Body of validate."""

    token: str | None = None


class EntryView(msgspec.Struct, frozen=True):
    """Data of enter's answer."""

    concertId: str  # noqa: N815
    userId: str  # noqa: N815
    position: int | None
    totalWaiting: int | None  # noqa: N815
    estimatedWaitMinutes: int | None  # noqa: N815
    status: str | None
    token: str | None
    isNewEntry: bool  # noqa: N815


class StatusView(msgspec.Struct, frozen=True):
    """Data of the answers of status, activate and extend, and of stream events."""

    concertId: str  # noqa: N815
    userId: str  # noqa: N815
    token: str | None
    status: str
    position: int
    expiredAt: str | None  # noqa: N815
    extendCount: int  # noqa: N815
    recommendedPollIntervalMs: int  # noqa: N815
    minPollIntervalMs: int  # noqa: N815


def instant(time_ms: int) -> str:
    """Format a time as ISO 8601 in UTC, to the millisecond."""
    return f"{_second(time_ms // 1000)}.{time_ms % 1000:03d}Z"


@lru_cache(maxsize=SECONDS_CACHED)
def _second(time_s: int) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%S}"
