"""Fixtures for all tests."""

from collections.abc import Iterator
from functools import cache

import pytest
import typer.main
from _pytest.terminal import TerminalReporter
from httpx._transports import default as httpx_transport

from tests import databases, quarantine, refusals
from tests.databases import TestDatabase
from tests.machine import Machine
from tests.servers import Server, redis_binary, running

REFUSALS = pytest.StashKey[refusals.Refusals]()
MACHINE = pytest.StashKey[Machine]()


def _build_once() -> None:
    """Keep what two libraries build anew each time: a third of the processor time of many tests.

    httpx reads all certificates of the machine for each client, also for plain HTTP (24 ms). Typer
    builds all commands for each one that runs in this process (25 ms).
    """
    opened = cache(httpx_transport.create_ssl_context)  # type: ignore[attr-defined]
    httpx_transport.create_ssl_context = opened  # type: ignore[attr-defined]
    typer.main.get_command = cache(typer.main.get_command)


def pytest_configure(config: pytest.Config) -> None:
    _build_once()
    config.stash[MACHINE] = Machine()
    if not hasattr(config, "workerinput"):
        config.stash[REFUSALS] = refusals.Refusals()
        config.pluginmanager.register(config.stash[REFUSALS])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    quarantine.mark(items)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    refusals.attach(item)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("beside the outcomes")
    quarantine.write(terminalreporter)
    config.stash[REFUSALS].write(terminalreporter)
    terminalreporter.write_line(config.stash[MACHINE].described())


@pytest.fixture(scope="session", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each supported server; the test runs once on each."""
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
