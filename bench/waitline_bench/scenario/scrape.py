"""Metrics of a service, scraped in the Prometheus text format. Pure."""

from collections.abc import Mapping
from functools import cached_property

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as MetricSample

from waitline.sales.buckets import NOTHING, Buckets


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
