"""The composition with a Valkey cluster and a standby of PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.compose.composition import Composition, Show
from tests.compose.composition import running as running_composition
from tests.compose.engine import Engine, needed
from tests.compose.proofs import Proofs, Updates, inside

__all__ = ["inside"]

pytestmark = [needed, pytest.mark.long]


@pytest.fixture(scope="module")
def running(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    with running_composition(engine, tmp_path_factory.mktemp("cluster"), "cluster") as made:
        yield made


@pytest.fixture(scope="module")
def show(running: Composition) -> Show:
    return running.on_sale("spring")


class TestCluster(Proofs, Updates):
    killed = ("queue", "admitter", "valkey-1", "postgres")
