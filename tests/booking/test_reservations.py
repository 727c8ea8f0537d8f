"""Every outcome of every statement about reservations, on a real PostgreSQL."""

import re
from collections.abc import Iterator

import pytest

from tests.booking.sale import HOLD_S, PRICE, Sale, person
from tests.databases import TestDatabase
from waitline.booking.buyer import Buyer
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.model import (
    SEATS_MAX,
    OwnHold,
    PaymentRunning,
    ReservationForeign,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
    SalesNotOpen,
    SalesOver,
    SeatTaken,
    SeatUnknown,
    TooManySeats,
)
from waitline.booking.store import CANCEL_REFUSED, RESERVE_REFUSED, Expired
from waitline.kernel.errors import Refused, Unavailable
from waitline.postgres import statements

ANN, BOB = person(7), person(8)


@pytest.fixture
def sale(postgres: TestDatabase) -> Iterator[Sale]:
    """Ten seats; whatever happened, nothing contradicts itself afterwards."""
    opened = Sale(postgres)
    postgres.wait(opened.open())
    yield opened
    assert postgres.wait(opened.findings()) == []


def declared(statement: str) -> set[str]:
    """The outcomes that the header of a statement lists."""
    text = statements.source("waitline.booking")
    block = text[text.index(f"-- name: {statement}(") :]
    header = re.match(r"(--.*\n)+", block)
    assert header is not None
    return set(re.findall(r"'(\w+)'", header[0].partition("returns:")[2]))


def mapped(statement: str) -> set[str]:
    """The outcomes that a statement can answer with."""
    text = statements.source("waitline.booking")
    block = text[text.index(f"-- name: {statement}(") :].partition("-- name: ")[2]
    block = block.partition("-- name: ")[0]
    case = re.search(r"SELECT\s+CASE\s+WHEN[^;]*END AS outcome", block)
    assert case is not None
    keys = re.findall(r"THEN '(key_\w+)'", block)
    return {*re.findall(r"(?:THEN|ELSE) '(\w+)'", case[0]), *keys}


def test_what_is_refused_is_what_the_statements_say() -> None:
    assert declared("reserve") == mapped("reserve") == {"reserved", *RESERVE_REFUSED}
    others = {"cancelled", "refunding", "again"}
    assert declared("cancel") == mapped("cancel") == {*others, *CANCEL_REFUSED}


def test_seats_are_held_in_one_reservation(sale: Sale) -> None:
    async def play() -> None:
        made = await sale.reservations.reserve(1, [3, 1], ANN)
        assert made.reservation_id == 1
        assert made.seat_ids == (1, 3)
        assert made.state == ReservationState.PENDING
        assert made.amount == 2 * PRICE
        assert (made.expires_at - made.created_at).total_seconds() == HOLD_S
        assert made.room == "room"
        assert await sale.reservations.find(1) == made
        assert await sale.seats() == "RARAAAAAAA"
        assert await sale.held(ANN) == 2

    sale.postgres.wait(play())


@pytest.mark.parametrize(
    ("schedule", "seats", "user", "refusal"),
    [
        pytest.param(2, [1], ANN, ScheduleUnknown, id="no such schedule"),
        pytest.param(1, [99], ANN, SeatUnknown, id="no such seat"),
        pytest.param(1, [4, 99], ANN, SeatUnknown, id="one of them is not there"),
        pytest.param(3, [4], ANN, SeatUnknown, id="a seat of another schedule"),
        pytest.param(1, [1], BOB, SeatTaken, id="held by another"),
        pytest.param(1, [1], ANN, OwnHold, id="held by oneself"),
        pytest.param(1, [3], BOB, OwnHold, id="bought by oneself"),
        pytest.param(1, [1, 4], BOB, SeatTaken, id="one of them is taken"),
        pytest.param(1, [4, 5, 6], ANN, TooManySeats, id="with those that one has"),
        pytest.param(1, [4, 5, 6, 7, 8], BOB, TooManySeats, id="in one order"),
    ],
)
def test_nothing_is_held_that_may_not_be(
    sale: Sale, schedule: int, seats: list[int], user: Buyer, refusal: type[Refused]
) -> None:
    async def play() -> None:
        await sale.sql(
            "INSERT INTO schedule (schedule_id, concert_id, starts_at) VALUES (3, 1, '2999-01-01')"
        )
        await sale.reservations.reserve(1, [1, 2], ANN)
        sold = await sale.reservations.reserve(1, [3], BOB)
        begun = await sale.begin(sold.reservation_id, BOB)
        await sale.confirm(begun["charge_key"])
        with pytest.raises(refusal):
            await sale.reservations.reserve(schedule, seats, user)
        assert await sale.seats() == "RROAAAAAAA"
        assert len(await sale.states("reservation")) == 2
        assert (await sale.held(ANN), await sale.held(BOB)) == (2, 1)

    sale.postgres.wait(play())


def test_a_refusal_tells_the_limit(sale: Sale) -> None:
    async def play() -> None:
        with pytest.raises(TooManySeats) as refused:
            await sale.reservations.reserve(1, [1, 2, 3, 4, 5], ANN)
        assert refused.value.seats_max == 4

    sale.postgres.wait(play())


@pytest.mark.parametrize(
    "seats",
    [
        pytest.param([], id="none"),
        pytest.param([1, 1], id="one twice"),
        pytest.param([*range(1, SEATS_MAX + 2)], id="too many for any"),
    ],
)
def test_what_no_caller_may_ask_is_a_bug(sale: Sale, seats: list[int]) -> None:
    with pytest.raises(AssertionError):
        sale.postgres.wait(sale.reservations.reserve(1, seats, ANN))


def test_what_was_given_up_may_be_held_again(sale: Sale) -> None:
    async def play() -> None:
        for _ in range(3):
            made = await sale.reservations.reserve(1, [1, 2, 3, 4], ANN)
            assert await sale.reservations.cancel(made.reservation_id, ANN) == "PENDING"
            assert await sale.held(ANN) == 0
        assert await sale.states("reservation") == ["CANCELLED"] * 3
        await sale.reservations.reserve(1, [1], BOB)
        assert await sale.seats() == "RAAAAAAAAA"

    sale.postgres.wait(play())


def test_what_was_paid_for_goes_back_to_be_refunded(sale: Sale) -> None:
    async def play() -> None:
        made = await sale.reservations.reserve(1, [1], ANN)
        begun = await sale.begin(made.reservation_id, ANN)
        await sale.confirm(begun["charge_key"])
        assert (await sale.reservations.find(1)).state == "CONFIRMED"
        assert await sale.reservations.cancel(1, ANN) == "CONFIRMED"
        assert await sale.states("payment") == ["REFUNDING"]
        assert await sale.states("reservation") == ["CANCELLED"]
        assert await sale.seats() == "A" * 10
        assert await sale.held(ANN) == 0

    sale.postgres.wait(play())


async def gone(sale: Sale) -> None:
    await sale.reservations.cancel(1, ANN)


async def lapsed(sale: Sale) -> None:
    await sale.lapse(1)


async def expired(sale: Sale) -> None:
    await sale.lapse(1)
    assert await sale.reservations.expire(10) == [Expired(1, 1, ANN.user_id)]


async def paid_for(sale: Sale) -> None:
    await sale.begin(1, ANN)


async def lapsed_while_paid_for(sale: Sale) -> None:
    await sale.begin(1, ANN)
    await sale.sql("UPDATE reservation SET expires_at = listening_now()")


@pytest.mark.parametrize(
    ("before", "reservation", "user", "refusal", "state"),
    [
        pytest.param(None, 9, ANN, ReservationUnknown, None, id="unknown"),
        pytest.param(None, 1, BOB, ReservationForeign, None, id="another's"),
        pytest.param(gone, 1, ANN, ReservationOver, "CANCELLED", id="cancelled"),
        pytest.param(lapsed, 1, ANN, ReservationOver, "EXPIRED", id="lapsed"),
        pytest.param(expired, 1, ANN, ReservationOver, "EXPIRED", id="expired"),
        pytest.param(paid_for, 1, ANN, PaymentRunning, None, id="being paid for"),
        pytest.param(lapsed_while_paid_for, 1, ANN, PaymentRunning, None, id="paid in time"),
        pytest.param(gone, 1, BOB, ReservationForeign, None, id="another's, that is over"),
    ],
)
def test_what_may_not_be_given_up_stays(  # noqa: PLR0917 - a table
    sale: Sale,
    before: object,
    reservation: int,
    user: Buyer,
    refusal: type[Refused],
    state: str | None,
) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        if callable(before):
            await before(sale)
        seen = await sale.seats(), await sale.states("reservation"), await sale.held(ANN)
        with pytest.raises(refusal) as refused:
            await sale.reservations.cancel(reservation, user)
        assert getattr(refused.value, "state", None) == state
        assert seen == (await sale.seats(), await sale.states("reservation"), await sale.held(ANN))
        await sale.reservations.expire(10)

    sale.postgres.wait(play())


@pytest.mark.parametrize(
    ("before", "state"),
    [
        pytest.param(gone, "CANCELLED", id="cancelled"),
        pytest.param(lapsed, "EXPIRED", id="lapsed, and the sweeper comes"),
        pytest.param(expired, "EXPIRED", id="expired"),
        pytest.param(paid_for, "PENDING", id="being paid for"),
        pytest.param(lapsed_while_paid_for, "PENDING", id="lapsed while it is being paid for"),
    ],
)
def test_what_is_read_is_what_may_be_done(sale: Sale, before: object, state: str) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        assert callable(before)
        await before(sale)
        assert (await sale.reservations.find(1)).state == state
        await sale.reservations.expire(10)

    sale.postgres.wait(play())


def test_a_reservation_is_its_visitors_own(sale: Sale) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        assert (await sale.reservations.find(1)).buyer == ANN
        with pytest.raises(ReservationUnknown):
            await sale.reservations.find(2)

    sale.postgres.wait(play())


def test_a_confirmed_reservation_without_its_payment_is_not_given_up(sale: Sale) -> None:
    """No statement leaves it so; were it so, no money would come back."""

    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        await sale.sql("UPDATE reservation SET state = 'CONFIRMED'")
        with pytest.raises(Unavailable):
            await sale.reservations.cancel(1, ANN)
        assert await sale.states("reservation") == ["CONFIRMED"]
        await sale.sql("UPDATE reservation SET state = 'PENDING'")

    sale.postgres.wait(play())


def test_lapsed_seats_go_back_a_chunk_at_a_time_the_first_first(sale: Sale) -> None:
    async def play() -> None:
        for seat in range(1, 6):
            await sale.reservations.reserve(1, [seat], person(20 - seat))
        await sale.sql(
            "UPDATE reservation "
            "SET expires_at = listening_now() - make_interval(secs => reservation_id) "
            "WHERE reservation_id <> 5"
        )
        assert {one.reservation_id for one in await sale.reservations.expire(2)} == {3, 4}
        assert await sale.seats() == "RRAARAAAAA"
        assert {one.reservation_id for one in await sale.reservations.expire(2)} == {1, 2}
        assert await sale.reservations.expire(2) == []
        assert await sale.states("reservation") == ["EXPIRED"] * 4 + ["PENDING"]
        assert await sale.held(15) == 1

    sale.postgres.wait(play())


def test_several_reservations_of_one_visitor_lapse_in_one_step(sale: Sale) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1, 2], ANN)
        await sale.reservations.reserve(1, [3], ANN)
        await sale.reservations.reserve(1, [4], ANN)
        await sale.lapse(1, 2)
        assert len(await sale.reservations.expire(10)) == 2
        assert await sale.held(ANN) == 1
        assert await sale.seats() == "AAARAAAAAA"

    sale.postgres.wait(play())


def test_a_payment_in_progress_keeps_the_seats(sale: Sale) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        await sale.begin(1, ANN)
        await sale.sql("UPDATE reservation SET expires_at = listening_now() - interval '1 s'")
        assert await sale.reservations.expire(10) == []
        await sale.sql("UPDATE reservation SET paying_until = listening_now()")
        assert await sale.reservations.expire(10) == [Expired(1, 1, ANN.user_id)]
        assert await sale.seats() == "A" * 10

    sale.postgres.wait(play())


def test_a_charge_that_comes_too_late_is_refunded(sale: Sale) -> None:
    async def play() -> None:
        await sale.reservations.reserve(1, [1], ANN)
        begun = await sale.begin(1, ANN)
        await sale.lapse(1)
        await sale.reservations.expire(10)
        await sale.reservations.reserve(1, [1], BOB)
        row = await sale.confirm(begun["charge_key"])
        assert row["state"] == "REFUNDING"
        assert await sale.states("reservation") == ["EXPIRED", "PENDING"]
        assert await sale.seats() == "RAAAAAAAAA"

    sale.postgres.wait(play())


LATER, EARLIER = "now() + interval '1 h'", "now() - interval '1 h'"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param(f"opens_at = {LATER}", SalesNotOpen, id="not-open"),
        pytest.param(f"opens_at = {EARLIER}", None, id="open"),
        pytest.param(f"sales_end = {EARLIER}", SalesOver, id="ended"),
        pytest.param(f"sales_end = {LATER}", None, id="not-ended"),
        pytest.param(f"starts_at = {EARLIER}", SalesOver, id="past"),
        pytest.param(f"starts_at = {LATER}", None, id="tonight"),
        pytest.param(
            f"opens_at = {EARLIER}, sales_end = {LATER}, cancel_until = {EARLIER}", None, id="all"
        ),
    ],
)
def test_a_schedule_sells_from_its_opening_to_its_end(
    sale: Sale, times: str, expected: type[Exception] | None
) -> None:
    async def play() -> None:
        await sale.sql(f"UPDATE schedule SET {times}")  # noqa: S608 - ours
        if expected is None:
            await sale.reservations.reserve(1, [1], ANN)
            return
        with pytest.raises(expected):
            await sale.reservations.reserve(1, [1], ANN)
        assert await sale.seats() == "AAAAAAAAAA"
        assert await sale.held(ANN) == 0
        assert await sale.states("reservation") == []

    sale.postgres.wait(play())


def test_one_may_pay_after_the_end_of_the_sale(sale: Sale) -> None:
    async def play() -> None:
        made = await sale.reservations.reserve(1, [1], ANN)
        await sale.sql(f"UPDATE schedule SET starts_at = {EARLIER}")  # noqa: S608 - ours
        row = await sale.begin(made.reservation_id, ANN)
        assert row["outcome"] == "begun"
        assert (await sale.confirm(row["charge_key"]))["state"] == "COMPLETED"
        assert await sale.seats() == "OAAAAAAAAA"

    sale.postgres.wait(play())
