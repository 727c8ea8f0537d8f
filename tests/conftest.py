"""What every kind of test may ask for."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests import databases, starved
from tests.databases import TestDatabase
from tests.servers import Server, redis_binary, running


def pytest_configure() -> None:
    starved.PULSE.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        excused = partial(starved.excused, starved.PULSE, item.path)
        item.add_marker(pytest.mark.flaky(reruns=starved.AGAIN_MOST, condition=excused))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    starved.PULSE.begin()


@pytest.fixture(scope="session", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server that we promise to run on; the test runs once on either."""
    with running(redis_binary() if request.param == "redis" else None) as started:
        yield started


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """The embedded server alone, for what does not depend on which one it is."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestDatabase]:
    """The embedded PostgreSQL, with the box office's tables."""
    with databases.running() as started:
        yield started


@pytest.fixture(autouse=True)
def _empty_store(request: pytest.FixtureRequest) -> None:
    """Empty what a test uses before it; Hypothesis clears between its examples."""
    for name in ("server", "valkey"):
        if name in request.fixturenames:
            used: Server = request.getfixturevalue(name)
            used.wait(used.clear())
    if "postgres" in request.fixturenames:
        request.getfixturevalue("postgres").empty()
