"""Limits of bodies that are larger than others: both are settings."""

from tests.booking_web.conftest import ROOT
from tests.booking_web.office import Office, refused
from tests.web.stack import JSON_TYPE

WEBHOOK = "/api/v1/payments/webhook"


def test_the_limits_of_webhooks_and_seat_plans_are_settings(configured: Office) -> None:
    show = configured.show()
    for size, status, code in ((2_048, 401, "C002"), (2_049, 413, "C001")):
        answer = configured.client.post(WEBHOOK, content=b"x" * size, headers=JSON_TYPE)
        refused(answer, status, code, root=ROOT)
    path = f"/api/v1/operator/schedules/{show.schedule}/seats"
    headers = {**configured.operator, "Content-Type": "text/csv"}
    for size, status in ((3_000, 400), (3_001, 413)):
        answer = configured.client.post(path, content=b"x" * size, headers=headers)
        refused(answer, status, "C001", root=ROOT)
