"""Every step can be read in one way, and no way to say one is left over."""

from collections import Counter
from pathlib import Path

from pytest_bdd.steps import StepFunctionContext, step_function_context_registry

from tests.journey.guard import Line, told

FEATURES = sorted((Path(__file__).parent / "features").glob("*.feature"))


def reads(wording: StepFunctionContext, step: Line) -> bool:
    return wording.type == step.kind and wording.parser.is_matching(step.text)


def test_every_step_is_read_by_one_wording_and_every_wording_reads_some() -> None:
    wordings = [
        one
        for one in step_function_context_registry.values()
        if one.step_func.__module__.startswith("tests.journey.steps")
    ]
    assert wordings
    steps = {step for path in FEATURES for scenario in told(path) for step in scenario.steps}
    found = {step: [one for one in wordings if reads(one, step)] for step in steps}
    assert [step for step, readers in found.items() if len(readers) != 1] == []
    used = Counter(id(one) for readers in found.values() for one in readers)
    assert [one.parser.name for one in wordings if id(one) not in used] == []


def test_about_half_of_the_features_are_in_korean() -> None:
    korean = [path for path in FEATURES if path.read_text("utf-8").startswith("# language: ko\n")]
    assert 0.4 <= len(korean) / len(FEATURES) <= 0.6
