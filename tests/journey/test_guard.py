"""The guard of the scenarios, tried on planted ones: what is not run, step by step, fails."""

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.journey import guard, test_scenarios

ROOT = Path(__file__).parents[2]

# Seconds for one run of pytest that imports next to nothing.
RUN_S = 120

STEPS = """
import pytest
from pytest_bdd import given, parsers, then

@given(parsers.parse("a visitor"))
@then(parsers.parse("a seat"))
def _(): pass

@then(parsers.parse("no {thing}"))
def _(thing): pytest.skip("another day")
"""

WHOLE = """
  Scenario: Whole
    Given a visitor
    Then a seat
"""

OUTLINE = """
  Scenario Outline: One of <kind>
    Given a visitor
    Then a <kind>
"""

ROWS = """
    Examples:
      | kind |
      | seat |
"""

KOREAN = """
  시나리오: 하나
    먼저 a visitor
    그러면 a seat
"""

PROVEN = {"whole": WHOLE, "outline": OUTLINE + ROWS, "korean": KOREAN}

UNPROVEN = {
    "no-steps": WHOLE + "\n  Scenario: Planted",
    "background-alone": "\n  Background:\n    Given a visitor\n\n  Scenario: Planted\n",
    "undefined-step": WHOLE + "    And a refund\n",
    "wrong-kind": "\n  Scenario: Planted\n    Given a seat\n",
    "skipping-step": WHOLE + "    And no seat\n",
    "tagged": "\n  @skip" + WHOLE,
    "expected-to-fail": "\n  @xfail" + WHOLE + "    And a refund\n",
    "same-name": WHOLE + WHOLE,
    "no-rows": OUTLINE + ROWS.replace("| seat |", ""),
    "no-scenario": "",
    "commented-out": WHOLE.replace("\n ", "\n #"),
}


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """Run each planted feature as ours are run; say whether all of its tests passed."""
    folder = tmp_path_factory.mktemp("planted")
    for name, scenarios in (PROVEN | UNPROVEN).items():
        place = folder / name
        (place / "features").mkdir(parents=True)
        opening = "# language: ko\n기능" if name == "korean" else "Feature"
        feature = f"{opening}: {name}\n{scenarios}"
        (place / "features" / "planted.feature").write_text(feature, "utf-8")
        (place / "features" / "beside.feature").write_text(f"Feature: Beside\n{WHOLE}", "utf-8")
        (place / "conftest.py").write_text(STEPS, "utf-8")
        shutil.copy(test_scenarios.__file__, place)
    report = folder / "report.xml"
    options = ["--import-mode=importlib", "-p", guard.__name__, "-p", "no:cacheprovider"]
    options += ["-c", "/dev/null", "--rootdir", str(folder), "--junit-xml", str(report)]
    done = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, bool] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written above
        name = case.attrib["classname"].split(".")[0]
        found[name] = found.get(name, True) and len(case) == 0
    return found


@pytest.mark.parametrize("name", PROVEN)
def test_a_scenario_that_is_run_passes(passed: dict[str, bool], name: str) -> None:
    assert passed[name]


@pytest.mark.parametrize("name", UNPROVEN)
def test_a_scenario_that_is_not_fails(passed: dict[str, bool], name: str) -> None:
    assert not passed[name]
