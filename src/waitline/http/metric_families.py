"""Metric families: what was counted and collected, as the Prometheus library renders it."""

from collections.abc import Callable, Iterable, Iterator
from math import isfinite

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

from waitline.kernel import telemetry
from waitline.kernel.instruments import OTHER, BucketHistogram, Family, Labels, Snapshot


class Collection:
    """Metrics that are read from a store at a scrape.

    Args:
        families: Their declarations.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for one in families:
            kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            self._families[one.name] = kind(one.name, one.meaning, labels=one.labels)

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add a sample."""
        self._families[name].add_metric(labels, value)

    def metrics(self) -> list[Metric]:
        """Return the families, also those without a sample."""
        return list(self._families.values())


class Labelled(Collector):
    """Adds the labels that all of a service's metrics share, and drops samples without a value.

    Args:
        metrics: The metrics.
        shared: Labels of every sample.
        on_dropped: Called with the name of a sample that is not a finite number.
    """

    def __init__(
        self, metrics: Iterable[Metric], shared: dict[str, str], on_dropped: Callable[[str], None]
    ) -> None:
        self._metrics = metrics
        self._shared = shared
        self._on_dropped = on_dropped

    @override
    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            samples = []
            for sample in metric.samples:
                if isfinite(sample.value):
                    samples.append(sample._replace(labels={**self._shared, **sample.labels}))
                else:
                    self._on_dropped(sample.name)
            metric.samples = samples
            yield metric


def of_snapshot(whole: Snapshot, shows_room: Callable[[str], bool]) -> Iterator[Metric]:
    """Convert a snapshot of all instruments.

    Args:
        whole: The snapshot.
        shows_room: Whether the series of a room are shown.
    """
    declared = telemetry.INSTRUMENTS
    for name, values in whole.counters.items():
        family = declared.counters[name].family
        counters = CounterMetricFamily(name, family.meaning, labels=family.labels)
        for labels, value in values:
            counters.add_metric(labels, value)
        yield counters
    for name, values in whole.gauges.items():
        gauges = GaugeMetricFamily(name, declared.gauges[name].family.meaning)
        for labels, value in values:
            gauges.add_metric(labels, value)
        yield gauges
    for name, states in whole.histograms.items():
        histogram = declared.histograms[name]
        family = histogram.family
        bounds = [*map(floatToGoString, family.bounds), "+Inf"]
        histograms = HistogramMetricFamily(name, family.meaning, labels=family.labels)
        for labels, state in states:
            if _is_shown(histogram, labels, shows_room):
                buckets = list(zip(bounds, _cumulated(state.counts), strict=True))
                histograms.add_metric(labels, buckets, state.total)
        yield histograms


def _is_shown(
    instrument: BucketHistogram, labels: Labels, shows_room: Callable[[str], bool]
) -> bool:
    if instrument.family.labels != telemetry.ROOM:
        return True
    return labels[0] == OTHER or shows_room(labels[0])


def _cumulated(counts: list[int]) -> Iterator[float]:
    total = 0
    for count in counts:
        total += count
        yield total
