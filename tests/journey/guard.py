"""Nothing in a feature file goes unproven: what is written there is run, step by step, or fails.

A plugin of pytest. By itself pytest-bdd passes a scenario without steps, leaves out one of two
scenarios of the same name, and skips what is tagged so.
"""

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler, GherkinDocumentWithURI
from pytest_bdd.parser import Scenario, ScenarioTemplate, Step
from pytest_bdd.scenario import scenario_wrapper_template_registry

KINDS = {"Context": "given", "Action": "when", "Outcome": "then"}


class Line(NamedTuple):
    """A step as it is written: given, when or then what."""

    kind: str
    text: str


class Told(NamedTuple):
    """A scenario, or one row of an outline."""

    name: str
    steps: tuple[Line, ...]


WRITTEN = pytest.StashKey[list[str]]()
DONE = pytest.StashKey[list[str]]()


def pytest_bdd_before_scenario(request: pytest.FixtureRequest, scenario: Scenario) -> None:
    request.node.stash[WRITTEN] = [step.name for step in scenario.steps]
    request.node.stash[DONE] = []


def pytest_bdd_after_step(request: pytest.FixtureRequest, step: Step) -> None:
    request.node.stash[DONE].append(step.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    """Fail a scenario that passes without having done all of its steps."""
    report: pytest.TestReport = yield
    if getattr(item, "obj", None) not in scenario_wrapper_template_registry:
        return report
    done = item.stash.get(DONE, [])
    proven = bool(done) and done == item.stash.get(WRITTEN, [])
    if report.skipped or (report.when == "call" and report.passed and not proven):
        report.outcome = "failed"
        report.longrepr = f"scenario not proven: {len(done)} steps were executed"
    return report


def untested(module: Mapping[str, object], folder: Path) -> list[str]:
    """Name what the feature files of a folder say and the module's tests do not, or the reverse."""
    found = []
    bound = list(_bound(module))
    for path in sorted(folder.rglob("*.feature")):
        written = list(told(path))
        tests = [test for file, test in bound if Path(file) == path]
        if not written:
            found.append(f"{path.name} has no scenario")
        found += [f"{path.name}: {name!r} has no steps" for name, steps in written if not steps]
        found += [
            f"{path.name}: {one.name!r} is written {written.count(one)} times, "
            f"and tested {tests.count(one)} times"
            for one in sorted({*written, *tests})
            if written.count(one) != tests.count(one)
        ]
    return found


def told(path: Path) -> Iterator[Told]:
    """Read a feature file as the makers of Gherkin do."""
    parsed = Parser().parse(path.read_text("utf-8"))
    document = GherkinDocumentWithURI(uri=path.name, **parsed)
    for pickle in Compiler().compile(document):
        steps = (Line(KINDS[step["type"]], step["text"]) for step in pickle["steps"])
        yield Told(pickle["name"], tuple(steps))


def _bound(module: Mapping[str, object]) -> Iterator[tuple[str, Told]]:
    for value in module.values():
        if not callable(value):
            continue
        template: ScenarioTemplate | None = scenario_wrapper_template_registry.get(value)
        if template is None:
            continue
        rows = [row for examples in template.examples for row in examples.as_contexts()]
        for row in rows or [{}]:
            scenario = template.render(row)
            steps = (Line(step.type, step.name) for step in scenario.steps)
            yield template.feature.filename, Told(scenario.name, tuple(steps))
