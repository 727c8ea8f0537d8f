"""What the simulation said of a sale, held against the sale that took place."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from waitline.queue.settings import Limits
from waitline.sales.simulation.model import (
    Difference,
    Prediction,
    Sale,
    SaleImpossible,
)

if TYPE_CHECKING:
    from waitline.sales.simulation_check.replay import ReplayedSale

AGREES_WITHIN = 0.05
"""Share that a prediction may be off by. Operators leave more room than this when they set a room's
limits; a simulation that was off by more would decide for them."""

LATE_MS = 1_000
"""How late visitors may be played before the sale was another one than that which was predicted:
a visitor who leaves late keeps others waiting."""

LONGEST_MS = 600_000
"""The longest sale that is played: nobody waits longer for an answer."""

VISITORS_MAX = 300_000
"""The most visitors of one: they live in one process, on a core that they share."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Predicted and measured.

    Attributes:
        differences: By figure.
        line: Visitors who waited, by second, measured.
        asked_predicted: Requests of those who waited.
        asked: The same, measured.
        behind_ms: How late the visitors were played, at worst.
        broken: Promises that the store did not keep.
    """

    differences: list[Difference]
    line: list[int]
    asked_predicted: int
    asked: int
    behind_ms: float
    broken: list[str]

    @property
    def holds(self) -> bool:
        """Whether the prediction is near enough, and every promise was kept."""
        return not self.broken and all(map(near_enough, self.differences))

    @property
    def disturbed(self) -> bool:
        """Whether the machine was too busy for what was measured to say much."""
        return self.behind_ms > LATE_MS


def near_enough(difference: Difference) -> bool:
    """Say whether a prediction is within what it may be off by."""
    return abs(difference.share) <= AGREES_WITHIN


def require_playable(sale: Sale, predicted: Prediction) -> None:
    """Refuse a sale that is too long or too large to be played.

    Raises:
        SaleImpossible: It is.
    """
    longest_ms = predicted.figures.drained_ms + filling_ms(sale.limits)
    if longest_ms > LONGEST_MS or sale.visitors > VISITORS_MAX:
        raise SaleImpossible(
            f"a sale is played with at most {VISITORS_MAX:,} visitors and for at most "
            f"{LONGEST_MS // 60_000} min; this one has {sale.visitors:,} and takes "
            f"{longest_ms / 60_000:,.1f} min"
        )


def filling_ms(limits: Limits) -> float:
    """Return how long the bucket of a new room takes to fill."""
    return limits.admit_burst / limits.admit_per_s * 1000


def agreement(predicted: Prediction, measured: "ReplayedSale") -> Agreement:
    """Hold what was said against what was measured."""
    # Here, because numpy is an extra.
    from waitline.sales.simulation import figures  # noqa: PLC0415

    joined_ms, admitted_ms = measured.joined_ms, measured.admitted_ms
    found = figures.figures(joined_ms, admitted_ms)
    return Agreement(
        differences=figures.differences(predicted.figures, found),
        line=figures.line(joined_ms, admitted_ms).tolist(),
        asked_predicted=predicted.loads[0].total,
        asked=measured.asked,
        behind_ms=measured.behind_ms,
        broken=[f"{finding.invariant}: {finding.text}" for finding in measured.findings],
    )
