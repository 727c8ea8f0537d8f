"""The composition of one machine."""

from collections.abc import Iterator

import pytest

from tests.compose.composition import Composition, Show
from tests.compose.composition import running as running_composition
from tests.compose.engine import Engine, needed
from tests.compose.proofs import Proofs, Updates, inside, lose_nothing

__all__ = ["inside"]

pytestmark = [needed, pytest.mark.long]


@pytest.fixture(scope="module")
def running(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    with running_composition(engine, tmp_path_factory.mktemp("single"), "single") as made:
        yield made


@pytest.fixture(scope="module")
def show(running: Composition) -> Show:
    return running.on_sale("spring")


class TestSingle(Proofs):
    """What each change is tested for, too: `make compose-test-short`."""

    killed = ("booking",)


class TestSingleFurther(Updates):
    def test_each_other_service_that_is_killed_comes_back(
        self, running: Composition, show: Show
    ) -> None:
        lose_nothing(running, show, ("queue", "admitter", "valkey", "postgres", "nginx"))
