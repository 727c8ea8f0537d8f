"""Request ids: taken from trusted proxies, answered, and passed through to the event."""

import re
from typing import Any

import pytest
import redis

from tests.booking_web.office import Office
from tests.observing.lines import named
from tests.until import until
from waitline.kernel import events

SOON_S = 20.0

OURS = re.compile("[0-9a-f]{16}")


@pytest.mark.parametrize(
    "given",
    ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", "Root=1-67891233-abcdef", "x" * 64],
)
def test_a_well_formed_id_of_a_trusted_proxy_is_taken_and_answered(
    observed: Office, given: str
) -> None:
    hot = observed.queue.client.get(
        "/api/v1/queue/status?concertId=a&userId=b", headers={"X-Request-Id": given}
    )
    rest = observed.get("/api/v1/health", **{"X-Request-Id": given})
    assert hot.headers["x-request-id"] == rest.headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    ["", "x" * 65, "a b", "a\tb", 'a"b', "a,b", "<script>", "a\\nb"],
)
def test_any_other_is_replaced_by_one_of_ours(observed: Office, given: str) -> None:
    response = observed.get("/api/v1/concerts", **{"X-Request-Id": given})
    assert OURS.fullmatch(response.headers["x-request-id"])


def test_two_fields_are_no_id(observed: Office) -> None:
    headers = [("X-Request-Id", "first"), ("X-Request-Id", "second")]
    response = observed.client.get("/api/v1/concerts", headers=headers)
    assert OURS.fullmatch(response.headers["x-request-id"])


def test_without_one_a_request_that_nobody_logs_has_none(observed: Office) -> None:
    assert "x-request-id" not in observed.get("/api/v1/concerts").headers


def test_the_id_goes_to_the_queue_and_into_the_event(observed: Office) -> None:
    show = observed.show(1)
    buyer = show.buyer()
    # Before the payment, which ends the stay.
    seats = buyer.seats(**{"X-Request-Id": "of-these-seats"})
    assert seats.status_code == 200
    number = buyer.reserved(show.seats[0])
    paid = buyer.pay(number, {"X-Request-Id": "of-this-payment"})
    assert paid.status_code == 201
    assert paid.headers["x-request-id"] == "of-this-payment"

    def answered() -> set[str]:
        return {
            line["route"]
            for line in named(observed, "request_answered", request_id="of-these-seats")
        }

    both = {"/api/v1/queue/validate", "/api/v1/schedules/{scheduleId}/seats"}
    until(lambda: answered() == both, SOON_S, "both services have logged it")
    with redis.Redis.from_url(observed.program.valkey_url, decode_responses=True) as store:

        def sent() -> list[str | None]:
            entries = store.xrange(events.STREAM)
            mine = [fields for _, fields in entries if fields["concertId"] == show.room]
            return [fields.get("requestId") for fields in mine]

        def settling() -> set[str]:
            """The ids of the request that paid, and of the provider's, which may come first."""
            webhooks = named(observed, "request_answered", route="/api/v1/payments/webhook")
            return {"of-this-payment"} | {line.get("request_id", "none") for line in webhooks}

        until(lambda: len(sent()) == 1, SOON_S, "the event is sent")
        until(lambda: sent()[0] in settling(), SOON_S, f"{sent()} names the request that settled")


def test_a_refusal_is_logged_once_for_its_class_with_the_callers_id(observed: Office) -> None:
    """Nobody else in these tests asks for a concert that does not exist."""
    numbers = range(90_000, 90_040)
    answers = [
        observed.get(f"/api/v1/concerts/{number}", **{"X-Request-Id": f"of-{number}"})
        for number in numbers
    ]
    assert {answer.status_code for answer in answers} == {404}
    problem = answers[0].json()["type"].rpartition(":")[2]

    def logged() -> list[dict[str, Any]]:
        return named(observed, "request_refused", problem=problem)

    until(lambda: bool(logged()), SOON_S, "it is logged")
    # A line in ten seconds for each of the two workers.
    assert len(logged()) <= 4
    assert logged()[0].keys() == {
        "event", "level", "timestamp", "problem", "code", "request_id", "unlogged",
    }  # fmt: skip
    assert {line["request_id"] for line in logged()} <= {f"of-{number}" for number in numbers}


def test_whether_a_refusal_is_logged_does_not_show_in_its_answer(observed: Office) -> None:
    answers = [observed.get("/api/v1/concerts/91000") for _ in range(20)]
    assert not any("x-request-id" in answer.headers for answer in answers)
