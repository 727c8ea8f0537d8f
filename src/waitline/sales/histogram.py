"""Latency histogram with log-linear buckets. Pure.

Histograms of several processes can be merged, which gives the quantiles of all measurements rather
than a mean of quantiles. Source: HdrHistogram's layout, without its file format.
"""

from collections.abc import Mapping

_BITS = 6
"""Sub-buckets per power of two, as a power of two: 64. A quantile is at most 1.6 % too high."""

_LINEAR = 1 << (_BITS + 1)


class Histogram:
    """Counts of measured times, in us.

    Args:
        counts: Counts of another histogram, to begin with.
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
        """Merge the counts of another histogram."""
        for name, count in counts.items():
            bucket = int(name)
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    @property
    def counts(self) -> dict[str, int]:
        """Counts by bucket, in a form that JSON can hold."""
        return {str(bucket): count for bucket, count in self._counts.items()}

    @property
    def total(self) -> int:
        """Number of recorded times."""
        return sum(self._counts.values())

    def quantile_ms(self, share: float) -> float | None:
        """Return a quantile in ms, or `None` if nothing was recorded."""
        # Capped, because rounding may exceed the total.
        wanted = min(max(1, round(share * self.total)), self.total)
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return _end_us(bucket) / 1000
        return None


def _end_us(bucket: int) -> int:
    """Return the longest time of a bucket, in us."""
    if bucket < _LINEAR:
        return bucket
    shift = (bucket >> _BITS) - 1
    return (((bucket & ((1 << _BITS) - 1)) + (1 << _BITS) + 1) << shift) - 1
