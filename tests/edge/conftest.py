"""One installation of both services for the whole folder."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Office, running


@pytest.fixture(scope="package")
def office() -> Iterator[Office]:
    """Both services, in trial mode."""
    with running("trial") as office:
        yield office
