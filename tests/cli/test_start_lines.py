"""What processes say at their start, and while a store does not answer."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Program, started
from tests.until import until
from waitline import settings as chosen
from waitline.kernel.addresses import shown_address
from waitline.services.start_lines import plain_http
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.fitness import unsaved

WAITLINE = (sys.executable, "-m", "waitline")
UP_S = 60.0

# An outage is logged within 2 s; the rest is for a machine that others use too.
SOON_S = 20.0


@pytest.fixture
def store() -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        server = ValkeyServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def events(program: Program, name: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in program.output.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == name]


@pytest.mark.parametrize(
    ("command", "event", "does"),
    [
        ("queue", "service_listening", "waiting page"),
        ("admitter", "admitter_started", "admits the waiting visitors"),
    ],
)
def test_a_process_says_what_it_does_and_how_its_store_is(
    command: str, event: str, does: str, store: ValkeyServer, tmp_path: Path
) -> None:
    port = free_port()
    env = {"WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port()), "WAITLINE_QUEUE_ROOT_PATH": "/line"}
    words = ["--valkey-url", store.url, "--data-dir", str(tmp_path)]
    if command == "queue":
        words += ["--queue-port", str(port), "--workers", "2", "--host", "127.0.0.1"]
    with started([*WAITLINE, command, *words], env, lambda: True, UP_S) as program:
        until(lambda: bool(events(program, event)), UP_S, "it says what it does")
        (line,) = events(program, event)
        assert does in line["does"]
        assert line["valkey"] == store.url
        assert line["mode"] == "production"
        if command == "queue":
            assert line["addresses"] == [f"http://127.0.0.1:{port}/line"]
            assert events(program, "https_missing")
        store.kill()
        until(lambda: bool(events(program, "valkey_watch_failed")), SOON_S, "it says so")
        store.start()
        until(lambda: bool(events(program, "valkey_watch_recovered")), SOON_S, "it is back")
        # Once for the service, not for each of its workers.
        assert len(events(program, "valkey_watch_failed")) == 1


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://u:secret@[::1]:6379/2", "redis://[::1]:6379/2"),
        ("unix:///a%20b/valkey.sock", "unix:///a b/valkey.sock"),
        ("postgresql://u:secret@h:5432/x?password=p", "postgresql://h:5432/x"),
        ("postgresql://waitline@/waitline?host=%2Ftmp%2Fx", "postgresql:///waitline?host=/tmp/x"),
    ],
)
def test_addresses_are_shown_whole_and_without_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ({"mode": "production"}, True),
        ({"mode": "production", "trusted_proxies": "10.0.0.0/8"}, False),
        ({"mode": "trial"}, False),
    ],
)
def test_production_over_plain_http_is_warned_of(more: dict[str, Any], warned: bool) -> None:  # noqa: FBT001
    assert bool(plain_http(chosen.load(**more))) is warned


@pytest.mark.parametrize(("enabled", "warned"), [("0", True), ("1", False)])
def test_a_store_that_keeps_nothing_is_warned_of(enabled: str, warned: bool) -> None:  # noqa: FBT001
    assert bool(unsaved(f"# Persistence\r\naof_enabled:{enabled}\r\n")) is warned
