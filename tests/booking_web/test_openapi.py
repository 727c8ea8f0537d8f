"""/openapi.json agrees with the answers, for any request."""

from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from tests.api_description import (
    Case,
    assert_conforms,
    assert_references_resolve,
    calls_of,
    calls_with_key,
)
from tests.booking_web.office import Buyer, Office

INIT = ("post", "/api/admin/test-data/init")

CALLS = {
    ("get", "/api/v1/concerts"),
    ("get", "/api/v1/concerts/{concertId}"),
    ("get", "/api/v1/concerts/{concertId}/schedules"),
    ("get", "/api/v1/schedules/{scheduleId}/seats"),
    ("post", "/api/v1/reservations"),
    ("get", "/api/v1/reservations"),
    ("get", "/api/v1/reservations/{reservationId}"),
    ("delete", "/api/v1/reservations/{reservationId}"),
    ("post", "/api/v1/payments"),
    ("post", "/api/v1/payments/webhook"),
    ("get", "/api/v1/payments/{paymentId}"),
    INIT,
    ("get", "/api/v1/operator/installation"),
    ("get", "/api/v1/operator/payments"),
    ("post", "/api/v1/operator/payments/{paymentId}/acknowledge"),
    ("post", "/api/v1/operator/concerts"),
    ("get", "/api/v1/operator/concerts"),
    ("get", "/api/v1/operator/concerts/{concertId}"),
    ("patch", "/api/v1/operator/concerts/{concertId}"),
    ("delete", "/api/v1/operator/concerts/{concertId}"),
    ("get", "/api/v1/operator/changes"),
    ("get", "/api/v1/operator/schedules/{scheduleId}"),
    ("patch", "/api/v1/operator/schedules/{scheduleId}"),
    ("delete", "/api/v1/operator/schedules/{scheduleId}"),
    ("get", "/api/v1/operator/schedules/{scheduleId}/seats"),
    ("patch", "/api/v1/operator/schedules/{scheduleId}/seats"),
    ("delete", "/api/v1/operator/schedules/{scheduleId}/seats"),
    ("post", "/api/v1/operator/concerts/{concertId}/schedules"),
    ("get", "/api/v1/operator/concerts/{concertId}/schedules"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/seats"),
    ("get", "/api/v1/operator/reservations/{reservationId}"),
    ("delete", "/api/v1/operator/reservations/{reservationId}"),
    ("get", "/api/v1/reservations/{reservationId}/tickets"),
    ("get", "/api/v1/operator/schedules/{scheduleId}/door-list"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/cancel"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/postpone"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/resume"),
    ("get", "/api/v1/operator/schedules/{scheduleId}/progress"),
    ("get", "/api/v1/operator/schedules/{scheduleId}/house-seats"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/house-seats/hold"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/house-seats/release"),
    ("post", "/api/v1/operator/schedules/{scheduleId}/house-seats/give"),
    ("get", "/api/v1/health"),
    ("get", "/api/v1/info"),
    ("get", "/api/v1/keys"),
    ("get", "/actuator/health"),
    ("get", "/actuator/health/liveness"),
    ("get", "/actuator/health/readiness"),
    ("get", "/actuator/info"),
    ("get", "/actuator/prometheus"),
}

# Where nothing is asked for, nothing can be wrong.
ASKING_NOTHING = {
    ("get", "/api/v1/concerts"),
    ("get", "/api/v1/operator/concerts"),
    ("get", "/api/v1/operator/installation"),
    ("post", "/api/v1/payments/webhook"),
}

# The test data would take half a second each time; it has tests of its own.
ASKED = [
    (method, path, wanted)
    for method, path in sorted(CALLS - {INIT})
    for wanted in GenerationMode
    if wanted is GenerationMode.POSITIVE
    or (
        (method, path) not in ASKING_NOTHING
        and path.startswith("/api/v1/")
        and "health" not in path
        and path not in {"/api/v1/info", "/api/v1/keys"}
    )
]


# Calls that look at the visitor's pass.
WITH_PASS = ("/api/v1/schedules/", "/api/v1/reservations", "/api/v1/payments")


def repeats(path: str, wanted: GenerationMode) -> bool:
    """Whether a call gets the same requests outside as inside, and answers them the same."""
    own_schedule = "{scheduleId}" in path and wanted is GenerationMode.POSITIVE
    return not path.startswith(WITH_PASS) and not own_schedule


OUTSIDE_AND_INSIDE = [
    pytest.param(
        method,
        path,
        wanted,
        inside,
        id=f"{method}-{path}-{wanted.value}-{'inside' if inside else 'outside'}",
        marks=[pytest.mark.long] * (not inside and repeats(path, wanted)),
    )
    for inside in (False, True)
    for method, path, wanted in ASKED
]


@pytest.fixture(scope="package")
def described(trial: Office) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{trial.url}/openapi.json")


@pytest.fixture(scope="package")
def insider(trial: Office) -> Buyer:
    """Somebody inside, so that more than the token is looked at."""
    return trial.show(seatsPerUser=100).buyer()


@pytest.mark.parametrize(("method", "path", "wanted", "inside"), OUTSIDE_AND_INSIDE)
def test_what_it_says_is_so(
    described: BaseSchema,
    insider: Buyer,
    method: str,
    path: str,
    wanted: GenerationMode,
    *,
    inside: bool,
) -> None:
    call = described[path][method]
    headers = {**insider.office.operator, **(insider.headers if inside else {})}

    def prepare(case: Case) -> None:
        stops = path.endswith(("/cancel", "/postpone", "/resume"))
        if (method in {"delete", "patch"} or stops) and "/operator/" in path:
            # Not what other tests use.
            for name, number in case.path_parameters.items():
                if isinstance(number, int) and number > 0:
                    case.path_parameters[name] = number | 1 << 40
        elif inside and "scheduleId" in case.path_parameters and wanted is GenerationMode.POSITIVE:
            case.path_parameters["scheduleId"] = insider.show.schedule
        if inside and isinstance(case.body, dict) and "scheduleId" in case.body:
            case.body["scheduleId"] = insider.show.schedule

    assert_conforms(call, wanted, headers, prepare)


@pytest.fixture(scope="package")
def document(trial: Office) -> Any:  # noqa: ANN401 - JSON
    return httpx.get(f"{trial.url}/openapi.json").json()


def test_it_is_of_version_3_1_and_valid(described: BaseSchema, document: Any) -> None:  # noqa: ANN401
    assert document["openapi"].startswith("3.1")
    described.validate()


def test_every_call_is_in_it(document: Any) -> None:  # noqa: ANN401 - JSON
    assert calls_of(document) == CALLS


def test_every_reference_leads_somewhere(document: Any) -> None:  # noqa: ANN401 - JSON
    assert_references_resolve(document)


def test_operators_calls_say_that_they_need_a_key(document: Any) -> None:  # noqa: ANN401 - JSON
    needing = {(method, path) for method, path in CALLS if path.startswith("/api/v1/operator/")}
    assert calls_with_key(document) == needing


def test_the_page_that_shows_it(trial: Office) -> None:
    assert "swagger-ui" in trial.get("/docs").text
    assert trial.get("/docs/docs.js").status_code == 200
