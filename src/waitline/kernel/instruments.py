"""Instruments: the counters, gauges and histograms of one process, and their snapshot.

They are plain numbers in memory. `metric_files.py` writes snapshots of them to a folder and adds up
those of all processes of a service.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

import msgspec

Labels = tuple[str, ...]


class HistogramState(msgspec.Struct, array_like=True):
    """One label set of a histogram.

    Attributes:
        counts: Observations by bucket, not cumulative; the last bucket has no upper bound.
        sum_s: Sum of the observations, in s.
    """

    counts: list[int]
    sum_s: float


class Snapshot(msgspec.Struct):
    """All instruments of a process at one instant, by name; values by label values."""

    counters: dict[str, list[tuple[Labels, float]]] = {}
    gauges: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, HistogramState]]] = {}


class Tally:
    """One label set of a histogram, on the hot path.

    Args:
        bounds_s: Upper bounds of the buckets, in s.
    """

    __slots__ = ("_bounds", "counts", "sum_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum_s += seconds


class Instrument:
    """Base of all instruments.

    Args:
        name: Its Prometheus name, without the suffix of its kind.
        meaning: One line for operators.
        labels: Names of its labels.
    """

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels


class Counter(Instrument):
    """Counter: a number that only rises."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        self.values: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Add to one label set."""
        assert len(labels) == len(self.labels)
        self.values[labels] = self.values.get(labels, 0.0) + amount


class Gauge(Instrument):
    """Gauge: a number that rises and falls.

    Args:
        name: As `Instrument`.
        meaning: As `Instrument`.
        over: How the processes' values are combined.
    """

    def __init__(self, name: str, meaning: str, *, over: Literal["sum", "max"] = "sum") -> None:
        super().__init__(name, meaning)
        self.over = over
        self.value: float | None = None

    def set(self, value: float) -> None:
        """Set the value of this process."""
        self.value = value

    def combine(self, value: float) -> None:
        """Add the value of another process."""
        if self.value is None:
            self.value = value
        else:
            self.value = self.value + value if self.over == "sum" else max(self.value, value)


class DurationHistogram(Instrument):
    """Histogram: durations by bucket.

    Args:
        name: As `Instrument`.
        meaning: As `Instrument`.
        labels: As `Instrument`.
        bounds_s: Upper bounds of the buckets, in s.
    """

    def __init__(
        self, name: str, meaning: str, labels: Labels = (), *, bounds_s: tuple[float, ...]
    ) -> None:
        super().__init__(name, meaning, labels)
        self.bounds_s = bounds_s
        self.tallies: dict[Labels, Tally] = {}

    def tally(self, *labels: str) -> Tally:
        """Return the counts of one label set."""
        tally = self.tallies.get(labels)
        if tally is None:
            assert len(labels) == len(self.labels)
            tally = self.tallies[labels] = Tally(self.bounds_s)
        return tally


class Instruments:
    """Every instrument of a process, declared once.

    Args:
        counters: The counters.
        gauges: The gauges.
        histograms: The histograms.
    """

    def __init__(
        self, *, counters: list[Counter], gauges: list[Gauge], histograms: list[DurationHistogram]
    ) -> None:
        self.counters = {one.name: one for one in counters}
        self.gauges = {one.name: one for one in gauges}
        self.histograms = {one.name: one for one in histograms}

    def snapshot(self) -> Snapshot:
        """Return the present values."""
        return Snapshot(
            {name: list(one.values.items()) for name, one in self.counters.items()},
            {name: [((), one.value)] for name, one in self.gauges.items() if one.value is not None},
            {
                name: [
                    (labels, HistogramState(list(tally.counts), tally.sum_s))
                    for labels, tally in one.tallies.items()
                ]
                for name, one in self.histograms.items()
            },
        )

    def resume(self, before: Snapshot) -> None:
        """Continue the counts of a process that has ended; its gauges ended with it."""
        for name, values in before.counters.items():
            for labels, value in values:
                if self._fits(self.counters.get(name), labels):
                    self.counters[name].add(value, *labels)
        for name, states in before.histograms.items():
            for labels, state in states:
                if self._fits(self.histograms.get(name), labels):
                    _add(self.histograms[name].tally(*labels), state)

    def summed(self, snapshots: Iterable[tuple[Snapshot, bool]]) -> Snapshot:
        """Return the values of several processes as one.

        Values that are not declared here, or have another shape, are ignored: another version wrote
        them.

        Args:
            snapshots: Each with whether its process is alive; the gauges of others are ignored.
        """
        whole = Instruments(
            counters=[Counter(*_declared(one)) for one in self.counters.values()],
            gauges=[Gauge(one.name, one.meaning, over=one.over) for one in self.gauges.values()],
            histograms=[
                DurationHistogram(*_declared(one), bounds_s=one.bounds_s)
                for one in self.histograms.values()
            ],
        )
        for snapshot, alive in snapshots:
            whole.resume(snapshot)
            for name, values in snapshot.gauges.items() if alive else ():
                gauge = whole.gauges.get(name)
                for labels, value in values:
                    if gauge is not None and not labels:
                        gauge.combine(value)
        return whole.snapshot()

    @staticmethod
    def _fits(instrument: Instrument | None, labels: Labels) -> bool:
        return instrument is not None and len(labels) == len(instrument.labels)


def _declared(one: Instrument) -> tuple[str, str, Labels]:
    return one.name, one.meaning, one.labels


def _add(tally: Tally, state: HistogramState) -> None:
    if len(state.counts) != len(tally.counts):
        return
    tally.counts[:] = [one + more for one, more in zip(tally.counts, state.counts, strict=True)]
    tally.sum_s += state.sum_s
