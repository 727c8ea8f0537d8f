"""Streams from the box office to the waiting room: events that have happened, and load reports.

wl:{events}:booking   stream   one entry per event, sent at least once. Fields:
                               topic      what has happened
                               eventId    the same at every repeat of an event
                               timestamp  when it happened, by the database's clock: ISO 8601, UTC
                               ageMs      how long ago that was when it was sent
                               and the event's own; of `booking.payment.completed`: concertId,
                               userId, reservationId, paymentId, amount
wl:{events}:dead      stream   entries that could not be handled and wait for an operator. Fields:
                               those of the entry, `entry` (the id that it had), `reason`
wl:{events}:reports   stream   one entry per worker of the box office and second. An entry's id says
                               when, by the store's clock; the last `REPORTS_KEPT` are kept. Field:
                               report     a `Report` in JSON
wl:{events}:reporter  string   the worker that reports the stock, for `REPORTER_MS`

The names of the fields are those of the wire contract.
"""

from typing import Annotated, NamedTuple

import msgspec

STREAM = "wl:{events}:booking"
DEAD = "wl:{events}:dead"
REPORTS = "wl:{events}:reports"
REPORTER = "wl:{events}:reporter"

PAYMENT_COMPLETED = "booking.payment.completed"
"""A visitor has paid: the reservation is confirmed, the slot may go to the next."""

REPORTS_KEPT = 200
"""Reports in the stream, at least. Readers come once a second, so it is three seconds of sixty
workers; with the stock of a thousand rooms in a third of them it has some 3 MB."""

REPORTED_MAX = 1_000
"""Rooms of which the stock is reported, those of the newest concerts. Others have no report."""

REPORTER_MS = 3_000
"""For how long a worker that has died is still the one that reports the stock."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class InStock(NamedTuple):
    """What there is to sell to the visitors of one room.

    Attributes:
        free: Seats that may be taken.
        live: Reservations that are held and not paid yet.
    """

    free: _Count
    live: _Count


class Report(msgspec.Struct, frozen=True):
    """How one worker of the box office is.

    Attributes:
        worker: Its name, different for every worker.
        load: What it has to do as a share of what it should have to: 1.0 is just right.
        stock: What there is, by room; one worker reports it for all, the others `None`.
    """

    worker: Annotated[str, msgspec.Meta(max_length=200)]
    load: Annotated[float, msgspec.Meta(ge=0)]
    stock: dict[str, InStock] | None = None
