"""One engine for all compositions: its images are built once."""

from collections.abc import Iterator

import pytest

from tests.compose.engine import Engine
from tests.compose.engine import engine as running_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with running_engine() as running:
        yield running
