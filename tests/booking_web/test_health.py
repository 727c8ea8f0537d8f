"""Health and metrics of the booking service."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.booking_web.office import WORKERS, Buyer, Office, refused, succeeded
from tests.databases import processes_of
from tests.processes import halted
from tests.until import until
from tests.web.stack import SOON_S
from waitline.booking.catalogue_cache import STALE_S
from waitline.postgres.pool import CONNECTIONS_MAX


def test_everything_is_up(trial: Office) -> None:
    assert succeeded(trial.get("/api/v1/health")) == {
        "status": "UP", "redis": "UP", "database": "UP", "kafka": "NOT_USED",
    }  # fmt: skip
    for path in ("/actuator/health", "/actuator/health/readiness"):
        body = trial.get(path).json()
        assert body["status"] == "UP"
        assert {name: one["status"] for name, one in body["components"].items()} == {
            "redis": "UP", "database": "UP",
        }  # fmt: skip
    assert trial.get("/actuator/health/liveness").json() == {"status": "UP"}
    assert trial.get("/actuator/info").json()["status"] == "UP"


def test_the_database_is_open_to_every_worker_before_anybody_comes(trial: Office) -> None:
    """And has room for others, however many workers there are."""
    wanted = WORKERS * CONNECTIONS_MAX

    def opened() -> bool:
        mine = "SELECT FROM pg_stat_activity WHERE application_name = 'waitline'"
        return len(trial.sql(mine)) >= wanted

    until(opened, SOON_S, "the connections are open")
    (row,) = trial.sql("SHOW max_connections")
    assert int(row["max_connections"]) > wanted


@contextmanager
def halted_database(office: Office) -> Iterator[None]:
    """Let the database hang, with all that serve its connections."""
    try:
        with halted(processes_of(office.queue.data_dir / "postgres")):
            yield
    finally:
        until(lambda: _ready(office), SOON_S, "the database answers again")


def _ready(office: Office) -> bool:
    return office.get("/actuator/health/readiness").status_code == 200


def test_a_database_that_hangs(buyer: Buyer) -> None:
    office = buyer.office
    with office.client.impatient(), halted_database(office):
        until(lambda: not _ready(office), SOON_S, "readiness says no")
        response = office.get("/actuator/health/readiness")
        assert response.json()["components"] == {
            "redis": {"status": "UP"}, "database": {"status": "DOWN"},
        }  # fmt: skip
        received = succeeded(office.get("/api/v1/health"))
        assert (received["status"], received["redis"], received["database"]) == (
            "DOWN",
            "UP",
            "DOWN",
        )
        assert office.get("/actuator/health/liveness").status_code == 200
        for answer in (
            buyer.reserve(buyer.show.seats[0]),
            buyer.reserve(buyer.show.seats[0], **{"Idempotency-Key": "k"}),
        ):
            refused(answer, 503, "E003")
            assert int(answer.headers["retry-after"]) >= 1
        # The catalogue is served from memory for some seconds.
        path = "/api/v1/concerts"
        until(lambda: office.get(path).status_code == 503, 2 * STALE_S, "it is too old")
        assert office.metrics()
    # What hung may have been carried out after all; nobody else may have been sold the seat.
    assert buyer.reserve(buyer.show.seats[1], **{"Idempotency-Key": "l"}).status_code == 201


def test_metrics(buyer: Buyer) -> None:
    office = buyer.office
    assert buyer.seats().status_code == 200
    succeeded(buyer.pay(buyer.reserved(buyer.show.seats[0])), 201)
    # Labels may be in any order.
    wanted = [
        r'http_server_requests_seconds_count\{(?=.*method="POST")(?=.*status="201").*uri="/api/v1/reservations"',
        r'http_server_requests_seconds_bucket\{.*uri="/api/v1/schedules/\{scheduleId\}/seats"',
        r'database_statement_duration_seconds_count\{(?=.*service="booking").*statement="reserve"',
        r'outbox_events\{.*state="waiting".*\} \d',
        r'outbox_events\{.*state="dead".*\} 0',
        r"outbox_oldest_age_seconds\{.*\} \d",
        r'payments_open\{.*state="pending".*\} \d',
        r'payments_open\{.*state="refunding".*\} \d',
        r"payments_oldest_age_seconds\{.*\} \d",
        r'payment_provider_duration_seconds_count\{call="charge",.*outcome="ok",.*\} [1-9]',
        r"database_pool_size\{.*\} [1-9]",
        r"database_pool_in_use\{.*\} \d",
        r"database_pool_waiting\{.*\} \d",
        r"process_cpu_seconds_total\{",
        r"process_resident_memory_bytes\{",
        r"event_loop_lag_seconds\{",
    ]
    until(
        lambda: all(re.search(line, office.metrics()) for line in wanted),
        SOON_S,
        "every metric is there",
    )
    # As a label; a figure may have the same digits.
    assert f'"{buyer.user}"' not in office.metrics()
