"""The shared installation of both services."""

import pytest

from tests.booking_web.office import Office


@pytest.fixture(scope="package")
def office(trial_office: Office) -> Office:
    """Both services, in trial mode."""
    return trial_office
