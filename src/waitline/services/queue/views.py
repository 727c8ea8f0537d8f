"""Request and response bodies of the visitors' hot calls, with the contract's names."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

import msgspec

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import hints
from waitline.queue.model import Passed, State

SECONDS_CACHED = 1_024
"""Formatted seconds cached per worker: slots end within some minutes from now, thousands of them in
the same second."""


class VisitorBody(msgspec.Struct, frozen=True):
    """Body of enter and extend."""

    concertId: str | int | float  # noqa: N815 - the contract's names
    userId: str | int | float  # noqa: N815


class RoomBody(msgspec.Struct, frozen=True):
    """Body of walk-in."""

    concertId: str | int | float  # noqa: N815


class ClaimBody(VisitorBody, frozen=True):
    """Body of claim."""

    browser: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{22,64}$")]


class ValidateBody(VisitorBody, frozen=True):
    """Body of validate."""

    token: str | None = None


class EntryView(msgspec.Struct, frozen=True):
    """Response data of enter."""

    concertId: str  # noqa: N815
    userId: str  # noqa: N815
    position: int | None
    totalWaiting: int | None  # noqa: N815
    estimatedWaitMinutes: int | None  # noqa: N815
    status: str | None
    token: str | None
    isNewEntry: bool  # noqa: N815


class PassedOver(msgspec.Struct, frozen=True):
    """That a visitor's turn was passed over for lack of contact.

    Attributes:
        at: When; null once the visitor has returned.
        until: Until when returning gives the old place back; null once the visitor has returned.
        returnedAt: When the visitor returned to the old place; null before.
    """

    at: str | None
    until: str | None
    returnedAt: str | None  # noqa: N815


class StatusView(msgspec.Struct, frozen=True):
    """Response data of status, activate and extend, and data of stream events."""

    concertId: str  # noqa: N815
    userId: str  # noqa: N815
    token: str | None
    status: str
    position: int
    expiredAt: str | None  # noqa: N815
    extendCount: int  # noqa: N815
    recommendedPollIntervalMs: int  # noqa: N815
    minPollIntervalMs: int  # noqa: N815
    passedOver: PassedOver | None = None  # noqa: N815


def instant(time_ms: int) -> str:
    """Format a time as ISO 8601 in UTC, to the millisecond."""
    return f"{_second(time_ms // 1000)}.{time_ms % 1000:03d}Z"


@lru_cache(maxsize=SECONDS_CACHED)
def _second(time_s: int) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%S}"


def slot_status(  # noqa: PLR0917 - one row of the contract
    room: RoomId,
    visitor: VisitorId,
    token: str | None,
    state: State,
    expires_ms: int | None = None,
    extensions: int = 0,
) -> StatusView:
    """Return the view of a visitor who does not wait."""
    return StatusView(
        room,
        visitor,
        token,
        state,
        0,
        None if expires_ms is None else instant(expires_ms),
        extensions,
        hints.POLL_NEAR_MS,
        hints.POLL_LEAST_MS,
    )


def returned(returned_ms: int) -> PassedOver:
    """Return that a waiting visitor had been passed over and came back."""
    return PassedOver(None, None, instant(returned_ms))


def passed_over(room: RoomId, visitor: VisitorId, passed: Passed) -> StatusView:
    """Return the view of a visitor who was passed over."""
    until = instant(passed.until_ms)
    return StatusView(
        room,
        visitor,
        None,
        State.EXPIRED,
        0,
        until,
        0,
        hints.POLL_NEAR_MS,
        hints.POLL_LEAST_MS,
        PassedOver(instant(passed.passed_ms), until, None),
    )
