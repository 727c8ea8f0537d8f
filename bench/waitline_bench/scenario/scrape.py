"""Read the metrics of a service in the Prometheus text format. Pure.

Quantiles of a histogram are read off within a bucket as if its times were spread evenly, as
Prometheus does; the further apart the bounds, the rougher they are.
Source: https://prometheus.io/docs/instrumenting/exposition_formats, and histogram_quantile of
https://prometheus.io/docs/prometheus/latest/querying/functions.
"""

import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

_NUMBER = r"[-+]?(?:\d[\d.eE+-]*|Inf|NaN)"
_LINE = re.compile(rf"^(\w+)(?:\{{(.*)\}})? ({_NUMBER})(?: \d+)?\s*$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Series(NamedTuple):
    """One value and its labels."""

    labels: Mapping[str, str]
    value: float


class Buckets(NamedTuple):
    """A histogram, or what was added to one between two readings.

    Attributes:
        bounds_s: Upper bounds, rising; the last is infinite. Empty if nothing was ever counted.
        counts: How many were at most that long, so rising too.
        sum_s: Of all times.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[float, ...]
    sum_s: float

    @property
    def total(self) -> float:
        """How many were counted."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean_s(self) -> float | None:
        """Mean time; `None` if nothing was counted."""
        return self.sum_s / self.total if self.total else None

    def since(self, earlier: "Buckets") -> "Buckets":
        """Return what was added after an earlier reading."""
        if not earlier.bounds_s:
            return self
        # A process that was started again counts from nothing: less than before is none.
        counts = tuple(
            max(0.0, now - then) for now, then in zip(self.counts, earlier.counts, strict=True)
        )
        return Buckets(self.bounds_s, counts, max(0.0, self.sum_s - earlier.sum_s))

    def quantile_s(self, share: float) -> float | None:
        """Return what this share of the times did not exceed; `None` if nothing was counted.

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
    """All that a service said at one instant.

    Args:
        families: Series by name.
    """

    __slots__ = ("_families",)

    def __init__(self, families: Mapping[str, Sequence[Series]]) -> None:
        self._families = families

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels; 0.0 if there are none."""
        return sum(series.value for series in self._having(name, labels))

    def values(self, name: str, label: str) -> list[str]:
        """Return the values of a label, sorted."""
        return sorted({series.labels[label] for series in self._families.get(name, ())})

    def buckets(self, name: str, **labels: str) -> Buckets:
        """Return the sum of the histograms that have these labels."""
        counts: dict[float, float] = {}
        for series in self._having(f"{name}_bucket", labels):
            bound_s = float(series.labels["le"])
            counts[bound_s] = counts.get(bound_s, 0.0) + series.value
        if not counts:
            return NOTHING
        bounds_s, summed = zip(*sorted(counts.items()), strict=True)
        return Buckets(bounds_s, summed, self.total(f"{name}_sum", **labels))

    def _having(self, name: str, labels: Mapping[str, str]) -> list[Series]:
        return [
            series
            for series in self._families.get(name, ())
            if all(series.labels.get(label) == value for label, value in labels.items())
        ]


def parse(text: str) -> Metrics:
    """Read what a service said; comments and what cannot be read are left out."""
    families: dict[str, list[Series]] = {}
    for name, labels, value in _LINE.findall(text):
        pairs = {label: _unescaped(text) for label, text in _LABEL.findall(labels)}
        families.setdefault(name, []).append(Series(pairs, float(value)))
    return Metrics(families)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
