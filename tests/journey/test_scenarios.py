"""What was agreed, told in scenarios: each is a test against running installations."""

from pathlib import Path

from pytest_bdd import scenarios

from tests.journey import guard

scenarios("features")


def test_whatever_is_written_is_tested() -> None:
    assert guard.untested(globals(), Path(__file__).parent) == []
