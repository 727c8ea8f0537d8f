"""Metrics of a service, scraped in the Prometheus text format. Pure.

Quantiles are interpolated linearly within a bucket, as Prometheus does.
Source: histogram_quantile of https://prometheus.io/docs/prometheus/latest/querying/functions.
"""

from collections.abc import Mapping
from functools import cached_property
from math import inf
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as MetricSample


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


class Metrics:
    """All metrics of a service at one instant.

    Parsed lazily: parsing takes some 30 ms, and the sampler shares the machine with the service.

    Args:
        text: The Prometheus text format.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _samples(self) -> dict[str, list[MetricSample]]:
        found: dict[str, list[MetricSample]] = {}
        for family in text_string_to_metric_families(self._text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample)
        return found

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels; 0.0 if there are none."""
        return sum(sample.value for sample in self._matching(name, labels))

    def values(self, name: str, label: str) -> list[str]:
        """Return the values of a label, sorted."""
        return sorted({sample.labels[label] for sample in self._samples.get(name, ())})

    def buckets(self, name: str, **labels: str) -> Buckets:
        """Return the sum of the histograms that have these labels."""
        counts: dict[float, float] = {}
        for sample in self._matching(f"{name}_bucket", labels):
            bound_s = float(sample.labels["le"])
            counts[bound_s] = counts.get(bound_s, 0.0) + sample.value
        if not counts:
            return NOTHING
        bounds_s, summed = zip(*sorted(counts.items()), strict=True)
        return Buckets(bounds_s, summed, self.total(f"{name}_sum", **labels))

    def _matching(self, name: str, labels: Mapping[str, str]) -> list[MetricSample]:
        return [
            sample
            for sample in self._samples.get(name, ())
            if all(sample.labels.get(label) == value for label, value in labels.items())
        ]
