"""The booking scenario end to end: k6, the line, the box office, and both audits."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_report import FETCHED
from tests.bench.test_scenario import HERE, SCENARIOS, bench, result
from waitline_bench.scenario.run import RunProgress, ScenarioPlan, run_scenario

pytestmark = pytest.mark.long

PARTS = {"worker", "booking", "postgres", "sandbox", "admitter", "valkey", "k6"}

Journey = tuple[subprocess.CompletedProcess[str], Path]

# As `waitline-bench` plans it, at two in a hundred, for two seconds, with everybody in haste.
PLAN = ScenarioPlan(
    name="booking",
    script=next(path for path in SCENARIOS if path.stem == "booking"),
    variables={"SCALE": "0.02", "SECONDS": "2"},
    workers=1,
    box_office=True,
    empties=True,
    scale=0.02,
)


def quiet(_sight: RunProgress) -> None:
    """Show nothing."""


def all_right(found: Mapping[str, Any]) -> None:
    """Demand that everything but the speed was right, and that nobody was left behind."""
    assert found["client"]["errors"] == []
    assert [check for check in found["client"]["checks"] if check["fails"]] == []
    assert [room["findings"] for room in found["audit"]] == [[]] * len(found["audit"])
    assert found["box_office"]["findings"] == []
    assert {(room["waiting"], room["admitted"]) for room in found["audit"]} == {(0, 0)}
    assert not [reason for reason in found["verdict"]["reasons"] if "hold a slot" in reason]


def checks(found: Mapping[str, Any]) -> dict[str, int]:
    return {check["name"]: check["passes"] for check in found["client"]["checks"]}


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    folder = tmp_path_factory.mktemp("journey")
    words = ("booking-journey", "--scale", "0.04", "--seconds", "2", "--workers", "1")
    return bench(*words, "--out", folder), folder


def test_visitors_come_in_and_pay(
    journey: Journey,
) -> None:
    done, folder = journey
    found = result(folder)
    # How fast it was is not for a test to say; that all was right is.
    assert done.returncode == (0 if found["verdict"]["ok"] else 1), done.stderr
    all_right(found)
    received = checks(found)
    assert {"entered", "status told", "seats listed", "paid", "test data loaded"} <= received.keys()
    assert found["box_office"]["sold"] == received["paid"] > 0
    assert found["client"]["rates"]["booked"] == received["paid"] / received["entered"]
    assert found["offered"]["arrivals"] == pytest.approx(8, abs=2)
    assert {"activation_wait", "journey_time"} <= found["client"]["trends"].keys()
    assert found["command"].startswith("waitline-bench booking-journey --seats whole --retries 0")


def test_every_part_was_looked_at(
    journey: Journey,
) -> None:
    _, folder = journey
    found = result(folder)
    seen = found["samples"]
    for column in ("cores", "memory_mb", "files"):
        assert seen[column].keys() >= PARTS
        assert all(len(values) == len(seen["at_s"]) for values in seen[column].values())
    assert all(max(seen["files"][part]) > 0 for part in PARTS)
    assert max(seen["memory_mb"]["sandbox"]) > 0
    # Everything that k6 saw answered, the service has counted once k6 had ended.
    for call, check in (("seats", "seats listed"), ("pay", "paid")):
        assert found["server"]["calls"][call]["count"] == checks(found)[check]
    # One statement reserves for all requests that come at the same time.
    assert 0 < found["server"]["statements"]["reserve"]["count"] <= checks(found)["seats listed"]


def test_its_report_tells_of_the_sale(
    journey: Journey,
) -> None:
    _, folder = journey
    text = (folder / "report.html").read_text("utf-8")
    assert FETCHED.findall(text) == []
    for word in ("Was the sale right?", "B1 to B7", "payment sandbox", "PostgreSQL", "booked"):
        assert word in text


def test_some_ask_for_a_section_and_choose_again(tmp_path: Path) -> None:
    received = {**PLAN.variables, "SEATS": "sections", "RETRIES": "3", "HASTE": "20"}
    found = run_scenario(replace(PLAN, variables=received), tmp_path, quiet)
    all_right(found)
    assert checks(found)["sections counted"] > 0
    assert found["client"]["times"]["sections"]["count"] == checks(found)["sections counted"]
    assert found["box_office"]["sold"] == checks(found)["paid"] > 0


def test_a_soak_gives_seats_back(tmp_path: Path) -> None:
    script = next(path for path in SCENARIOS if path.stem == "soak")
    received = {**PLAN.variables, "SCALE": "0.1", "HASTE": "20"}
    found = run_scenario(
        replace(PLAN, name="soak", script=script, variables=received), tmp_path, quiet
    )
    all_right(found)
    told_of = checks(found)
    assert told_of["given back"] == told_of["paid"] > 0
    assert told_of["removed"] > 0
    assert found["box_office"]["sold"] == 0
    assert {room["room"] for room in found["audit"]} == {"1", "sale"}
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "too short to judge whether memory and open files stay flat" in text


def test_a_sale_of_others_runs_as_it_is(tmp_path: Path) -> None:
    done = bench("run", HERE / "stranger_booking.js", "--workers", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    found = result(tmp_path)
    assert found["client"]["rates"]["booked"] == 1.0
    # All that was there before was forgotten, and ten were sold.
    assert (found["box_office"]["seats"], found["box_office"]["sold"]) == (10_000, 10)
    assert found["box_office"]["findings"] == []


def test_both_measurements_of_the_box_office_can_be_found() -> None:
    text = " ".join(bench("--help").stdout.split())
    assert "booking-journey" in text
    assert "soak" in text
    assert "bench booking-journey" in " ".join(bench("booking", "--help").stdout.split())
    assert "bench booking`" in " ".join(bench("booking-journey", "--help").stdout.split())


def test_how_long_visitors_shop_can_be_chosen(tmp_path: Path) -> None:
    done = bench("circulation", "--use", "20s..10s", "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("waitline: --use 20s..10s: must be a range such as 10s..20s")
