"""OpenAPI document of the booking service."""

from typing import Any

import msgspec
from fastapi import FastAPI

from waitline.booking.idempotency_key import KEY_CHARS_MAX
from waitline.booking.model import SeatState
from waitline.http.openapi import call, describe_service, reference
from waitline.kernel.ids import NAME_BYTES_MAX
from waitline.payment_providers.port import WEBHOOK_PATH
from waitline.services.booking.bodies import (
    CancellationView,
    ConcertsView,
    ConcertView,
    FoundReservationView,
    LoadedView,
    OwnReservationsView,
    PaymentBody,
    PaymentView,
    ReservationBody,
    ReservationView,
    SchedulesView,
    ScheduleView,
    SeatView,
    TicketsView,
)
from waitline.services.booking.calls import SEATS_PATH
from waitline.services.booking.evidence_bodies import EvidenceView
from waitline.services.booking.operator import InstallationView
from waitline.services.booking.operator_bodies import (
    ChangesView,
    ImportView,
    OperatorConcertsView,
    OperatorConcertView,
    OperatorSchedulesView,
    OperatorScheduleView,
)
from waitline.services.booking.operator_catalogue import PREFIX
from waitline.services.booking.operator_sale_bodies import GivenView, HouseSeatsView, StopView
from waitline.services.booking.tokens import TOKEN_CHARS_MAX
from waitline.services.booking.users import INT64_MAX, INT64_MIN

STRUCTS: list[type[msgspec.Struct]] = [
    ImportView,
    ChangesView,
    OperatorScheduleView,
    OperatorSchedulesView,
    InstallationView,
    EvidenceView,
    StopView,
    HouseSeatsView,
    GivenView,
    ReservationBody,
    PaymentBody,
    ReservationView,
    FoundReservationView,
    OwnReservationsView,
    TicketsView,
    CancellationView,
    PaymentView,
    ConcertsView,
    OperatorConcertView,
    ConcertView,
    OperatorConcertsView,
    SchedulesView,
    ScheduleView,
    SeatView,
    LoadedView,
]

_NUMBER = {"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX}
_USER = {
    "name": "X-User-Id",
    "in": "header",
    "required": True,
    "description": "The user, by the `userId` of the waiting room: UTF-8, percent-encoded except "
    "for printable ASCII other than the percent sign",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": NAME_BYTES_MAX,
        "pattern": "^[!-$&-~]+$",
    },
}
_PAYER = {
    **_USER,
    "required": False,
    "description": "The user, by the `userId` of the waiting room; required in production mode",
}
_TOKEN = {
    "name": "X-Queue-Token",
    "in": "header",
    "required": True,
    "description": "The visitor's pass, or the ticket of an admitted visitor",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": TOKEN_CHARS_MAX,
        "pattern": r"^[!-~]+$",
    },
}
_PROOF = {
    **_TOKEN,
    "required": False,
    "description": "The visitor's pass, or the ticket of an admitted visitor; required in "
    "production mode",
}
_MINE = {
    "name": "mine",
    "in": "query",
    "required": True,
    "allowEmptyValue": True,
    "description": "The user's own reservations: there is no other list. A value means nothing",
    "schema": {"type": "string"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Idempotency key: a repeat within 24 hours gets the first response again",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_CHARS_MAX,
        "pattern": r"^[!-~]+$",
    },
}

_OPERATORS = {
    ("get", "/installation"): ("InstallationView", 200),
    ("post", "/concerts"): ("OperatorConcertView", 201),
    ("get", "/concerts"): ("OperatorConcertsView", 200),
    ("get", "/concerts/{concertId}"): ("OperatorConcertView", 200),
    ("patch", "/concerts/{concertId}"): ("OperatorConcertView", 200),
    ("post", "/concerts/{concertId}/schedules"): ("OperatorScheduleView", 201),
    ("get", "/concerts/{concertId}/schedules"): ("OperatorSchedulesView", 200),
    ("get", "/schedules/{scheduleId}"): ("OperatorScheduleView", 200),
    ("patch", "/schedules/{scheduleId}"): ("OperatorScheduleView", 200),
    ("patch", "/schedules/{scheduleId}/seats"): ("ImportView", 200),
    ("delete", "/schedules/{scheduleId}/seats"): ("ImportView", 200),
    ("get", "/changes"): ("ChangesView", 200),
    ("post", "/schedules/{scheduleId}/seats"): ("ImportView", 201),
    ("get", "/reservations/{reservationId}"): ("EvidenceView", 200),
    ("delete", "/reservations/{reservationId}"): ("CancellationView", 200),
    ("post", "/schedules/{scheduleId}/cancel"): ("StopView", 200),
    ("post", "/schedules/{scheduleId}/postpone"): ("StopView", 200),
    ("post", "/schedules/{scheduleId}/resume"): ("StopView", 200),
    ("get", "/schedules/{scheduleId}/progress"): ("StopView", 200),
    ("get", "/schedules/{scheduleId}/house-seats"): ("HouseSeatsView", 200),
    ("post", "/schedules/{scheduleId}/house-seats/hold"): ("HouseSeatsView", 200),
    ("post", "/schedules/{scheduleId}/house-seats/release"): ("HouseSeatsView", 200),
    ("post", "/schedules/{scheduleId}/house-seats/give"): ("GivenView", 201),
}


def document(framework: FastAPI, *, trial: bool) -> dict[str, Any]:
    """Return the OpenAPI document of the booking service.

    Args:
        framework: Describes the calls of operators, health and metrics.
        trial: Whether the trial mode's call is included.
    """
    calls = {**_catalogue(), **_reservations(), **_payments()}
    if trial:
        calls["/api/admin/test-data/init"] = {"post": _init()}
    whole = describe_service(framework, STRUCTS, calls, operators=frozenset(("operator",)))
    for (method, path), (struct, status) in _OPERATORS.items():
        # FastAPI does not know the schema of these responses.
        described = call("", struct, status=status)["responses"]
        whole["paths"][PREFIX + path][method]["responses"].update(described)
    return whole


def _catalogue() -> dict[str, Any]:
    concert = _path("concertId")
    return {
        "/api/v1/concerts": {"get": call("List concerts", "ConcertsView", tag="booking")},
        "/api/v1/concerts/{concertId}": {
            "get": call("Get a concert", "ConcertView", tag="booking", parameters=[concert])
        },
        "/api/v1/concerts/{concertId}/schedules": {
            "get": call(
                "List a concert's schedules", "SchedulesView", tag="booking", parameters=[concert]
            )
        },
        SEATS_PATH: {"get": _seats()},
    }


def _seats() -> dict[str, Any]:
    seats = {"type": "array", "items": reference("SeatView")}
    # With `view` or `since` it is an object instead.
    schema = {"anyOf": [seats, {"type": "object"}]}
    return {
        "tags": ["booking"],
        "summary": "List the available seats of a schedule, or all seats, counts or changes",
        "parameters": [
            _path("scheduleId"),
            _USER,
            _TOKEN,
            _query(
                "status", {"enum": ["all", SeatState.AVAILABLE]}, "`all` for seats of every status"
            ),
            _query("view", {"const": "sections"}, "Return seat counts by section"),
            _query(
                "section",
                {"type": "string", "minLength": 1, "maxLength": 128},
                "Return the available seats of one section, named as in `view=sections`",
            ),
            _query(
                "since",
                {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[!-~]+$"},
                "Return the changes since this version",
            ),
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "The seats, as a bare array",
                "content": {"application/json": {"schema": schema}},
            },
            "304": {"description": "The client's copy is current"},
        },
    }


def _reservations() -> dict[str, Any]:
    reservation = _path("reservationId")
    found = call("", None, tag="booking", parameters=[reservation, _USER, _PROOF])
    found["summary"] = "Get a reservation; its fields are in `data` and at the top level"
    found["responses"]["200"]["content"]["application/json"]["schema"] = reference(
        "FoundReservationView"
    )
    return {
        "/api/v1/reservations": {
            "get": call(
                "List what a visitor holds and has bought, the newest first",
                "OwnReservationsView",
                tag="booking",
                parameters=[_MINE, _USER, _PROOF],
            ),
            "post": call(
                "Reserve one seat, several seats, or the best available ones",
                "ReservationView",
                tag="booking",
                body="ReservationBody",
                parameters=[_USER, _TOKEN, _KEY],
                status=201,
            ),
        },
        "/api/v1/reservations/{reservationId}": {
            "get": found,
            "delete": call(
                "Cancel a reservation; a payment is refunded",
                "CancellationView",
                tag="booking",
                parameters=[reservation, _USER, _PROOF, _KEY],
            ),
        },
        "/api/v1/reservations/{reservationId}/tickets": {
            "get": call(
                "Show the tickets of a visitor's own reservation, with their codes for the door",
                "TicketsView",
                tag="booking",
                parameters=[reservation, _USER, _PROOF],
            ),
        },
    }


def _payments() -> dict[str, Any]:
    webhook = call("Receive a webhook of the payment provider", None, tag="booking")
    webhook["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return {
        "/api/v1/payments": {
            "post": call(
                "Pay for a reservation",
                "PaymentView",
                tag="booking",
                body="PaymentBody",
                parameters=[_PAYER, _PROOF, _KEY],
                status=201,
            )
        },
        WEBHOOK_PATH: {"post": webhook},
        "/api/v1/payments/{paymentId}": {
            "get": call(
                "Get a payment",
                "PaymentView",
                tag="booking",
                parameters=[_path("paymentId"), _PAYER, _PROOF],
            )
        },
    }


def _init() -> dict[str, Any]:
    return {
        "tags": ["trial"],
        "summary": "Reset the demo concert and delete its bookings",
        "responses": {
            "200": {
                "description": "Done",
                "content": {"application/json": {"schema": reference("LoadedView")}},
            }
        },
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _NUMBER}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }
