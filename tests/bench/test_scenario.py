"""Load scenarios end to end: k6, an installation, and the result folder."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.bench.test_report import FETCHED
from tests.command_line import Ended, run_captured
from tests.faults.stack import family, runs
from tests.until import until
from waitline.trial import installation
from waitline.trial.installation import Installation
from waitline_bench.cli import main
from waitline_bench.scenario import k6, summary
from waitline_bench.scenario.offer import planned

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE.parents[1] / "bench" / "scenarios").glob("*.js"))

NUMBERS = count(1)

# Seconds that a run of two may take on a busy machine, with all its processes and drawings.
PATIENCE_S = 120


def bench(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "waitline_bench", *map(str, words)]
    return subprocess.run(  # noqa: S603 - our own command
        argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def bench_here(*words: str | Path) -> Ended:
    """Run a command in this process: one that starts nothing."""
    # Which each command sets.
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return run_captured(*words, main=main)
    finally:
        signal.signal(signal.SIGTERM, handler)


def name(pid: int) -> str:
    # It may end while it is looked at.
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip() if runs(pid) else ""
    return ""


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """A fiftieth of 10 000 visitors, within two seconds: exit status, last words, folder."""
    folder = tmp_path_factory.mktemp("entry")
    # From here, as users name it.
    out = os.path.relpath(folder)
    done = bench("entry", "--size", "10k", "--scale", "0.02", "--workers", "1", "--out", out)
    # Here, so that it is made again where the machine stood still meanwhile.
    assert [check["fails"] for check in result(folder)["client"]["checks"]] == [0]
    assert result(folder)["offered"]["arrivals"] == pytest.approx(200, abs=2)
    return done.returncode, done.stderr, folder


def test_a_scenario_is_measured_and_judged(entry: tuple[int, str, Path]) -> None:
    status, said, folder = entry
    found = result(folder)
    # How fast it was is not for a test to say; that all was right is.
    assert status == (0 if found["verdict"]["ok"] else 1), said
    assert found["client"]["errors"] == []
    (room,) = found["audit"]
    assert room["findings"] == []
    assert room["entered"] == found["client"]["checks"][0]["passes"] > 0
    assert found["load"]["scale"] == 0.02
    assert {"commit", "waitline", "python", "k6", "processor"} <= found["machine"].keys()
    assert found["server"]["store"]["version"]


def test_it_was_looked_at_each_second(entry: tuple[int, str, Path]) -> None:
    _, _, folder = entry
    found = result(folder)
    seen = found["samples"]
    assert len(seen["at_s"]) >= 2
    assert all(
        len(column) == len(seen["at_s"])
        for columns in seen.values()
        for column in (columns.values() if isinstance(columns, dict) else [columns])
    )
    assert {"worker", "admitter", "valkey", "k6", "others", "stolen"} <= seen["cores"].keys()
    # Everything that k6 saw answered, the server has counted once k6 had ended.
    assert found["server"]["calls"]["enter"]["count"] == found["client"]["requests"]
    assert found["server"]["cpu_s"]["k6"] > 0


def test_its_report_needs_nothing_else(entry: tuple[int, str, Path]) -> None:
    _, _, folder = entry
    text = (folder / "report.html").read_text("utf-8")
    assert FETCHED.findall(text) == []
    assert "Scaled: all rates are 2 %" in text
    assert {"result.json", "report.html", "k6.json", "k6.txt", "k6.log"} <= {
        path.name for path in folder.iterdir()
    }


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    folder = tmp_path_factory.mktemp("stranger")
    done = bench("run", HERE / "stranger.js", "--workers", "1", "--out", folder)
    return done.returncode, done.stderr, folder


def test_a_script_of_others_runs_as_it_is(stranger: tuple[int, str, Path]) -> None:
    status, said, folder = stranger
    assert status == 0, said
    found = result(folder)
    (room,) = [one for one in found["audit"] if one["room"] == "strangers"]
    assert room["entered"] == found["client"]["iterations"] > 0
    assert found["load"]["scale"] == 1.0
    # What it writes itself is kept with the rest.
    assert json.loads((folder / "strangers-own.json").read_text("utf-8"))["count"] > 0


@pytest.mark.long
def test_a_failing_threshold_fails_the_command(tmp_path: Path) -> None:
    done = bench("run", HERE / "failing.js", "--workers", "1", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "waitline: http_reqs: 3, must be > 1,000\n"
    assert "http_reqs: 3, must be &gt; 1,000" in (tmp_path / "report.html").read_text("utf-8")


@contextmanager
def measuring(folder: Path) -> Iterator[processes.Program]:
    """A measurement whose k6 starts now, or has just started."""
    words: list[str | Path] = ["entry", "--scale", "0.01", "--workers", "1", "--out", folder]
    argv = [sys.executable, "-m", "waitline_bench", *words]
    with processes.started(argv, {}, (folder / "k6.log").exists, PATIENCE_S) as program:
        yield program


def test_a_measurement_that_is_stopped_takes_all_along(tmp_path: Path) -> None:
    with measuring(tmp_path) as program:
        started = family(program.pid)
        assert len(started) > 3
        program.process.terminate()
        program.process.wait(PATIENCE_S)
        assert [name(pid) for pid in started if runs(pid)] == []


def test_a_measurement_that_is_killed_takes_its_servers_along(tmp_path: Path) -> None:
    with measuring(tmp_path) as program:
        until(lambda: "k6" in map(name, family(program.pid)), PATIENCE_S, "k6 starts")
        started = {pid: name(pid) for pid in family(program.pid)}
        program.process.kill()
        # They see that a little later. k6 is no server: it ends with its visits.
        servers = [pid for pid, called in started.items() if called != "k6"]
        until(lambda: not any(map(runs, servers)), PATIENCE_S, "servers stop")
        assert [name(pid) for pid in started if runs(pid)] == ["k6"]
        for pid in started.keys() - servers:
            os.kill(pid, signal.SIGKILL)


def test_two_results_are_compared(entry: tuple[int, str, Path], tmp_path: Path) -> None:
    _, _, folder = entry
    done = bench_here("compare", folder, folder, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "enter p95, client" in done.out
    assert FETCHED.findall((tmp_path / "compare.html").read_text("utf-8")) == []


def test_what_was_offered_otherwise_is_compared_only_by_force(
    entry: tuple[int, str, Path], stranger: tuple[int, str, Path], tmp_path: Path
) -> None:
    words = ("compare", entry[2], stranger[2], "--out", tmp_path)
    refused = bench_here(*words)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "the scenarios differ: entry and run" in refused.err
    forced = bench_here(*words, "--anyway")
    assert forced.code == 0, forced.err
    assert "the scenarios differ: entry and run" in forced.out
    assert "the scenarios differ" in (tmp_path / "compare.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("export default () => {", "k6 cannot read", id="no JavaScript"),
        pytest.param("throw new Error('SIZE is bad')", "Error: SIZE is bad", id="it throws"),
        pytest.param(None, "there is no script", id="no file"),
    ],
)
def test_what_k6_cannot_read_is_one_line(tmp_path: Path, script: str | None, words: str) -> None:
    path = tmp_path / "script.js"
    if script is not None:
        path.write_text(script, "utf-8")
    done = bench_here("run", path, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert words in done.err


@pytest.mark.parametrize("script", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_asks_offers_and_passes(script: Path) -> None:
    text = script.read_text("utf-8")
    header = text.partition("*/")[0]
    assert re.match(
        rf"/\*\n{script.name}: [^\n]+\?\n\nARRIVALS  .+\nPASSES    .+", header, re.DOTALL
    )
    # What it says must hold is what it holds.
    for quantile, limit in re.findall(r"p\((\d+)\)<(\d+)", text):
        said = f"p{quantile} < {int(limit) // 1_000} s" if int(limit) >= 1_000 else (
            f"p{quantile} < {limit} ms"
        )  # fmt: skip
        assert said in " ".join(header.split())
    assert "NOTHING_DROPPED" in text


@pytest.fixture(scope="module")
def stack() -> Iterator[Installation]:
    limits = {"room_active_max": "1000", "room_admit_per_s": "20", "room_admit_burst": "5"}
    with installation.start(1, limits) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "variables", "calls"),
    [
        pytest.param(
            "circulation", {}, {"entered", "status told", "activated", "removed"}, id="circulation"
        ),
        pytest.param(
            "storm", {"ROOMS": "3"}, {"entered", "status told", "activated", "removed"}, id="storm"
        ),
        pytest.param(
            "validation",
            {"HOLDERS": "40"},
            {"entered", "status told", "valid", "rejected, Q003"},
            id="validation",
        ),
    ],
)
def test_visitors_do_what_the_scenario_says(
    stack: Installation, tmp_path: Path, name: str, variables: dict[str, str], calls: set[str]
) -> None:
    """In haste, and few of them: so that everything of a script has run."""
    script = next(path for path in SCENARIOS if path.stem == name)
    # Another room each time, where it has to run again.
    room = {"ROOM": f"{name}-{next(NUMBERS)}"}
    received = {"SCALE": "0.02", "SECONDS": "1", "HASTE": "20", **room, **variables}
    found = carried_out(script, received, stack, tmp_path)
    assert {check.name for check in found.checks} == calls
    assert [check for check in found.checks if check.fails] == []
    assert found.errors == []
    assert found.iterations > 0


def carried_out(
    script: Path, received: dict[str, str], stack: Installation, folder: Path
) -> summary.Summary:
    binary = k6.find()
    offer = k6.offer(binary, script, received)
    job = k6.Job(
        binary=binary, script=script, variables=received, folder=folder,
        port=stack.port, booking_port=stack.booking_port,
    )  # fmt: skip
    with k6.running(job) as process:
        process.wait(offer.most_s)
    return summary.parse_summary(
        job.summary_file.read_text("utf-8"), job.log_file.read_text("utf-8")
    )


@pytest.mark.parametrize(
    ("size", "visitors"),
    [
        pytest.param("full", 310_000, id="full"),
        pytest.param("10k", 10_000, id="10k"),
        pytest.param("100k", 100_000, id="100k"),
        pytest.param("extreme", 300_000, id="extreme"),
    ],
)
def test_as_many_arrive_as_the_contract_says(size: str, visitors: int) -> None:
    script = next(path for path in SCENARIOS if path.stem == "entry")
    offer = k6.offer(k6.find(), script, {"SIZE": size})
    (arrivals,) = offer.scenarios.values()
    assert arrivals["executor"].endswith("arrival-rate")
    assert planned(offer.scenarios) == visitors
