"""Metric families: what was counted and collected, with its declaration."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from waitline.kernel import telemetry
from waitline.kernel.instruments import (
    OTHER,
    BucketHistogram,
    Family,
    HistogramState,
    Labels,
    Snapshot,
)


class FamilySamples(NamedTuple):
    """One metric with its values.

    Attributes:
        family: Its declaration.
        values: Of a counter or gauge, by label values.
        states: Of a histogram, by label values.
    """

    family: Family
    values: list[tuple[Labels, float]]
    states: list[tuple[Labels, HistogramState]]


class Collection:
    """Metrics that are read from a store at a scrape.

    Args:
        families: Their declarations: counters and gauges.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = {one.name: FamilySamples(one, [], []) for one in families}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add a sample."""
        self._families[name].values.append((labels, value))

    def metrics(self) -> list[FamilySamples]:
        """Return the families, also those without a sample."""
        return list(self._families.values())


def of_snapshot(whole: Snapshot, shows_room: Callable[[str], bool]) -> Iterator[FamilySamples]:
    """Convert a snapshot of all instruments.

    Args:
        whole: The snapshot.
        shows_room: Whether the series of a room are shown.
    """
    declared = telemetry.INSTRUMENTS
    for name, values in whole.counters.items():
        yield FamilySamples(declared.counters[name].family, values, [])
    for name, values in whole.gauges.items():
        yield FamilySamples(declared.gauges[name].family, values, [])
    for name, states in whole.histograms.items():
        histogram = declared.histograms[name]
        shown = [one for one in states if _is_shown(histogram, one[0], shows_room)]
        yield FamilySamples(histogram.family, [], shown)


def _is_shown(
    instrument: BucketHistogram, labels: Labels, shows_room: Callable[[str], bool]
) -> bool:
    if instrument.family.labels != telemetry.ROOM:
        return True
    return labels[0] == OTHER or shows_room(labels[0])
