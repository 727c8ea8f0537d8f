"""Fixtures for all tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

import hypothesis
import pytest
import typer.main
from _pytest.terminal import TerminalReporter
from httpx import _config as httpx_config
from httpx._transports import default as httpx_transport

from tests import command_line, databases, http_client, quarantine, refusals
from tests.booking_web.office import QUEUE_URL, WORKERS, Office
from tests.booking_web.office import running as running_office
from tests.databases import TestDatabase
from tests.distribution import OFFICES, ByFolder, folder_of
from tests.machine import Machine
from tests.servers import Server, redis_binary, running, running_cluster
from waitline.trial.valkey_cluster import Size

REFUSALS = pytest.StashKey[refusals.Refusals]()
MACHINE = pytest.StashKey[Machine]()


def _build_once() -> None:
    """Keep what two libraries build anew each time: a third of the CPU time of many tests.

    httpx reads all certificates of the machine for each client, also for plain HTTP (24 ms). Typer
    builds all commands for each one that runs in this process (25 ms).
    """
    opened = cache(httpx_transport.create_ssl_context)  # type: ignore[attr-defined]
    httpx_transport.create_ssl_context = opened  # type: ignore[attr-defined]
    typer.main.get_command = cache(typer.main.get_command)


def _be_patient() -> None:
    """Let clients without a timeout of their own wait as long as `http_client`, not httpx's 5 s."""
    for kind in ("connect", "read", "write", "pool"):
        setattr(httpx_config.DEFAULT_TIMEOUT_CONFIG, kind, http_client.ANSWER_S)


def pytest_configure(config: pytest.Config) -> None:
    _build_once()
    _be_patient()
    # A slow machine is no failure of an example.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    config.stash[MACHINE] = Machine()
    if not hasattr(config, "workerinput"):
        config.stash[REFUSALS] = refusals.Refusals()
        config.pluginmanager.register(config.stash[REFUSALS])


CLUSTER_FOLDERS = frozenset(("store", "model", "race"))
"""Folders whose tests run on a cluster too; in the long run, but for those of these files:"""

CLUSTER_FILES = frozenset((
    "test_rooms.py", "test_join.py", "test_mode.py", "test_rehearsals.py", "test_departures.py",
    "test_steering.py", "test_awake.py", "test_scripts.py", "test_opening.py",
    "test_admitter.py",
))  # fmt: skip
"""Each script, and what rooms share: lists, streams, the mode."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" not in metafunc.fixturenames:
        return
    path = metafunc.definition.path
    # Random sequences on Redis belong to the long run: `store` has each script's outcomes on it.
    redis_marks = [pytest.mark.long] if path.parent.name == "model" else []
    kinds: list[object] = ["valkey", pytest.param("redis", marks=redis_marks)]
    if path.parent.name in CLUSTER_FOLDERS:
        short = path.name in CLUSTER_FILES
        kinds.append(pytest.param("cluster", marks=[] if short else [pytest.mark.long]))
    metafunc.parametrize("server", kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    quarantine.mark(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder | None:
    return ByFolder(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    refusals.attach(item)
    if nextitem is None:
        return
    here, there = (folder_of(one.nodeid.partition("::")[0]) for one in (item, nextitem))
    # A folder that is none of them may have a test that uses one.
    if there != here and there not in OFFICES:
        _stop_offices(item)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("beside the outcomes")
    quarantine.write(terminalreporter)
    config.stash[REFUSALS].write(terminalreporter)
    terminalreporter.write_line(config.stash[MACHINE].described())


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each supported server; the test runs once on each, and in some folders on a cluster."""
    with ExitStack() as stack:
        if request.param == "cluster":
            yield stack.enter_context(running_cluster(Size(3, 0)))
        else:
            binary = redis_binary() if request.param == "redis" else None
            yield stack.enter_context(running(binary))


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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> command_line.Run:
    """Run a command in this process."""
    return command_line.run_with(monkeypatch, capsys)


# Installations of both services, which the folders of `OFFICES` share, since a start takes 6 s of
# CPU time: each test has a room, a show and visitors of its own. They stop when a worker of the
# tests goes on to another folder.


@pytest.fixture(scope="session")
def trial_office() -> Iterator[Office]:
    """The mode that accepts a user's name as proof; with the demo concert."""
    with running_office("trial", WORKERS) as office:
        yield office


@pytest.fixture(scope="session")
def production_office() -> Iterator[Office]:
    """The mode that asks for the visitor's token, and for the price."""
    with running_office("production", WORKERS, WAITLINE_QUEUE_PUBLIC_URL=QUEUE_URL) as office:
        yield office


def _stop_offices(item: pytest.Item) -> None:
    """Stop the shared installations: idle, each takes 5 % of a processor to the end of the run."""
    manager = item.session._fixturemanager  # noqa: SLF001 - pytest has no public way
    for name in ("trial_office", "production_office"):
        for office in manager.getfixturedefs(name, item) or ():
            office.finish(item._request)  # type: ignore[attr-defined]  # noqa: SLF001


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "postgres" in request.fixturenames:
        databases.be_patient(monkeypatch)


@pytest.fixture(autouse=True)
def _empty_store(request: pytest.FixtureRequest) -> None:
    """Empty what a test uses before it; Hypothesis clears between its examples."""
    for name in ("server", "valkey"):
        if name in request.fixturenames:
            used: Server = request.getfixturevalue(name)
            used.wait(used.clear())
    if "postgres" in request.fixturenames:
        request.getfixturevalue("postgres").empty()
