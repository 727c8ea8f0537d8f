"""What the tests of payments share."""

from collections.abc import Iterator

import pytest

from tests.payments.shop import SandboxProcess, sandbox_running


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """A sandbox that answers at once; what befalls a charge is said by its method."""
    with sandbox_running() as running:
        yield running
