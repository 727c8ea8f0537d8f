"""`waitline-bench hot-path`: a small run of every call."""

import json
from pathlib import Path

import pytest

from tests.web.stack import waitline_bench

pytestmark = pytest.mark.long


def test_the_hot_calls_are_measured_next_to_an_empty_handler_and_a_naive_server(
    tmp_path: Path,
) -> None:
    done = waitline_bench("hot-path", "--seconds", "1", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "hot-path.json").read_text("utf-8"))["figures"]
    rows = {row["name"]: row for row in figures["flat_out"]}
    ours = {"enter", "status", "validate", "now-serving"}
    assert set(rows) == {"empty handler", "naive enter", "naive status", *ours}
    assert rows["empty handler"]["of_empty"] == 1
    # How fast it was is not for a test to say, on a machine that others use too.
    assert all(rows[name]["of_naive"] > 1 for name in ("enter", "status"))
    assert {(row["per_s"], row["name"]) for row in figures["paced"]} == {
        (pace, name)
        for pace in (1_000, 3_000, 5_000)
        for name in ("empty handler", "enter", "status", "validate")
    }
    assert 0 <= figures["stolen"] <= 1


def test_two_checkouts_are_compared_in_one_run(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = waitline_bench("versus", root, "--seconds", "1", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "versus.json").read_text("utf-8"))["figures"]
    calls = {"empty handler", "enter", "status", "validate"}
    assert {row["name"] for row in figures["flat_out"]} == calls
    assert all(row["per_s_ratio"]["least"] > 0 for row in figures["flat_out"])
    assert {(row["per_s"], row["name"]) for row in figures["paced"]} == {
        (pace, name) for pace in (1_000, 3_000) for name in calls
    }


def test_a_folder_without_a_checkout_is_refused(tmp_path: Path) -> None:
    done = waitline_bench("versus", tmp_path, "--out", tmp_path)
    assert done.returncode == 2
    assert "is not a checkout" in done.stderr


def test_what_observing_costs_is_measured_next_to_a_worker_without(tmp_path: Path) -> None:
    done = waitline_bench("observing", "--seconds", "1", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "observing.json").read_text("utf-8"))["figures"]
    rows = {row["name"]: row for row in figures["variants"]}
    assert rows["off"]["cpu_ratio"] == {"median": 1, "least": 1, "most": 1}
    assert len(rows) == 6
    assert all(row["per_s"] > 0 for row in rows.values())
