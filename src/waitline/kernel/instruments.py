"""Instruments: the counters, gauges and histograms of one process, and their snapshot.

They are plain numbers in memory. `metric_files.py` writes snapshots of them to a folder and adds up
those of all processes of a service. The number of label sets of each is limited, whatever clients
send: beyond its limit, an instrument counts new label sets together.
"""

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

Labels = tuple[str, ...]

Kind = Literal["counter", "gauge", "histogram"]

Over = Literal["sum", "max", "min"]

_COMBINE: Mapping[Over, Callable[[float, float], float]] = {
    "sum": operator.add, "max": max, "min": min,
}  # fmt: skip

OTHER = "(other)"
"""Value of every label of a label set beyond an instrument's limit."""


class Family(NamedTuple):
    """The declaration of a metric.

    Attributes:
        name: Its Prometheus name; that of a counter without `_total`.
        kind: What it is.
        unit: Unit of its values, or what it counts.
        meaning: One line for operators.
        labels: Names of its labels, besides `service` and `instance`.
        series_max: Most label sets.
        bounds: Upper bounds of a histogram's buckets.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: Labels = ()
    series_max: int = 1
    bounds: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """Its name on the metrics page; that of a histogram without its suffixes."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def samples_max(self) -> int:
        """Most samples of one scrape: a histogram has one per bucket, a sum and a count."""
        return self.series_max * (len(self.bounds) + 3 if self.kind == "histogram" else 1)


class Exemplar(msgspec.Struct, array_like=True, frozen=True):
    """One observation of a bucket, with the trace in which it was made.

    Attributes:
        trace_id: Id of the trace.
        observed: The observation.
        at_s: When, in s since 1970.
    """

    trace_id: str
    observed: float
    at_s: float


class HistogramState(msgspec.Struct, array_like=True):
    """One label set of a histogram.

    Attributes:
        counts: Observations by bucket, not cumulative; the last bucket has no upper bound.
        total: Sum of the observations.
        exemplars: The latest exemplar by bucket; none where traces are off.
    """

    counts: list[int]
    total: float
    exemplars: dict[int, Exemplar] = {}


class Snapshot(msgspec.Struct):
    """All instruments of a process at one instant, by name; values by label values."""

    counters: dict[str, list[tuple[Labels, float]]] = {}
    gauges: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, HistogramState]]] = {}


class Tally:
    """One label set of a histogram, on the hot path.

    Args:
        bounds: Upper bounds of the buckets.
    """

    __slots__ = ("_bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def add(self, observed: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, observed)] += 1
        self.total += observed

    def show(self, exemplar: Exemplar) -> None:
        """Keep the exemplar of an observation, in place of the one before."""
        self.exemplars[bisect_left(self._bounds, exemplar.observed)] = exemplar


class Instrument:
    """Base of all instruments.

    Args:
        family: Its declaration.
    """

    def __init__(self, family: Family) -> None:
        self.family = family

    def _limited(self, labels: Labels, known: Mapping[Labels, Any]) -> Labels:
        """Return a new label set, or the one that those beyond the limit share."""
        assert len(labels) == len(self.family.labels)
        if len(known) < self.family.series_max - 1 or not labels:
            return labels
        return (OTHER,) * len(labels)


class Counter(Instrument):
    """Counter: a number that only rises."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        # From zero on: a rate needs the value before the first event.
        self.values: dict[Labels, float] = {} if family.labels else {(): 0.0}

    def add(self, amount: float, *labels: str) -> None:
        """Add to one label set."""
        if labels not in self.values:
            labels = self._limited(labels, self.values)
        self.values[labels] = self.values.get(labels, 0.0) + amount


class Gauge(Instrument):
    """Gauge: a number that rises and falls.

    Args:
        family: As `Instrument`; without labels.
        over: How the processes' values are combined.
        lasting: Whether the value holds after the process has ended: the result of a command.
    """

    def __init__(self, family: Family, *, over: Over = "sum", lasting: bool = False) -> None:
        super().__init__(family)
        self.over = over
        self.lasting = lasting
        self.value: float | None = None

    def set(self, value: float) -> None:
        """Set the value of this process."""
        self.value = value

    def combine(self, value: float) -> None:
        """Add the value of another process."""
        self.value = value if self.value is None else _COMBINE[self.over](self.value, value)


class BucketHistogram(Instrument):
    """Histogram: observations by bucket."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self.tallies: dict[Labels, Tally] = {}

    def tally(self, *labels: str) -> Tally:
        """Return the counts of one label set."""
        tally = self.tallies.get(labels)
        if tally is None:
            labels = self._limited(labels, self.tallies)
            tally = self.tallies.get(labels)
        if tally is None:
            tally = self.tallies[labels] = Tally(self.family.bounds)
        return tally


class Instruments:
    """Every instrument of a process, declared once.

    Args:
        declared: Instruments; other values are ignored, so that `vars()` of a module will do.
    """

    def __init__(self, declared: Iterable[object]) -> None:
        self.counters: dict[str, Counter] = {}
        self.gauges: dict[str, Gauge] = {}
        self.histograms: dict[str, BucketHistogram] = {}
        for one in declared:
            match one:
                case Counter():
                    self.counters[one.family.name] = one
                case Gauge():
                    self.gauges[one.family.name] = one
                case BucketHistogram():
                    self.histograms[one.family.name] = one
                case _:
                    pass

    def families(self) -> list[Family]:
        """Return the declarations."""
        kinds: tuple[Mapping[str, Instrument], ...] = (self.counters, self.gauges, self.histograms)
        return [one.family for kind in kinds for one in kind.values()]

    def snapshot(self) -> Snapshot:
        """Return the present values."""
        return Snapshot(
            {name: list(one.values.items()) for name, one in self.counters.items()},
            {name: [((), one.value)] for name, one in self.gauges.items() if one.value is not None},
            {
                name: [
                    (
                        labels,
                        HistogramState(list(tally.counts), tally.total, dict(tally.exemplars)),
                    )
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
            snapshots: Each with whether its gauges hold: they do not once its process has ended, or
                no longer writes.
        """
        whole = Instruments(
            [
                *(Counter(one.family) for one in self.counters.values()),
                *(
                    Gauge(one.family, over=one.over, lasting=one.lasting)
                    for one in self.gauges.values()
                ),
                *(BucketHistogram(one.family) for one in self.histograms.values()),
            ]
        )
        for snapshot, current in snapshots:
            whole.resume(snapshot)
            for name, values in snapshot.gauges.items():
                gauge = whole.gauges.get(name)
                if gauge is not None and (current or gauge.lasting):
                    for labels, value in values:
                        if not labels:
                            gauge.combine(value)
        return whole.snapshot()

    @staticmethod
    def _fits(instrument: Instrument | None, labels: Labels) -> bool:
        return instrument is not None and len(labels) == len(instrument.family.labels)


def _add(tally: Tally, state: HistogramState) -> None:
    if len(state.counts) != len(tally.counts):
        return
    tally.counts[:] = [one + more for one, more in zip(tally.counts, state.counts, strict=True)]
    tally.total += state.total
    for bucket, exemplar in state.exemplars.items():
        known = tally.exemplars.get(bucket)
        if known is None or known.at_s < exemplar.at_s:
            tally.exemplars[bucket] = exemplar
