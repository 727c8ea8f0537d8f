"""The shared installations, and visitors in every state."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Office
from tests.until import until
from tests.web.cast import Cast
from tests.web.gated import Gated, gated
from tests.web.stack import SOON_S, Room, Stack, running, succeeded

ROOT = "/queue"
SHOP = "https://shop.example"


@pytest.fixture(scope="package")
def trial(trial_office: Office) -> Stack:
    """The mode that accepts a visitor's name as proof."""
    return trial_office.queue


@pytest.fixture(scope="package")
def production(production_office: Office) -> Stack:
    """The mode that asks for the visitor's ticket."""
    return production_office.queue


@pytest.fixture(scope="package")
def configured() -> Iterator[Stack]:
    """Behind a proxy of this machine and below a path, called from pages of two origins."""
    with running(
        "trial",
        workers=1,
        trusted_proxies="127.0.0.0/8",
        queue_root_path=ROOT,
        allowed_origins=f"{SHOP}, http://[::1]:3000",
    ) as stack:
        yield stack


@pytest.fixture(scope="package")
def site() -> Iterator[Gated]:
    """A gate whose proxies are on this machine."""
    with gated() as found:
        yield found


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
