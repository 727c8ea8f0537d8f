"""Instant: a point in time with the UTC offset in which it was given. Pure.

Inside, time is ms since the epoch. The offset is kept so that people see a time as they typed it.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from typing_extensions import override

EXAMPLE = "2027-03-15T20:00+09:00"
"""An instant as people write it, for messages."""

YEAR_LEAST = 2000
YEAR_MOST = 2199
"""Years allowed; others are typing errors."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)


class Instant(NamedTuple):
    """A point in time.

    Attributes:
        at_ms: Milliseconds since the epoch.
        offset_min: The UTC offset in which it was given, in minutes.
    """

    at_ms: int
    offset_min: int

    @property
    def iso(self) -> str:
        """The instant in ISO 8601, in the offset in which it was given."""
        return self.time.isoformat(timespec="seconds")

    @property
    def time(self) -> datetime:
        """The instant as a datetime, in the offset in which it was given."""
        zone = timezone(timedelta(minutes=self.offset_min))
        return (_EPOCH + self.at_ms * _MS).astimezone(zone)

    @classmethod
    def of(cls, time: datetime) -> "Instant":
        """Return the instant of a datetime with a UTC offset."""
        offset = time.utcoffset()
        assert offset is not None
        return cls((time - _EPOCH) // _MS, offset // _MINUTE)

    @override
    def __str__(self) -> str:
        """Return the instant as stored: the ms come first, where scripts read them."""
        return f"{self.at_ms}@{self.offset_min}"


def parse_instant(text: str) -> Instant:
    """Parse an instant in ISO 8601 that people have typed.

    Raises:
        ValueError: It has no UTC offset, or is not a time between the years allowed.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"is not a time; write it as {EXAMPLE}") from None
    offset = time.utcoffset()
    if offset is None:
        raise ValueError(f"needs a UTC offset, for example {EXAMPLE}")
    if not YEAR_LEAST <= time.year <= YEAR_MOST:
        raise ValueError(f"must be in the years {YEAR_LEAST} to {YEAR_MOST}")
    if offset % _MINUTE:
        raise ValueError("needs a UTC offset of whole minutes")
    return Instant.of(time)


def stored_instant(text: str) -> Instant | None:
    """Parse an instant as stored; `None` for an empty text."""
    at_ms, _, offset_min = text.partition("@")
    return Instant(int(at_ms), int(offset_min or 0)) if at_ms else None
