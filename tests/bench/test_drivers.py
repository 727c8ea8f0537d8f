"""`waitline-bench drivers`: a small run of every driver that is installed."""

import json
from pathlib import Path

import pytest

from tests.web.stack import waitline_bench

pytestmark = pytest.mark.long


def test_drivers_are_measured_on_a_cluster(tmp_path: Path) -> None:
    done = waitline_bench("drivers", "--seconds", "0.2", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "drivers.json").read_text("utf-8"))["figures"]
    rows = {(row["driver"], row["visitors"], row["under_way"]) for row in figures["calls"]}
    drivers = {driver for driver, _, _ in rows}
    assert {"ours, one server", "ours, cluster", "redis-py, cluster"} <= drivers
    assert len(rows) == 4 * len(drivers)
    assert all(row["cpu_us"] > 0 for row in figures["calls"])
    assert figures["enter"].keys() == {"one server", "cluster"}
    assert len(figures["enter_ratio"]) == 1
