"""Histograms of Prometheus: cumulative buckets, their increase, and quantiles. Pure.

Quantiles are interpolated linearly within a bucket, as Prometheus does.
Source: histogram_quantile of https://prometheus.io/docs/prometheus/latest/querying/functions.
"""

from math import inf
from typing import NamedTuple


class Buckets(NamedTuple):
    """A histogram, or its increase between two scrapes.

    Attributes:
        bounds_s: Upper bounds, rising; the last is infinite. Empty without observations.
        counts: Cumulative counts.
        sum_s: Sum of all times.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[float, ...]
    sum_s: float

    @property
    def total(self) -> float:
        """Number of observations."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean_s(self) -> float | None:
        """Mean time; `None` without observations."""
        return self.sum_s / self.total if self.total else None

    def since(self, earlier: "Buckets") -> "Buckets":
        """Return the increase since an earlier scrape."""
        if not earlier.bounds_s:
            return self
        # Counter reset: a restarted process counts from 0, so a decrease counts as none.
        counts = tuple(
            max(0.0, now - then) for now, then in zip(self.counts, earlier.counts, strict=True)
        )
        return Buckets(self.bounds_s, counts, max(0.0, self.sum_s - earlier.sum_s))

    def quantile_s(self, share: float) -> float | None:
        """Return a quantile; `None` without observations.

        Beyond the last finite bound nothing is known, so that bound is returned.
        """
        if not self.total:
            return None
        wanted = share * self.total
        low_s, below = 0.0, 0.0
        for bound_s, count in zip(self.bounds_s, self.counts, strict=True):
            if count >= wanted and count > below:
                if bound_s == inf:
                    break
                return low_s + (bound_s - low_s) * (wanted - below) / (count - below)
            if bound_s != inf:
                low_s, below = bound_s, count
        return low_s


NOTHING = Buckets((), (), 0.0)
