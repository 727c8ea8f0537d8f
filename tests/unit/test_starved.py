"""A failure is excused only where the machine stood still, and never where a stall finds faults."""

from pathlib import Path

import pytest
from typing_extensions import override

from tests.starved import STILL_S, Pulse, excused
from waitline.kernel.errors import Unavailable

WEB, RACE = Path("tests/web/test_x.py"), Path("tests/race/test_x.py")


class Felt(Pulse):
    """A pulse that felt what a test says."""

    def __init__(self, *, still: bool) -> None:
        super().__init__()
        self._still = still

    @override
    def stood_still(self) -> bool:
        return self._still


@pytest.mark.parametrize(
    ("still", "path", "error", "outcome"),
    [
        (False, WEB, AssertionError(), False),
        (False, RACE, Unavailable(), False),
        (True, WEB, AssertionError(), True),
        (True, RACE, AssertionError("sold twice"), False),
        (True, RACE, Unavailable(), True),
        (True, RACE, AssertionError("Counter({'Unavailable': 1})"), True),
    ],
)
def test_who_is_excused(still: bool, path: Path, error: Exception, outcome: bool) -> None:  # noqa: FBT001
    assert excused(Felt(still=still), path, error) is outcome


def test_a_beat_that_comes_late_is_felt() -> None:
    pulse = Pulse()
    pulse.begin()
    pulse.note(2 * STILL_S)
    pulse.note(0.0)
    assert pulse.stood_still()
