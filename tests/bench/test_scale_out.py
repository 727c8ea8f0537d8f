"""CPU quotas on real processes; `scale-out`, `primaries` and `rush` with small loads."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from tests.until import until
from tests.web.stack import waitline_bench
from waitline.kernel.errors import Misconfigured
from waitline_bench.cli import app
from waitline_bench.cpu_quotas import CpuQuotas
from waitline_bench.scale_out.primaries import rooms_on
from waitline_bench.scale_out.run import combined

SOON_S = 20.0


def groups_possible() -> bool:
    try:
        with CpuQuotas():
            return True
    except Misconfigured:
        return False


needs_groups = pytest.mark.skipif(not groups_possible(), reason="needs root and cgroups")


@contextmanager
def spinning() -> Iterator[int]:
    """Run a process that uses a whole core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def groups_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text("ascii")


def cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


@needs_groups
def test_a_quota_throttles_and_is_gone_at_the_end() -> None:
    with spinning() as pid, spinning() as free_pid:
        before = groups_of(pid)
        with CpuQuotas() as quotas:
            quotas.limit("spin", [pid], 0.1)
            quotas.limit("free", [free_pid], 2.0)
            started_s, used_s = time.monotonic(), cpu_s(pid)
            until(lambda: quotas.throttling("spin").throttled >= 20, 3 * SOON_S, "it is throttled")
            assert f"waitline-bench-{os.getpid()}-spin" in groups_of(pid)
            used_s = cpu_s(pid) - used_s
            # What is used of a period too much is deducted from the next ones.
            assert used_s < 0.15 * (time.monotonic() - started_s)
            # The control: two cores are no limit for a process with one thread.
            assert quotas.throttling("free").throttled == 0
        # The process still runs, in the group that all others are in.
        assert groups_of(pid) == before
        with CpuQuotas() as quotas, pytest.raises(FileNotFoundError):
            quotas.throttling("spin")


@pytest.mark.parametrize(("primaries", "rooms"), [(1, 9), (3, 9), (3, 3), (3, 1)])
def test_rooms_are_spread_evenly_and_differ(primaries: int, rooms: int) -> None:
    chosen = rooms_on(primaries, rooms)
    assert len(set(chosen)) == rooms
    assert rooms_on(primaries, 9)[:rooms] == chosen


def figures(per_s: float) -> dict[str, Any]:
    return {
        "visits_per_s": per_s,
        "answers_per_s": 5 * per_s,
        "steps": {"enter": {"p50_ms": per_s, "p95_ms": per_s, "p99_ms": per_s}},
        "quota_used": 1.0,
        "throttled": 0.9,
        "lease_refused": 0.0,
        "cores": {"valkey": 0.1},
        "instances": [{"instance": "queue-1", "share": 1.0}],
        "troubles": [],
    }


def test_instances_are_compared_within_a_round() -> None:
    # The machine was half as fast in the second round.
    runs = {
        1: [figures(100), figures(50), figures(100)],
        2: [figures(190), figures(95), figures(200)],
    }
    rows = combined(runs)
    assert rows["1"]["times"] == rows["1"]["efficiency"] == 1
    assert (rows["2"]["times"], rows["2"]["efficiency"]) == (1.9, 0.95)
    assert (rows["2"]["times_least"], rows["2"]["times_most"]) == (1.9, 2.0)
    assert rows["2"]["per_s"] == 190


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param("2,4", "must begin with 1", id="without one instance"),
        pytest.param("1,4,2", "rise to at most", id="falling"),
        pytest.param("1,99", "rise to at most 8", id="too many"),
        pytest.param("1,x", "is not a list of numbers; write 1,2,4", id="no number"),
    ],
)
def test_numbers_of_instances_that_cannot_be(words: str, said: str, tmp_path: Path) -> None:
    arguments = ["scale-out", "--instances", words, "--out", str(tmp_path)]
    with pytest.raises(Misconfigured, match=re.escape(said)):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.long
@needs_groups
def test_instances_share_the_visits(tmp_path: Path) -> None:
    words = ("--instances", "1,2", "--seconds", "1", "--rounds", "1", "--quota", "0.3")
    done = waitline_bench("scale-out", *words, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "scale-out.json").read_text("utf-8"))["figures"]
    assert found.keys() == {"enter", "poll", "journey"}
    for rows in found.values():
        assert rows["1"]["times"] == 1
        both = rows["2"]["instances"]
        assert [one["instance"] for one in both] == ["queue-1", "queue-2"]
        assert all(0.4 < one["share"] < 0.6 for one in both)
        assert rows["2"]["per_s"] > 0
    assert found["journey"]["2"]["steps"].keys() == {
        "enter", "poll", "activate", "validate", "leave",
    }  # fmt: skip


@pytest.mark.long
@needs_groups
def test_rooms_are_measured_on_primaries(tmp_path: Path) -> None:
    done = waitline_bench("primaries", "--seconds", "0.3", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "primaries.json").read_text("utf-8"))["figures"]["rows"]
    assert len(rows) == 12
    assert all(row["per_s"] > 0 for row in rows)


@pytest.mark.long
def test_a_rush_passes_or_says_why_not(tmp_path: Path) -> None:
    words = ("--visitors", "1000", "--per-s", "200")
    done = waitline_bench("rush", *words, "--out", tmp_path)
    found = json.loads((tmp_path / "rush.json").read_text("utf-8"))["figures"]
    assert found["troubles"] == []
    assert found["dropped"] == 0
    # Only the latency is up to the machine.
    assert done.returncode == (0 if found["p99_ms"] < 250 else 1)
