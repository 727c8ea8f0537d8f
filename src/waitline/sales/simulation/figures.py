"""Summarise join and admission times, simulated or measured.

Both arrays are in the order of the line: the n-th to join is the n-th to be admitted (Q3).
"""

import numpy as np
from numpy.typing import NDArray

from waitline.sales.simulation.model import Difference, Figures

Times = NDArray[np.int32]
"""Times by visitor, in ms since the start of the sale. 32 bits hold 24 days; a sale takes one."""

COMPARED = ("drained_ms", "mean_ms", "p50_ms", "p90_ms", "peak_line")
"""Figures that a prediction is checked against. Waits above p90 depend on the few last visitors."""


def figures(joined_ms: Times, admitted_ms: Times) -> Figures:
    """Return the main figures of a sale."""
    waits_ms = admitted_ms - joined_ms
    mean_ms = float(waits_ms.mean())
    # A percentile is an actual wait. The array is large, so it is sorted in place.
    hundredths = np.percentile(
        waits_ms, (50, 90, 99, 100), method="inverted_cdf", overwrite_input=True
    )
    p50_ms, p90_ms, p99_ms, longest_ms = (int(wait) for wait in hundredths)
    return Figures(
        drained_ms=int(admitted_ms[-1] - joined_ms[0]),
        mean_ms=mean_ms,
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        longest_ms=longest_ms,
        peak_line=_peak(joined_ms, admitted_ms),
    )


def by_second(times_ms: Times, seconds: int) -> NDArray[np.int64]:
    """Return the number of events in each second."""
    return np.bincount(times_ms // 1000, minlength=seconds)


def line(joined_ms: Times, admitted_ms: Times) -> NDArray[np.int64]:
    """Return the length of the line at the end of each second."""
    seconds = int(admitted_ms[-1]) // 1000 + 1
    change = by_second(joined_ms, seconds) - by_second(admitted_ms, seconds)
    return change.cumsum()


def differences(predicted: Figures, measured: Figures) -> list[Difference]:
    """Compare a prediction with a measurement."""
    rows = []
    for name in COMPARED:
        said, found = getattr(predicted, name), getattr(measured, name)
        off = said - found
        rows.append(Difference(name, said, found, off / found if found else float(off != 0)))
    return rows


def _peak(joined_ms: Times, admitted_ms: Times) -> int:
    # Between two admissions the line only grows, so it is longest right before one.
    first_of_each = np.flatnonzero(np.diff(admitted_ms, prepend=-1))
    joined = np.searchsorted(joined_ms, admitted_ms[first_of_each], side="right")
    return int((joined - first_of_each).max())
