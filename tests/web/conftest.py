"""Running stacks, one of each kind for the whole folder, and visitors in every state."""

from collections.abc import Iterator

import pytest

from tests.until import until
from tests.web.cast import Cast
from tests.web.stack import SOON_S, Room, Stack, running, succeeded


@pytest.fixture(scope="package")
def trial() -> Iterator[Stack]:
    """The mode that accepts a visitor's name as proof."""
    with running("trial") as stack:
        yield stack


@pytest.fixture(scope="package")
def production() -> Iterator[Stack]:
    """The mode that asks for the visitor's ticket."""
    with running("production") as stack:
        yield stack


@pytest.fixture(scope="package")
def alone() -> Iterator[Stack]:
    """For tests that count what happens, or halt the store."""
    with running("trial") as stack:
        yield stack


@pytest.fixture(scope="package")
def cast(trial: Stack) -> Cast:
    """Visitors of one room in each state."""
    return Cast(trial)


@pytest.fixture(scope="package")
def measured(trial: Stack) -> Room:
    """A long line in a slow room, whose pace is known by now."""
    room = trial.room(admitPerSecond=4)
    assert succeeded(room.enter("first"), 201)["estimatedWaitMinutes"] is None
    trial.crowd(room, 5_000)
    until(
        lambda: (
            succeeded(room.enter("first"), 201)["estimatedWaitMinutes"] is not None
            and room.show()["ratePerSecond"] is not None
        ),
        SOON_S,
        "the pace is measured",
    )
    return room


@pytest.fixture
def paused(trial: Stack) -> Room:
    """A room of the test's own that takes and admits nobody."""
    return trial.room(mode="paused")


@pytest.fixture
def quick(trial: Stack) -> Room:
    """A room of the test's own that admits at once."""
    return trial.room(admitPerSecond=1000)
