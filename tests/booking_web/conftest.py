"""Running installations, one of each kind for the whole folder."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Buyer, Office, Show, running


@pytest.fixture(scope="package")
def trial() -> Iterator[Office]:
    """The mode that accepts a user's name as proof."""
    with running("trial") as office:
        yield office


@pytest.fixture(scope="package")
def production() -> Iterator[Office]:
    """The mode that asks for the visitor's token, and for the price."""
    with running("production") as office:
        yield office


@pytest.fixture
def show(trial: Office) -> Show:
    """A performance of the test's own."""
    return trial.show()


@pytest.fixture
def buyer(show: Show) -> Buyer:
    """A user whom its waiting room has let in."""
    return show.buyer()
