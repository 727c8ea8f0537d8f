"""Fixtures of the payment tests."""

from collections.abc import Iterator

import pytest

from tests.payments.shop import SandboxProcess, sandbox_running


@pytest.fixture(scope="package")
def sandbox() -> Iterator[SandboxProcess]:
    """A sandbox that answers at once; what befalls a charge is said by its method."""
    with sandbox_running() as running:
        yield running


@pytest.fixture(scope="package")
def slow_sandbox() -> Iterator[SandboxProcess]:
    """A sandbox that takes its time, so that much can happen meanwhile."""
    with sandbox_running("--latency", "0.1..0.4") as running:
        yield running
