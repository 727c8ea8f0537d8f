"""Costs by size, compared with logarithmic growth. Pure."""

from collections.abc import Sequence
from math import log2
from statistics import median
from typing import Any, NamedTuple

from waitline.kernel.errors import Misconfigured
from waitline_bench.growth.cases import FULL_EFFORT_SCALE


class Row(NamedTuple):
    """One cost at each size.

    Attributes:
        name: Name of the cost.
        unit: Unit, as printed.
        values: One per size, smallest first: the median of all rounds.
        of_first: Each as a multiple of the first: the median of the ratios per round, since the
            machine's noise raises all figures of a round.
        least: Lowest figure at each size.
        most: Highest figure at each size.
        is_cost: Whether it may not grow faster than a logarithm; otherwise it explains others.
    """

    name: str
    unit: str
    values: list[float]
    of_first: list[float]
    least: list[float]
    most: list[float]
    is_cost: bool

    def too_fast(self, sizes: Sequence[int]) -> list[int]:
        """Return the sizes at which the cost has outgrown a logarithm; none if it is 0."""
        if not self.is_cost:
            return []
        return [
            size
            for size, grown in zip(sizes, self.of_first, strict=True)
            if grown > growth_max(size, sizes[0])
        ]

    def as_json(self, sizes: Sequence[int]) -> dict[str, Any]:
        """Return all rows in JSON's types."""
        return {**self._asdict(), "too_fast_at": self.too_fast(sizes)}


def growth_max(size: int, first: int) -> float:
    """Return the factor by which a logarithmic cost grows from one size to another.

    The logarithm is of twice the size: the steps of a binary search plus one, so that it is not 0
    for a size of 1.
    """
    return log2(2 * size) / log2(2 * first)


def row(name: str, unit: str, runs: Sequence[Sequence[float]], *, is_cost: bool = True) -> Row:
    """Build a row of measurements.

    Args:
        name: As in `Row`.
        unit: As in `Row`.
        runs: For each size, one figure per round.
        is_cost: As in `Row`.

    Raises:
        Misconfigured: A cost at the first size, to which the others are compared, was 0.
    """
    if not all(runs[0]):
        raise Misconfigured(
            f"--scale: {name!r} took no CPU time at all in a round; with {FULL_EFFORT_SCALE:g} or "
            "more each figure is measured for longer, on a machine that does nothing else"
        )
    return Row(
        name=name,
        unit=unit,
        values=[median(figures) for figures in runs],
        of_first=[
            median(figure / first for figure, first in zip(figures, runs[0], strict=True))
            for figures in runs
        ],
        least=[min(figures) for figures in runs],
        most=[max(figures) for figures in runs],
        is_cost=is_cost,
    )
