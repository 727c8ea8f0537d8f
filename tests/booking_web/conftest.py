"""The shared installations, and a show and a buyer of each test's own."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Buyer, Office, Show, running

ROOT = "/b"
SHOP = "https://shop.example"


@pytest.fixture(scope="package")
def trial(trial_office: Office) -> Office:
    return trial_office


@pytest.fixture(scope="package")
def production(production_office: Office) -> Office:
    return production_office


@pytest.fixture(scope="package")
def configured() -> Iterator[Office]:
    """Below a path, called from pages of another origin, in Korean by default, with low limits."""
    with running(
        "trial",
        WAITLINE_ALLOWED_ORIGINS=SHOP,
        WAITLINE_BOOKING_ROOT_PATH=ROOT,
        WAITLINE_LANGUAGE="ko",
        WAITLINE_WEBHOOK_BYTES="2048",
        WAITLINE_SEAT_PLAN_BYTES="3000",
    ) as office:
        yield office


@pytest.fixture
def show(trial: Office) -> Show:
    """A performance of the test's own."""
    return trial.show()


@pytest.fixture
def buyer(show: Show) -> Buyer:
    """A user whom its waiting room has let in."""
    return show.buyer()
