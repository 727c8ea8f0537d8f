"""Many buyers at once, from several processes: no seat is held twice, and nobody waits for ever.

Payments meet each other in tests/payments/test_races.py.
"""

import asyncio
from collections import Counter
from functools import partial
from itertools import count
from random import Random

import asyncpg
import pytest

from tests.booking import sale as sales
from tests.booking.sale import at_once, cancel, person, planted, reserve
from tests.databases import DEADLINE_S, TestDatabase
from tests.race.buyers import WIDTH, Crowd, Outcomes, kinds, plays, without_index, words
from waitline.booking.model import (
    OwnHold,
    PaymentRunning,
    Reservation,
    ReservationOver,
    ReservationState,
    SeatTaken,
    TooManySeats,
)

# One after the other, in races that must show something at least once.
SEATS = 20


def test_of_two_hundred_buyers_one_has_the_seat(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        outcomes = await buyers.outcomes(
            [partial(buyers.store(user).reserve, 1, [1], person(user)) for user in range(1, 201)]
        )
        assert kinds(outcomes) == {"Reservation": 1, "SeatTaken": 199}
        (winner,) = [one for one in outcomes if isinstance(one, Reservation)]
        assert await buyers.sale.held(winner.buyer) == 1
        assert len(await buyers.sale.states("reservation")) == 1
        assert await buyers.sale.findings() == []

    plays(postgres, play)


# As if look and write were a moment apart, so that the statements meet on every machine.
UNLOCKED = planted(
    "reserve",
    "ORDER BY seat_id\n    FOR UPDATE SKIP LOCKED",
    "ORDER BY seat_id, pg_sleep(0.02)::text",
)


def test_control_without_the_lock_the_index_has_the_last_word(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the test above proves nothing."""
    monkeypatch.setattr(sales, "STATEMENTS", UNLOCKED)

    async def play(buyers: Crowd) -> None:
        counts = await wanted_by_all(buyers)
        assert counts["reserved"] == SEATS
        assert counts["UniqueViolationError"] > 0

    plays(postgres, play, seats=SEATS)


def test_control_without_lock_and_index_a_seat_is_held_twice(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the tests above prove nothing."""
    monkeypatch.setattr(sales, "STATEMENTS", UNLOCKED)

    async def play(buyers: Crowd) -> None:
        async with without_index(buyers.sale):
            assert (await wanted_by_all(buyers))["reserved"] > SEATS
            assert {one.invariant for one in await buyers.sale.findings()} >= {"B1"}

    plays(postgres, play, seats=SEATS)


async def wanted_by_all(buyers: Crowd) -> Counter[str]:
    """Ask for one seat after the other, each for many visitors at once."""
    counts = Counter[str]()
    for seat in range(1, SEATS + 1):
        counts += words(
            await buyers.outcomes(
                [partial(buyers.tell, "reserve", **reserve(user, seat)) for user in range(WIDTH)]
            )
        )
    return counts


def test_a_thousand_buyers_buy_a_hundred_seats(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        async def buy(user: int) -> bool:
            seat = user % 100 + 1
            try:
                made = await buyers.store(user).reserve(1, [seat], person(user))
            except SeatTaken:
                return False
            begun = await buyers.sale.begin(made.reservation_id, user)
            paid = await buyers.sale.confirm(begun["charge_key"])
            assert paid["state"] == "COMPLETED"
            return True

        outcomes = await buyers.outcomes([partial(buy, user) for user in range(1, 1001)])
        assert Counter(outcomes) == {True: 100, False: 900}
        assert await buyers.sale.seats() == "O" * 100
        assert await buyers.sale.states("reservation") == ["CONFIRMED"] * 100
        assert await buyers.sale.findings() == []

    plays(postgres, play, seats=100)


def groups(random: Random, count: int) -> list[list[int]]:
    """Groups of two to four of eight seats, in any order."""
    return [random.sample(range(1, 9), random.randint(2, 4)) for _ in range(count)]


def test_groups_that_overlap_crosswise_get_all_or_none(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        random = Random(1)  # noqa: S311 - a play that can be repeated
        for _ in range(5):
            asked = groups(random, 60)
            outcomes = await buyers.outcomes(
                [
                    partial(buyers.store(user).reserve, 1, seats, person(user))
                    for user, seats in enumerate(asked, start=1)
                ]
            )
            assert set(kinds(outcomes)) <= {"Reservation", "SeatTaken", "Unavailable"}
            made = [one for one in outcomes if isinstance(one, Reservation)]
            held = sorted(seat for one in made for seat in one.seat_ids)
            assert len(set(held)) == len(held)
            seats = await buyers.sale.seats()
            assert [number for number, state in enumerate(seats, start=1) if state == "R"] == held
            assert await buyers.sale.findings() == []
            await buyers.outcomes(
                [partial(buyers.store(1).cancel, one.reservation_id, one.buyer) for one in made]
            )

    plays(postgres, play)


def test_control_groups_that_wait_in_any_order_wait_for_each_other_for_ever(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the test above proves nothing."""
    disordered = planted(
        "reserve",
        "ORDER BY seat_id\n    FOR UPDATE SKIP LOCKED",
        "ORDER BY seat_id * ((:user_ids::text[])[1]::int % 2 * 2 - 1)\n    FOR UPDATE",
    )
    monkeypatch.setattr(sales, "STATEMENTS", disordered)

    async def play(buyers: Crowd) -> None:
        random = Random(1)  # noqa: S311 - a play that can be repeated
        counts = Counter[str]()
        async with asyncio.timeout(DEADLINE_S):
            while not counts["DeadlockDetectedError"]:
                asked = enumerate(groups(random, 60), start=1)
                counts += words(
                    await buyers.outcomes(
                        [
                            partial(buyers.tell, "reserve", **reserve(user, *seats))
                            for user, seats in asked
                        ]
                    )
                )
                await buyers.sale.sql("UPDATE reservation SET expires_at = listening_now()")
                await buyers.sale.reservations.expire(60)

    plays(postgres, play)


# A busy machine may keep some from a connection for too long.
KINDS = {"Reservation", "TooManySeats", "Unavailable"}
SIZES = (1, 2, 3, 1, 2, 1, 3, 2, 1, 1) * 3


def seats_of_one_visitor() -> list[list[int]]:
    """Seats that one visitor asks for at once: disjoint, so that only the limit says no."""
    starts = [sum(SIZES[:number]) + 1 for number in range(len(SIZES))]
    return [[*range(start, start + size)] for start, size in zip(starts, SIZES, strict=True)]


def test_one_visitor_never_holds_more_than_allowed(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        outcomes = await buyers.outcomes(
            [
                partial(buyers.store(number).reserve, 1, seats, person(7))
                for number, seats in enumerate(seats_of_one_visitor())
            ]
        )
        assert {"Reservation", "TooManySeats"} <= set(kinds(outcomes)) <= KINDS
        refused = [one for one in outcomes if isinstance(one, TooManySeats)]
        assert {one.seats_max for one in refused} == {4}
        # Single seats are asked for to the end, so nothing is left over.
        assert await buyers.sale.held(7) == (await buyers.sale.seats()).count("R") == 4
        assert await buyers.sale.findings() == []

    plays(postgres, play, seats=sum(SIZES))


def test_control_counted_beforehand_one_visitor_holds_more(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the test above proves nothing."""
    seen = "SELECT v.seats FROM visitor_seats AS v WHERE v.user_id = held.user_id"
    looked = f"WHERE excluded.seats + coalesce(({seen}), 0)"
    counted = planted("reserve", "WHERE held.seats + excluded.seats", looked)
    monkeypatch.setattr(sales, "STATEMENTS", counted)

    async def play(buyers: Crowd) -> None:
        users = count(1)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                user = next(users)
                await buyers.outcomes(
                    [
                        partial(buyers.tell, "reserve", **reserve(user, *seats))
                        for seats in seats_of_one_visitor()
                    ]
                )
                if await buyers.sale.held(user) > 4:
                    break
                await buyers.sale.sql("UPDATE reservation SET expires_at = listening_now()")
                await buyers.sale.reservations.expire(SEATS)
        assert {one.invariant for one in await buyers.sale.findings()} == {"B7"}

    plays(postgres, play, seats=sum(SIZES))


async def last_moments(buyers: Crowd) -> tuple[int, Outcomes]:
    """Give reservations of two visitors up while they lapse; return how many were swept."""
    for seat in range(1, 41):
        await buyers.sale.reservations.reserve(1, [seat], person(seat % 2))
    await buyers.sale.sql(
        "UPDATE reservation SET expires_at = listening_now() + reservation_id * interval '3 ms'"
    )
    over = asyncio.Event()
    swept: list[asyncpg.Record] = []

    async def sweep() -> None:
        while not over.is_set():
            rows = await buyers.tell("expire", **sales.expiring(3))
            swept.extend(row for row in rows if row["expired"])

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(sweep())
        outcomes = await buyers.outcomes(
            [
                partial(buyers.tell, "cancel", **cancel(number, number % 2))
                for number in range(1, 41)
            ]
        )
        over.set()
    return len(swept) + len(await buyers.sale.reservations.expire(40)), outcomes


def test_what_lapses_while_it_is_given_up_ends_once(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        await buyers.sale.sql("UPDATE schedule SET visitor_seats_max = 20")
        swept, outcomes = await last_moments(buyers)
        counts = words(outcomes)
        assert set(counts) <= {"cancelled", "over"}
        # What was late for giving up is the sweeper's, at once or soon.
        assert counts["over"] <= swept == 40 - counts["cancelled"]
        ended = Counter(await buyers.sale.states("reservation"))
        assert ended["CANCELLED"] == counts["cancelled"]
        assert await buyers.sale.seats() == "A" * 40
        assert (await buyers.sale.held(0), await buyers.sale.held(1)) == (0, 0)
        assert await buyers.sale.findings() == []

    plays(postgres, play, seats=40)


def test_everything_at_once_leaves_nothing_that_contradicts_itself(postgres: TestDatabase) -> None:
    """A statement that locks in another order than the others shows here as a deadlock."""

    async def play(buyers: Crowd) -> None:
        await buyers.sale.sql("UPDATE schedule SET visitor_seats_max = 6")

        async def act(number: int) -> None:
            random = Random(number)  # noqa: S311 - a play that can be repeated
            store, user = buyers.store(number), number % 5
            for _ in range(12):
                try:
                    seats = random.sample(range(1, 13), random.randint(1, 4))
                    made = await store.reserve(1, seats, person(user))
                except (OwnHold, SeatTaken, TooManySeats):
                    await buyers.tell("expire", **sales.expiring(random.randint(1, 8)))
                    continue
                held = made.reservation_id
                await act_on(buyers, random, held, user)

        outcomes = await buyers.outcomes([partial(act, number) for number in range(WIDTH)])
        assert kinds(outcomes) == {"NoneType": WIDTH}
        ended = Counter(await buyers.sale.states("reservation"))
        assert set(ended) >= {"CANCELLED", "EXPIRED"}
        assert set(await buyers.sale.states("payment")) >= {"FAILED", "REFUNDING"}
        await buyers.sale.reservations.expire(500)
        # Nobody settles anything here, so how long it has waited is no damage.
        assert await buyers.sale.findings(late_s=3_600) == []

    plays(postgres, play, seats=12)


async def act_on(buyers: Crowd, random: Random, held: int, user: int) -> None:
    """Let a reservation lapse, or pay for it, and perhaps give it up while that happens."""
    fate = random.choice(["lapse", "leave", "pay", "decline", "pay and leave"])
    if fate == "lapse":
        await buyers.sale.lapse(held)
        return
    if fate == "leave":
        await buyers.store(held).cancel(held, person(user))
        return
    asked = {**sales.begin(held, user), "at_price": False}
    begun = await buyers.tell("begin_payment", **asked)
    key = begun["charge_key"]
    if fate == "decline":
        await buyers.tell("fail_payment", charge_key=key, reason="declined", who="webhook")
    else:
        confirm = partial(buyers.tell, "confirm_payment", **sales.charged(key))
        leave = partial(buyers.store(held).cancel, held, person(user))
        outcomes = await at_once([confirm, leave, confirm] if "leave" in fate else [confirm])
        allowed = PaymentRunning, ReservationOver, ReservationState, asyncpg.Record
        assert all(isinstance(one, allowed) for one in outcomes), outcomes
    # So that the next ones find something free.
    left = await at_once([partial(buyers.store(held).cancel, held, person(user))])
    assert isinstance(left[0], (ReservationState, ReservationOver)), left
