"""Streams from the box office to the waiting room: events that have happened, and load reports.

wl:{events}:booking   stream   one entry per event, sent at least once. Fields:
                               topic      kind of event
                               eventId    the same at every repeat of an event
                               timestamp  time of the event, on the database's clock: ISO 8601, UTC
                               ageMs      age of the event at the time of sending, in ms
                               and the event's own; of `booking.payment.completed`: concertId,
                               userId, reservationId, paymentId, amount, and requestId, if a
                               request has confirmed the payment: as in the log
wl:{events}:dead      stream   dead letters: entries that could not be handled. Fields:
                               those of the entry, `entry` (its former id), `reason`
wl:{events}:reports   stream   one entry per worker of the box office and second. An entry's id is
                               its time on the store's clock; `REPORTS_KEPT` are kept. Field:
                               report     a `Report` in JSON
wl:{events}:reporter  string   the worker that reports the stock, for `REPORTER_MS`
wl:{ready}            string   written by both services' readiness checks, with a TTL; in a
                               cluster wl:{ready-N}, one for each primary

The names of the fields are those of the wire contract.
"""

from typing import Annotated, NamedTuple

import msgspec

STREAM = "wl:{events}:booking"
DEAD = "wl:{events}:dead"
REPORTS = "wl:{events}:reports"
REPORTER = "wl:{events}:reporter"
READINESS = "wl:{ready}"

PAYMENT_COMPLETED = "booking.payment.completed"
"""A visitor has paid: the reservation is confirmed, and the slot may go to the next visitor."""

REPORTS_KEPT = 200
"""Fewest reports kept in the stream. Readers read once a second, so this is three seconds of sixty
workers; with the stock of a thousand rooms in a third of them it takes some 3 MB."""

REPORTED_MAX = 1_000
"""Most rooms whose stock is reported: those of the newest concerts. Others have no report."""

REPORTER_MS = 3_000
"""Lease of the worker that reports the stock, in ms: if it dies, another takes over after this."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class InStock(NamedTuple):
    """Stock for the visitors of one room.

    Attributes:
        free: Free seats.
        live: Reservations that are held and not paid yet.
    """

    free: _Count
    live: _Count


class Report(msgspec.Struct, frozen=True):
    """Load report of one worker of the box office.

    Attributes:
        worker: Its name, unique to the worker.
        load: Its work as a share of its target; 1.0 is on target.
        stock: Stock by room, from the one worker that reports it; `None` from the others.
    """

    worker: Annotated[str, msgspec.Meta(max_length=200)]
    load: Annotated[float, msgspec.Meta(ge=0)]
    stock: dict[str, InStock] | None = None
