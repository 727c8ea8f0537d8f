"""Standstill: what counts as one, and for how long."""

import pytest

from waitline.kernel.ids import RoomId
from waitline.queue.limits import Limits
from waitline.queue.model import Survey
from waitline.queue.settings import Mode, Rules
from waitline.services.queue.standstill import Standstills

ROOM, OTHER = RoomId("r"), RoomId("other")


def survey(
    admitted_so_far: int = 100, *, waiting: int = 5, holding: int = 3, mode: Mode = Mode.OPEN
) -> Survey:
    return Survey(
        at_ms=0,
        rules=Rules(limits=Limits(active_max=10), mode=mode),
        waiting=waiting,
        admitted=holding,
        serving=0,
        last_place=0,
        rate_mean=0,
        rate_deviation=0,
        rate_samples=0,
        rate_last=0,
        rate_recent=0,
        counters={"admitted": admitted_so_far},
    )


def test_a_room_that_should_admit_and_does_not_stands_still() -> None:
    standstills = Standstills()
    assert standstills.longest_s([(ROOM, survey())], 1_000) == 0
    assert standstills.longest_s([(ROOM, survey())], 1_015) == 15
    assert standstills.longest_s([(ROOM, survey())], 1_090) == 90


def test_an_admission_ends_it() -> None:
    standstills = Standstills()
    standstills.longest_s([(ROOM, survey(100))], 1_000)
    assert standstills.longest_s([(ROOM, survey(101))], 1_060) == 0
    assert standstills.longest_s([(ROOM, survey(101))], 1_070) == 10


@pytest.mark.parametrize(
    "fine",
    [
        pytest.param(survey(waiting=0), id="nobody-waits"),
        pytest.param(survey(holding=10), id="no-slot-is-free"),
        pytest.param(survey(holding=12), id="more-slots-are-taken-than-there-are"),
        pytest.param(survey(mode=Mode.PAUSED), id="paused"),
    ],
)
def test_what_is_none(fine: Survey) -> None:
    standstills = Standstills()
    standstills.longest_s([(ROOM, survey())], 1_000)
    assert standstills.longest_s([(ROOM, fine)], 1_060) == 0
    # It begins anew afterwards.
    assert standstills.longest_s([(ROOM, survey())], 1_070) == 0


def test_the_longest_of_several_rooms_counts() -> None:
    standstills = Standstills()
    standstills.longest_s([(ROOM, survey())], 1_000)
    both = [(ROOM, survey()), (OTHER, survey())]
    assert standstills.longest_s(both, 1_010) == 10
    assert standstills.longest_s([(ROOM, survey(101)), (OTHER, survey())], 1_030) == 20
    assert standstills.longest_s([], 1_040) == 0
