"""`waitline-bench carry` with a few hundred visitors: the figures are consistent."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.processes import started
from tests.until import until
from waitline_bench.carry import polling, streams
from waitline_bench.carry.polling import PollLoad
from waitline_bench.carry.visitors import Way

pytestmark = pytest.mark.long

VISITORS = 300
ADMIT_PER_S = 20.0
SECONDS = 2.0

# Starting, filling, measuring, auditing and stopping, on a machine that does much else.
DEADLINE_S = 120.0


def carried(way: Way) -> dict[str, Any]:
    notes: list[str] = []
    load = PollLoad(
        way=way,
        visitors=VISITORS,
        seconds=SECONDS,
        workers=2,
        kept=True,
        admit_per_s=ADMIT_PER_S,
        cores=1,
    )
    figures = polling.run_polling(notes.append, load)
    assert figures["troubles"] == []
    assert any("measuring" in note for note in notes)
    assert figures["polls"]["p50_ms"] <= figures["polls"]["p99_ms"] <= figures["polls"]["most_ms"]
    # Each admitted visitor learned of it, and another one has entered.
    assert figures["admitted_per_s"] > 0
    assert figures["entered_per_s"] > 0
    assert {"worker", "valkey", "admitter", "generator", "others"} <= set(figures["cores_used"])
    assert figures["cores_used"]["worker"] > 0
    return figures


@pytest.mark.parametrize("way", [Way.STATUS, Way.NOW_SERVING])
def test_every_visitor_keeps_a_socket(way: Way) -> None:
    figures = carried(way)
    assert figures["kept"] is True
    # Those whom a newcomer has just replaced may be between two sockets.
    assert VISITORS * 0.9 <= figures["sockets"] <= VISITORS
    assert figures["bytes_per_socket"] > 0
    # Every 3 s, so near to their turn; a machine that is too busy asks less.
    assert 0 < figures["polls"]["per_s"] <= VISITORS / 3 * 1.5
    assert (figures["turns"]["per_s"] > 0) is (way is Way.NOW_SERVING)
    assert figures["cached_per_s"] == 0


def test_a_cache_answers_for_the_service_over_shared_connections() -> None:
    figures = carried(Way.CACHED)
    assert figures["kept"] is False
    assert figures["sockets"] < VISITORS
    assert figures["bytes_per_socket"] is None
    assert figures["cached_per_s"] > figures["polls"]["per_s"] > 0
    assert figures["turns"]["per_s"] > 0


def test_streams_stay_open() -> None:
    notes: list[str] = []
    figures = streams.run_streams(notes.append, 50, VISITORS, SECONDS)
    assert figures["troubles"] == []
    assert (figures["streams"], figures["opened"], figures["waiting"]) == (50, 50, VISITORS)
    assert figures["bytes_per_stream"] > 0
    # The room is paused, so there is no news.
    assert figures["events_per_s"] == 0


def test_a_service_that_fails_fails_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "waitline_bench", "carry", "--by", "status"]
    command += ["--visitors", "200", "--streams", "0", "--workers", "1", "--seconds", "4"]
    command += ["--admit-per-s", "10", "--out", str(tmp_path)]
    with started(command, {}, lambda: True, 1.0) as program:
        until(lambda: serving(program.pid) is not None, DEADLINE_S, "all sockets are open")
        worker = serving(program.pid)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        assert program.process.wait(DEADLINE_S) == 1
    document = json.loads((tmp_path / "carry.json").read_text("utf-8"))
    troubles = document["figures"]["polls"][0]["troubles"]
    assert any("connections broke" in trouble for trouble in troubles)
    # Broken off is not lost: the store keeps everybody's place.
    assert not any("Q" in trouble for trouble in troubles)


def serving(pid: int) -> int | None:
    """Find the worker below a process, once it holds about a socket for each of 200 visitors."""
    for child in below(pid):
        # It may have ended meanwhile.
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ")
            if (
                b"waitline queue" in command
                and len(list(Path(f"/proc/{child}/fd").iterdir())) > 200
            ):
                return child
    return None


def below(pid: int) -> Iterator[int]:
    listed = subprocess.run(  # noqa: S603 - our own processes
        ["ps", "-o", "pid=", "--ppid", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for child in map(int, listed.split()):
        yield child
        yield from below(child)


def test_troubles_are_listed() -> None:
    seen = {"refused": {"503": 2}, "lost": 1, "early": 1, "entered": 7}
    fine = {"refused": {}, "lost": 0, "early": 0, "entered": 3}
    reports = [
        {"missing": 1, "broken": 3, "seen": seen},
        {"missing": 0, "broken": 0, "seen": fine},
    ]
    assert polling.troubles(reports, visitors=100, entered=109) == [
        "2 answers had status 503",
        "1 polls got no answer",
        "3 connections broke while an answer was awaited",
        "1 visitors were neither waiting nor admitted",
        "1 visitors read that it was their turn, and had to wait",
        "1 visitor was acknowledged, but missing in the room",
    ]
    assert polling.troubles(reports[1:], visitors=100, entered=103) == []
