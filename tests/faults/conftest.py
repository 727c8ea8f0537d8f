"""Installations that the tests of faults share; each test has a room of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stack import Stack, up


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own temporary folders are too deep for a socket, and longer to look at.
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A whole stack with two workers and a store of its own."""
    with tempfile.TemporaryDirectory(prefix="wl-") as name, up(Path(name)) as running:
        yield running
