"""`waitline-bench failover`: one fault, and a small run of the confirmation."""

import json
from pathlib import Path

import pytest

from tests.web.stack import waitline_bench

pytestmark = pytest.mark.long


def test_a_failover_is_measured(tmp_path: Path) -> None:
    chosen = ("--durability", "replicated", "--fault", "kill", "--seconds", "0.5", "--rounds", "1")
    done = waitline_bench("failover", *chosen, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "failover.json").read_text("utf-8"))["figures"]
    (row,) = figures["failover"]
    assert (row["durability"], row["fault"], row["lost"]) == ("replicated", "kill", 0)
    assert 0 < row["first_s"] <= row["last_s"]
    assert figures["confirmation"].keys() == {"memory", "disk", "replicated"}
    assert all(one["changes_per_s"] > 0 for one in figures["confirmation"].values())


def test_a_fault_that_is_none_is_refused(tmp_path: Path) -> None:
    done = waitline_bench("failover", "--fault", "fire", "--out", tmp_path)
    assert done.returncode == 2
    assert "kill, freeze, lag, slow" in " ".join(done.stderr.split())
