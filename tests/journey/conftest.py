"""Running installations, and the stage that a scenario plays on."""

from collections.abc import Iterator

import pytest
from pytest_bdd.scenario import scenario_wrapper_template_registry

from tests.booking_web.office import Office, running
from tests.journey import guard
from tests.journey.stage import HOLD_S, Stage
from tests.journey.steps import line, office


def pytest_configure(config: pytest.Config) -> None:
    for plugin in (guard, line, office):
        config.pluginmanager.register(plugin)


@pytest.fixture(scope="package")
def trial() -> Iterator[Office]:
    """Accepts a visitor's name as proof, and holds reservations for a moment only."""
    with running("trial", WAITLINE_HOLD_S=str(HOLD_S)) as installation:
        yield installation


@pytest.fixture(scope="package")
def production(production_office: Office) -> Office:
    """Believes nobody without a token, and takes the price and nothing else."""
    return production_office


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """What a scenario has built so far; it asks for an installation when it first needs one."""
    feature = scenario_wrapper_template_registry[request.function].feature
    with Stage(request.getfixturevalue, english=feature.language == "en") as empty:
        yield empty
