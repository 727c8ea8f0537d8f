"""The load of a simulated sale, with and without a CDN. Pure.

It counts until the seats are sold and the last visitor has entered: from then on the room says that
the show is sold out.
"""

from typing import NamedTuple

from waitline.queue.hints import POLL_NEAR_MS
from waitline.sales.simulation.model import Prediction, Sale
from waitline.sales.sizing.model import SaleLoad


class SaleLoads(NamedTuple):
    """The two ways in which visitors wait.

    Attributes:
        direct: All of them poll their status at the service.
        cdn: They poll now-serving through a CDN, and the service once when their turn comes.
    """

    direct: SaleLoad
    cdn: SaleLoad


def loads(sale: Sale, prediction: Prediction, seats: int, hours: float) -> SaleLoads:
    """Return the load of a sale.

    Args:
        sale: The sale.
        prediction: Its simulation.
        seats: Seats on sale; each makes a booking of its own, as in the worst case.
        hours: How long the installation runs for it.
    """
    bookings_per_s = min(
        sale.limits.admit_per_s, sale.limits.active_max * 1000 / max(sale.use.mean_ms, 1)
    )
    bookings = min(seats, sale.visitors)
    until_s = int(max(sale.over_ms / 1000, bookings / bookings_per_s)) + 1
    line = prediction.line[:until_s]
    hinted, _, cached = prediction.loads

    def load(per_s: list[int], polls: int) -> SaleLoad:
        return SaleLoad(
            arrivals_per_s=max(prediction.joined),
            polls_per_s=max(per_s[:until_s]),
            waiting=max(line),
            bookings_per_s=bookings_per_s,
            bookings=bookings,
            polls=polls,
            visitors=sale.visitors,
            hours=hours,
        )

    return SaleLoads(
        direct=load(hinted.per_s, 0),
        cdn=load(cached.per_s, sum(line) * 1000 // POLL_NEAR_MS),
    )
