"""Mutation tests of the box office: planted bugs that the model and the audit must catch.

The first half plants bugs that the reference model must find. In the second only the audit checks,
after every call, and names the invariant. If one of these fails, that part proves nothing.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from tests.booking.sale import planted
from tests.databases import TestDatabase
from tests.model.box_office import SEATS, SEATS_MAX
from tests.model.test_booking import CLOCK_STEPS_S, STAGES, BoxOfficeMachine, on
from waitline.postgres.driver_errors import Duplicate

if TYPE_CHECKING:
    from collections.abc import Callable

# Walks until a bug counts as unseen, and calls in each. All of these bugs show within a few dozen.
WALKS = 500
CALLS = 10

BUGS = {
    "a taken seat is taken again": (
        "reserve", "count(*) FILTER (WHERE state = 'AVAILABLE') AS free", "count(*) AS free",
    ),
    "one seat more than allowed": (
        "reserve", "<= (SELECT s.visitor_seats_max", "<= (SELECT 1 + s.visitor_seats_max",
    ),
    "what is paid for is given up": ("cancel", "AND NOT paying)", ")"),
    "anybody gives up anything": ("cancel", "WHERE own AND NOT", "WHERE NOT"),
    "who has the number gives up anything": ("cancel", "AND holder = :holder AS own", "AS own"),
    "under one number all seats are counted together": (
        "reserve", "SELECT schedule_id, user_id, holder, wanted FROM",
        "SELECT schedule_id, user_id, 'a', wanted FROM",
    ),
    "the seats of a cancelled one stay counted": ("cancel", "v.seats - n.seats", "v.seats"),
    "nobody gives the money back": ("cancel", "SET state = 'REFUNDING'", "SET state = 'REFUNDED'"),
    "a buyer who pays loses the seats": (
        "expire", "AND (paying_until IS NULL OR paying_until <= (SELECT listening_now()))", "",
    ),
    "the last to lapse goes first": ("expire", "ORDER BY expires_at", "ORDER BY expires_at DESC"),
    "expired seats stay live": ("expire", "SET live = false", "SET live = true"),
    "what has lapsed can be paid for": (
        "begin_payment", "WHEN r.expires_at <= (SELECT at FROM clock) THEN 'lapsed'", "",
    ),
    "another's is paid for": (
        "begin_payment",
        "WHEN (r.user_id, r.holder) <> (asked.user_id, asked.holder) THEN 'foreign'", "",
    ),
    "who has the number pays for another's": (
        "begin_payment", "(r.user_id, r.holder) <> (asked.user_id, asked.holder)",
        "r.user_id <> asked.user_id",
    ),
    "paying keeps nothing": (
        "begin_payment", "+ make_interval(secs => :grace_s)", "- make_interval(secs => :grace_s)",
    ),
    "what is lost is confirmed": (
        "confirm_payment", "AND attempt.before = 'PENDING' AND NOT", "AND NOT",
    ),
    "a late charge is kept": (
        "confirm_payment", "attempt.state IN ('PENDING', 'FAILED')", "attempt.state = 'PENDING'",
    ),
    "what is paid for is declined": ("fail_payment", "AND attempt.state = 'PENDING'", ""),
    "a declined attempt keeps the seats": (
        "fail_payment", "SET paying_until = NULL", "SET paying_until = paying_until",
    ),
    "money goes back twice": ("refunded_payment", "AND state = 'REFUNDING'", ""),
    "refunds are forgotten": (
        "unsettled_payments", "state IN ('PENDING', 'REFUNDING')", "state = 'PENDING'",
    ),
    "an outage or a step counts": (
        "beat", "least(now(), l.beat_at + interval '2 seconds')", "now()",
    ),
    "a clock that is put back holds for longer": (
        "beat", "greatest(l.beat_at, least(now(), l.beat_at + interval '2 seconds'))",
        "least(now(), l.beat_at + interval '2 seconds')",
    ),
    "holds end by the database's clock": (
        "expire", "expires_at <= (SELECT listening_now())", "expires_at <= now()",
    ),
    "an expired one reads as pending": (
        "find_reservation", "r.expires_at <= (SELECT listening_now())", "false",
    ),
}  # fmt: skip

BROKEN = {
    "B1": ("cancel", "SET live = false", "SET live = live"),
    "B2": ("confirm_payment", "'OCCUPIED'", "'RESERVED'"),
    "B3": ("cancel", "ELSE 'AVAILABLE'", "ELSE 'RESERVED'"),
    "B4": (
        "confirm_payment", "THEN 'CONFIRMED'", "THEN 'CANCELLED'",
    ),
    "B5": ("confirm_payment", "'booking.payment.completed'", "'booking.payment.complete'"),
    "B6": ("reserve", "coalesce(sum(price), 0)", "coalesce(sum(price), 0) + 1"),
    "B8": (
        "begin_payment",
        "WHEN (r.user_id, r.holder) <> (asked.user_id, asked.holder) THEN 'foreign'", "",
    ),
    "B7": ("cancel", "v.seats - n.seats", "v.seats"),
}  # fmt: skip


SHOWN_BY = {
    "one seat more than allowed": 41,
    "what is paid for is given up": 44,
    "the seats of a cancelled one stay counted": 13,
    "nobody gives the money back": 14,
    "a buyer who pays loses the seats": 16,
    "the last to lapse goes first": 35,
    "paying keeps nothing": 8,
    "what is lost is confirmed": 13,
    "a declined attempt keeps the seats": 5,
    "money goes back twice": 16,
    "refunds are forgotten": 10,
    "an outage or a step counts": 58,
    "a clock that is put back holds for longer": 117,
    "holds end by the database's clock": 100,
    "B1": 13,
    "B3": 13,
    "B8": 88,
    "B7": 13,
}
"""Walks that show a bug. Once the calls change, it may be others; the tests then take longer."""


class Caught(BaseException):
    """An invariant does not hold.

    Attributes:
        by: Those that were found broken.
    """

    def __init__(self, by: set[str]) -> None:
        super().__init__(by)
        self.by = by


class Unguarded(BoxOfficeMachine):
    """The machine with nothing but the audit; the model only follows."""

    @override
    def _agree(self, received: object, expected: object) -> None:
        self._audit()

    @override
    def teardown(self) -> None:
        """Nothing has happened since the last call."""

    def _audit(self) -> None:
        found = self.postgres.wait(self.audited())
        if found:
            raise Caught({one.invariant for one in found})


def walk(machine: type[BoxOfficeMachine], numbers: Iterable[int]) -> None:
    """Let a machine make calls at random, the same ones for the same number.

    Hypothesis would look for the shortest sequence, and take longer to come to the first.
    """
    for number in numbers:
        random = Random(number)  # noqa: S311 - a play that can be repeated
        walker = machine()
        walker.open(seats(random), random.choice([*STAGES]))
        for _ in range(CALLS):
            step(walker, random)
        walker.teardown()


def step(walker: BoxOfficeMachine, random: Random) -> None:
    which, asks = random.choice([1, 1, 1, 2, 2, 3, 0]), random.choice([0, 0, 0, 1, 2])
    calls: list[Callable[[], None]] = [
        lambda: walker.reserve(random.choice([1, 2, 3]), seats(random)),
        lambda: walker.find(which, asks),
        lambda: walker.cancel(which, asks),
        lambda: walker.lapse(which),
        lambda: walker.outlast(which),
        lambda: walker.expire(random.choice([100, 2, 1])),
        lambda: walker.begin(which, asks, paid_right=random.random() < 0.8),
        lambda: walker.confirm(which),
        lambda: walker.fail(which),
        lambda: walker.refunded(which),
        walker.look,
        walker.listen,
        lambda: walker.step(random.choice(CLOCK_STEPS_S), noticed=random.random() < 0.5),
    ]
    random.choice(calls)()


def seats(random: Random) -> list[int]:
    return random.sample(range(1, SEATS + 1), random.randint(1, SEATS_MAX + 1))


def numbers(bug: str) -> Iterator[int]:
    """Yield the walk that is known to show a bug, then the others."""
    yield SHOWN_BY.get(bug, 0)
    yield from range(WALKS)


def test_without_a_bug_nothing_is_noticed(postgres: TestDatabase) -> None:
    with on(BoxOfficeMachine, postgres):
        walk(BoxOfficeMachine, range(WALKS // 10))


@pytest.mark.parametrize("name", BUGS)
def test_the_model_notices(postgres: TestDatabase, name: str) -> None:
    with (
        on(BoxOfficeMachine, postgres, planted(*BUGS[name])),
        pytest.raises((AssertionError, Duplicate)),
    ):
        walk(BoxOfficeMachine, numbers(name))


@pytest.mark.parametrize("invariant", BROKEN)
def test_an_invariant_catches_its_bug(postgres: TestDatabase, invariant: str) -> None:
    with on(Unguarded, postgres, planted(*BROKEN[invariant])), pytest.raises(Caught) as caught:
        walk(Unguarded, numbers(invariant))
    assert invariant in caught.value.by
