"""Limits of bodies that are larger than others: both are settings."""

from tests.booking_web.office import refused, running
from tests.web.stack import JSON_TYPE

WEBHOOK = "/api/v1/payments/webhook"


def test_the_limits_of_webhooks_and_seat_plans_are_settings() -> None:
    with running("trial", WAITLINE_WEBHOOK_BYTES="2048", WAITLINE_SEAT_PLAN_BYTES="3000") as office:
        show = office.show()
        for size, status, code in ((2_048, 401, "C002"), (2_049, 413, "C001")):
            answer = office.client.post(WEBHOOK, content=b"x" * size, headers=JSON_TYPE)
            refused(answer, status, code)
        path = f"/api/v1/operator/schedules/{show.schedule}/seats"
        headers = {"X-Operator-Key": office.program.operator_key, "Content-Type": "text/csv"}
        for size, status in ((3_000, 400), (3_001, 413)):
            answer = office.client.post(path, content=b"x" * size, headers=headers)
            refused(answer, status, "C001")
