"""Samples of metrics, and their change between two readings. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import NamedTuple

from waitline.sales.buckets import NOTHING, Buckets

Labels = tuple[tuple[str, str], ...]
"""Labels of a series, sorted by name."""

Series = tuple[str, Labels]

SOURCE = "source"
"""A label of ours: where the sample was read. So two instances of one name do not mix."""

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


class Point(NamedTuple):
    """A value, and when it was read, in s."""

    at_s: float
    value: float


Reading = dict[Series, Point]


def labels_of(found: Mapping[str, str], source: str) -> Labels:
    """Return the labels of a series that was read from a source."""
    return tuple(sorted({**found, SOURCE: source}.items()))


def parse_page(text: str, at_s: float, source: str, wanted: Callable[[str], bool]) -> Reading:
    """Parse a page in the Prometheus text format; lines that are none are left out.

    Args:
        text: The page.
        at_s: When it was read.
        source: Where.
        wanted: Whether a metric is read.
    """
    found: Reading = {}
    # A name may contain other line separators of Unicode.
    for line in text.split("\n"):
        at = _SAMPLE.match(line)
        if at is None or not wanted(at[1]):
            continue
        try:
            value = float(at[3])
        except ValueError:
            continue
        if not isfinite(value):
            continue
        labels = {name: _unescaped(text) for name, text in _LABEL.findall(at[2] or "")}
        found[at[1], labels_of(labels, source)] = Point(at_s, value)
    return found


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda at: "\n" if at[1] == "n" else at[1], text)


class MetricChange:
    """Two readings of the same sources.

    Args:
        before: The earlier one.
        after: The later one.
    """

    def __init__(self, before: Reading, after: Reading) -> None:
        self._before = before
        self._by_name: dict[str, list[tuple[dict[str, str], Series, Point]]] = {}
        for series, point in after.items():
            row = (dict(series[1]), series, point)
            self._by_name.setdefault(series[0], []).append(row)
        # When each source was read before: what it did not have then, it has counted since.
        self._earlier_s: dict[str, float] = {}
        for (_, labels), point in before.items():
            self._earlier_s[dict(labels)[SOURCE]] = point.at_s

    def now(
        self, name: str, *by: str, over: Callable[[list[float]], float] = sum, **where: str
    ) -> dict[Sequence[str], float]:
        """Return the current values of a metric, combined by labels."""
        groups: dict[Sequence[str], list[float]] = {}
        for labels, _, point in self._rows(name, where):
            groups.setdefault(_group(labels, by), []).append(point.value)
        return {group: over(values) for group, values in groups.items()}

    def per_second(
        self, name: str, *by: str, over: Callable[[list[float]], float] = sum, **where: str
    ) -> dict[Sequence[str], float]:
        """Return the rates of a counter, combined by labels."""
        groups: dict[Sequence[str], list[float]] = {}
        for labels, series, point in self._rows(name, where):
            rate = self._rate(labels, series, point)
            if rate is not None:
                groups.setdefault(_group(labels, by), []).append(rate)
        return {group: over(values) for group, values in groups.items()}

    def histograms(self, name: str, *by: str) -> dict[Sequence[str], Buckets]:
        """Return the observations per second of a histogram, summed by labels."""
        found: dict[Sequence[str], Buckets] = {}
        sums = self.per_second(f"{name}_sum", *by)
        for group, rate in self.per_second(f"{name}_bucket", *by, "le").items():
            total = found.setdefault(group[:-1], NOTHING)
            pairs = dict(zip(total.bounds_s, total.counts, strict=True))
            pairs[float(group[-1])] = rate
            bounds_s, counts = zip(*sorted(pairs.items()), strict=True)
            found[group[:-1]] = Buckets(bounds_s, counts, sums.get(group[:-1], 0.0))
        return {group: one for group, one in found.items() if one.bounds_s[-1] == inf}

    def _rows(
        self, name: str, where: Mapping[str, str]
    ) -> Iterator[tuple[dict[str, str], Series, Point]]:
        for row in self._by_name.get(name, ()):
            if all(row[0].get(label) == value for label, value in where.items()):
                yield row

    def _rate(self, labels: Mapping[str, str], series: Series, point: Point) -> float | None:
        earlier = self._before.get(series)
        if earlier is None:
            at_s = self._earlier_s.get(labels[SOURCE])
            # A room that was not shown before has counted since it was created.
            if at_s is None or "concert_id" in labels:
                return None
            earlier = Point(at_s, 0.0)
        if point.at_s <= earlier.at_s:
            return None
        # After a restart it counts from zero.
        rise = point.value - earlier.value if point.value >= earlier.value else point.value
        return rise / (point.at_s - earlier.at_s)


def _group(labels: Mapping[str, str], by: Sequence[str]) -> tuple[str, ...]:
    return tuple(labels.get(label, "") for label in by)
