"""Counts of times by how long they took, in buckets that grow with the time. Pure.

A hundred processes can each keep one, and put them together at the end: quantiles of the whole,
not means of quantiles. Source: HdrHistogram's layout, without its file format.
"""

from collections.abc import Mapping

_BITS = 6
"""Every power of two is cut into 64: a quantile is at most 1.6 % too high."""

_LINEAR = 1 << (_BITS + 1)


class Histogram:
    """How often each length of time was seen, in us.

    Args:
        counts: Of another one, as `counts` gives them.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts: dict[int, int] = {}
        if counts:
            self.add(counts)

    def record(self, us: int) -> None:
        """Count one time, in us; a negative one counts as 0."""
        if us < _LINEAR:
            bucket = max(us, 0)
        else:
            shift = us.bit_length() - _BITS - 1
            bucket = (shift << _BITS) + (us >> shift)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what another one has counted."""
        for name, count in counts.items():
            bucket = int(name)
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    @property
    def counts(self) -> dict[str, int]:
        """How often by bucket, as JSON can hold it."""
        return {str(bucket): count for bucket, count in self._counts.items()}

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self._counts.values())

    def quantile_ms(self, share: float) -> float | None:
        """Return what this share of the times did not exceed, in ms; `None` if there are none."""
        # The last of those counted, however the product is rounded.
        wanted = min(max(1, round(share * self.total)), self.total)
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return _end_us(bucket) / 1000
        return None


def _end_us(bucket: int) -> int:
    """Return the longest time that falls into a bucket."""
    if bucket < _LINEAR:
        return bucket
    shift = (bucket >> _BITS) - 1
    return (((bucket & ((1 << _BITS) - 1)) + (1 << _BITS) + 1) << shift) - 1
