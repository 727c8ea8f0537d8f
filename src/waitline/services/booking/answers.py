"""Responses to successful writes; an idempotent repeat gets the same bytes."""

from http import HTTPStatus

from waitline.booking.model import Payment, Reservation, ReservationState
from waitline.http.envelope import success_in
from waitline.http.responses import Answer
from waitline.http.texts import Language
from waitline.kernel.ids import VisitorId
from waitline.services.booking import texts
from waitline.services.booking.bodies import CancellationView, PaymentView, ReservationView
from waitline.services.booking.users import wire_user


def reserved(language: Language, reservation: Reservation) -> Answer:
    """Return the response to a new reservation."""
    view = ReservationView.of(reservation)
    return success_in(language, texts.RESERVED, view, HTTPStatus.CREATED)


def cancelled(language: Language, reservation_id: int, user: VisitorId, *, refund: bool) -> Answer:
    """Return the response to a cancellation."""
    view = CancellationView(reservation_id, wire_user(user), ReservationState.CANCELLED, refund)
    return success_in(language, texts.CANCELLED, view)


def paid(language: Language, payment: Payment) -> Answer:
    """Return the response to a payment."""
    return success_in(language, texts.PAID, PaymentView.of(payment), HTTPStatus.CREATED)
