"""Compare the prediction of a sale with its replay."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from waitline.queue.limits import Limits
from waitline.sales.simulation.model import (
    Difference,
    Prediction,
    Sale,
    SaleImpossible,
)

if TYPE_CHECKING:
    from waitline.sales.simulation_check.replay import ReplayedSale

AGREES_WITHIN = 0.05
"""Tolerance of a prediction. Operators leave a larger margin than this when they set a room's
limits."""

LATE_MS = 1_000
"""Largest delay of a visitor's action, in ms. Above it the replay is another sale than the
predicted one: a visitor who leaves late keeps others waiting."""

LONGEST_MS = 600_000
"""Longest sale that is replayed, in ms. Operators would not wait longer."""

VISITORS_MAX = 300_000
"""Most visitors of a replay. They share one process on one core."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A prediction compared with a measurement.

    Attributes:
        differences: Difference of each figure.
        line: Visitors waiting, by second, measured.
        requests_predicted: Predicted requests of waiting visitors.
        requests: Measured requests of waiting visitors.
        behind_ms: Largest delay of a visitor's action.
        broken: Invariants that were broken.
    """

    differences: list[Difference]
    line: list[int]
    requests_predicted: int
    requests: int
    behind_ms: float
    broken: list[str]

    @property
    def holds(self) -> bool:
        """Whether the prediction is within the tolerance, and every invariant holds."""
        return not self.broken and all(map(near_enough, self.differences))

    @property
    def disturbed(self) -> bool:
        """Whether the machine was too busy for a reliable measurement."""
        return self.behind_ms > LATE_MS


def near_enough(difference: Difference) -> bool:
    """Return whether a prediction is within the tolerance."""
    return abs(difference.share) <= AGREES_WITHIN


def require_playable(sale: Sale, predicted: Prediction) -> None:
    """Check that a sale is short and small enough to be replayed.

    Raises:
        SaleImpossible: It is not.
    """
    longest_ms = predicted.figures.drained_ms + filling_ms(sale.limits)
    if longest_ms > LONGEST_MS or sale.visitors > VISITORS_MAX:
        raise SaleImpossible(
            f"--check replays at most {VISITORS_MAX:,} visitors and at most "
            f"{LONGEST_MS // 60_000} min; this sale has {sale.visitors:,} and takes "
            f"{longest_ms / 60_000:,.1f} min"
        )


def filling_ms(limits: Limits) -> float:
    """Return how long the token bucket of a new room takes to fill, in ms."""
    return limits.burst / limits.admit_per_s * 1000


def agreement(predicted: Prediction, measured: "ReplayedSale") -> Agreement:
    """Compare a prediction with a replay."""
    # A late import: numpy is an optional extra.
    from waitline.sales.simulation import figures  # noqa: PLC0415

    joined_ms, admitted_ms = measured.joined_ms, measured.admitted_ms
    found = figures.figures(joined_ms, admitted_ms)
    return Agreement(
        differences=figures.differences(predicted.figures, found),
        line=figures.line(joined_ms, admitted_ms).tolist(),
        requests_predicted=predicted.loads[0].total,
        requests=measured.requests,
        behind_ms=measured.behind_ms,
        broken=[f"{finding.invariant}: {finding.text}" for finding in measured.findings],
    )
