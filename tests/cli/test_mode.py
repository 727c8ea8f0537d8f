"""The mode of a data folder, from the command line: kept, shown, and changed on purpose alone."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Program, environment, started
from tests.until import until
from waitline.trial.machine import free_port

WAITLINE = (sys.executable, "-m", "waitline")
UP_S = 90.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name) / "data"


class Ports:
    def __init__(self) -> None:
        self.queue, self.booking = free_port(), free_port()
        self.env = {
            "WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port()),
            "WAITLINE_BOOKING_MANAGEMENT_PORT": str(free_port()),
            "WAITLINE_QUEUE_PORT": str(self.queue),
            "WAITLINE_BOOKING_PORT": str(self.booking),
            "WAITLINE_WORKERS": "1",
            "WAITLINE_BOOKING_WORKERS": "1",
            "NO_COLOR": "1",
        }


def run(*words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own command
        [*WAITLINE, *map(str, words)],
        env={**environment(), **Ports().env, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=UP_S,
        stdin=subprocess.DEVNULL,
    )


def up(ports: Ports, folder: Path, *words: str, **env: str) -> Iterator[Program]:
    argv = [*WAITLINE, "up", "--data-dir", str(folder), *words]
    with started(argv, {**ports.env, **env}, lambda: True, UP_S) as program:
        # The last of its lines.
        until(lambda: "operator key in" in program.output, UP_S, "it is up")
        yield program


def on_sale(ports: Ports) -> list[dict[str, Any]]:
    address = f"http://127.0.0.1:{ports.booking}/api/v1/concerts"
    concerts: list[dict[str, Any]] = httpx.get(address).json()["data"]["concerts"]
    return concerts


@pytest.mark.long
def test_a_forgotten_option_touches_nothing(folder: Path) -> None:
    """Production, then a plain `up`, then the command that changes the mode."""
    ports = Ports()
    for program in up(ports, folder, "--mode", "production", WAITLINE_PAYMENTS="play-money"):
        assert "rooms/demo" not in program.output
        assert "play money" in program.output
        # No address is cut short.
        assert "…" not in program.output.partition("is up")[2]
        key = (folder / "operator.key").read_text("utf-8").strip()
        made = httpx.post(
            f"http://127.0.0.1:{ports.booking}/api/v1/operator/concerts",
            json={"title": "Ours", "queue": "ours", "venue": "Hall"},
            headers={"X-Operator-Key": key},
        )
        assert made.status_code == 201, made.text
    refused = run("up", "--data-dir", folder)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "production mode, and this is trial mode" in refused.stderr
    assert "waitline mode set trial" in refused.stderr

    shown = json.loads(run("mode", "--data-dir", folder, "--json").stdout)
    assert shown == {"valkey": "production", "database": "production", "playMoney": True}
    asked = run("mode", "set", "trial", "--data-dir", folder)
    assert asked.returncode == 1
    assert "The database keeps 1 concert." in asked.stdout
    assert "repeat the command with --yes" in asked.stderr
    assert run("mode", "set", "trial", "--data-dir", folder, "--yes").returncode == 0

    for program in up(ports, folder):
        # The demo is put on sale where nothing is; test data is loaded beside what there is.
        loaded = httpx.post(
            f"http://127.0.0.1:{ports.booking}/api/admin/test-data/init", timeout=UP_S
        )
        assert loaded.json()["data"] == {"concerts": 1, "schedules": 1, "seats": 10_000}
        titles = {one["title"] for one in on_sale(ports)}
        assert titles == {"Ours", "Waitline Live"}
        running = run("mode", "set", "production", "--data-dir", folder, "--yes")
        assert running.returncode == 1
        assert "stop the installation first" in running.stderr
        assert program.alive

    until(
        lambda: run("mode", "set", "production", "--data-dir", folder, "--yes").returncode == 0,
        UP_S,
        "the services have ended",
    )
    again = run("mode", "set", "production", "--data-dir", folder)
    assert (again.returncode, again.stdout.count("\n")) == (0, 1)
    assert "already" in again.stdout
    for _ in up(ports, folder, "--mode", "production", WAITLINE_PAYMENTS="play-money"):
        assert [one["title"] for one in on_sale(ports)] == ["Ours"]
