"""The stream on which the box office tells the waiting room what has happened.

wl:{events}:booking   stream   one entry per event, sent at least once. Fields:
                               topic      what has happened
                               eventId    the same at every repeat of an event
                               timestamp  when it happened, by the database's clock: ISO 8601, UTC
                               ageMs      how long ago that was when it was sent
                               and the event's own; of `booking.payment.completed`: concertId,
                               userId, reservationId, paymentId, amount
wl:{events}:dead      stream   entries that could not be handled and wait for an operator. Fields:
                               those of the entry, `entry` (the id that it had), `reason`

The names of the fields are those of the wire contract.
"""

STREAM = "wl:{events}:booking"
DEAD = "wl:{events}:dead"

PAYMENT_COMPLETED = "booking.payment.completed"
"""A visitor has paid: the reservation is confirmed, the slot may go to the next."""
