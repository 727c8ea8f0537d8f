"""Each kind of damage is found in a box office that has just it; a sound one has no findings."""

import re
from collections.abc import Sequence
from importlib.resources import files

import pytest

from tests.booking.sale import Sale, person
from tests.databases import TestDatabase
from waitline.booking import audit
from waitline.booking.audit import (
    DAMAGE,
    EXAMPLES_MAX,
    INVARIANTS,
    LATE_S,
    LOOKS_MAX,
)
from waitline.kernel.findings import Finding

LONG_AGO = f"now() - interval '{LATE_S + 1} s'"

# What is done to the sound box office of `traded`, and what is found by that.
PLANTED: dict[str, tuple[str, str]] = {
    "held_twice": (
        "INSERT INTO reserved_seat (reservation_id, seat_id, price, live) VALUES (2, 1, 1, false)",
        "1 seats are in more than one live reservation: 1",
    ),
    "held_on_sale": (
        "UPDATE seat SET state = 'AVAILABLE' WHERE seat_id = 1",
        "1 seats are on sale and in a pending reservation: 1",
    ),
    "marked_wrong": (
        "UPDATE reserved_seat SET live = NOT live WHERE reservation_id IN (1, 3)",
        "2 reservations are over and hold seats, or are live and hold none: 1, 3",
    ),
    "seatless": (
        (
            "INSERT INTO reservation (schedule_id, user_id, state, amount, expires_at) "
            "VALUES (1, 9, 'CANCELLED', 0, now())"
        ),
        "1 reservations have no seats: 6",
    ),
    "sold_twice": (
        "UPDATE reserved_seat SET live = false, seat_id = 2 WHERE reservation_id = 5",
        "1 seats were sold twice: 2",
    ),
    "sold_not_occupied": (
        "UPDATE seat SET state = 'AVAILABLE' WHERE seat_id = 2",
        "1 seats were sold and are not OCCUPIED: 2",
    ),
    "occupied_unsold": (
        "UPDATE seat SET state = 'OCCUPIED' WHERE seat_id = 7",
        "1 seats are OCCUPIED and in no confirmed reservation: 7",
    ),
    "reserved_unheld": (
        "UPDATE seat SET state = 'RESERVED' WHERE seat_id = 3",
        "1 seats are RESERVED and in no pending reservation: 3",
    ),
    "lapsed": (
        f"UPDATE reservation SET expires_at = {LONG_AGO} WHERE reservation_id = 1",  # noqa: S608
        "1 reservations have lapsed and still hold their seats: 1",
    ),
    "unpaid": (
        "UPDATE payment SET state = 'FAILED' WHERE reservation_id = 2",
        "1 reservations are confirmed without a payment: 2",
    ),
    "paid_unconfirmed": (
        "UPDATE reservation SET state = 'CANCELLED' WHERE reservation_id = 2",
        "1 payments are completed and their reservations are not confirmed: 1",
    ),
    "paid_twice": (
        (
            "DROP INDEX b4_one_live_payment_per_reservation; "
            "INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at) "
            "VALUES (2, 2, 100, 'CARD', 'COMPLETED', now())"
        ),
        "2 payments are of a reservation that was paid for more than once: 1, 5",
    ),
    "overlooked": (
        f"UPDATE payment SET look_at = {LONG_AGO} WHERE state IN ('PENDING', 'REFUNDING')",  # noqa: S608
        "2 payments are open, and the reconciler has not checked them in time: 2, 3",
    ),
    "unsettled": (
        f"UPDATE payment SET looks = {LOOKS_MAX + 1} WHERE state = 'REFUNDING'",  # noqa: S608
        "1 payments are still not settled or refunded after many attempts: 2",
    ),
    "returned_confirmed": (
        "UPDATE payment SET refunded = amount WHERE payment_id = 1",
        "1 payments were refunded and their reservations are confirmed: 1",
    ),
    "refund_failed": (
        "UPDATE payment SET flag = 'refund_failed' WHERE state = 'REFUNDING'",
        "1 refunds have failed at the provider: 2",
    ),
    "refund_overdue": (
        (
            "UPDATE payment SET flag = 'refund_pending', flagged_at = now() - interval '8 days' "
            "WHERE state = 'REFUNDING'"
        ),
        "1 refunds have been pending at the provider for a week: 2",
    ),
    "untold": (
        "DELETE FROM outbox WHERE (payload ->> 'reservationId')::bigint = 2",
        "1 payments have no event: 1",
    ),
    "unsent": (
        f"UPDATE outbox SET created_at = {LONG_AGO} WHERE event_no = 1",  # noqa: S608
        "1 events were not sent: 1",
    ),
    "dead": ("UPDATE outbox SET dead = true WHERE event_no = 1", "1 events are dead letters: 1"),
    "miscounted": (
        "UPDATE reserved_seat SET price = 1 WHERE reservation_id = 1",
        "1 reservations have an amount that is not the sum of their seats: 1",
    ),
    "not_the_price": (
        "UPDATE payment SET amount = 1 WHERE payment_id = 1",
        "1 payments have an amount that is not the price: 1",
    ),
    "recount": (
        "UPDATE visitor_seats SET seats = seats + 1 WHERE user_id IN ('1', '4')",
        "2 visitors have a stored seat count that is wrong: 1, 4",
    ),
    "too_many": (
        "UPDATE schedule SET visitor_seats_max = 1",
        "1 visitors hold more seats than allowed: 1",
    ),
    "paid_by_another": (
        "UPDATE payment SET user_id = '9' WHERE reservation_id = 2",
        "1 reservations were paid for by another user: 2",
    ),
    "key_of_another": (
        (
            "INSERT INTO idempotency (user_id, holder, idempotency_key, request, done, "
            "reservation_id) VALUES ('2', 'x', 'k', decode(repeat('00', 32), 'hex'), 'reserved', 2)"
        ),
        "1 reservations were changed under another holder's key: 2",
    ),
    "too_many_of_concert": (
        "UPDATE concert SET visitor_seats_max = 1",
        "1 visitors hold more seats than allowed in a concert: 1",
    ),
    "held_unlisted": (
        "UPDATE seat SET state = 'HELD' WHERE seat_id = 9",
        "1 seats are held back without a reason: 9",
    ),
    "listed_on_sale": (
        "INSERT INTO held_seat (seat_id, reason) VALUES (9, 'press')",
        "1 seats are on sale that should be held back: 9",
    ),
    "held_sold": (
        "INSERT INTO held_seat (seat_id, reason) VALUES (2, 'press')",
        "1 seats that are held back were sold: 2",
    ),
    "left_over": (
        "UPDATE schedule SET sale_state = 'POSTPONED', state_at = now() - interval '1 hour'",
        "1 reservations are left of a stopped schedule: 1",
    ),
    "kept_money": (
        "UPDATE schedule SET sale_state = 'CANCELLED', state_at = now() - interval '1 hour'",
        "2 payments of a cancelled schedule are not refunded: 1, 4",
    ),
}


@pytest.fixture
def traded(postgres: TestDatabase) -> Sale:
    """A box office with something in every state.

    Visitor 1 holds seats 1 and 8, 2 has bought seat 2, 3 has given up seat 3 and gets the money
    back, 4 pays for seat 4, and 5 has bought seat 5, a declined payment before.
    """
    sale = Sale(postgres)

    async def trade() -> None:
        await sale.open()
        for user in range(1, 6):
            await sale.reservations.reserve(1, [1, 8] if user == 1 else [user], person(user))
        for user in (2, 3, 4):
            begun = await sale.begin(user, user)
            if user != 4:
                await sale.confirm(begun["charge_key"])
        await sale.reservations.cancel(3, person(3))
        begun = await sale.begin(5, 5)
        await sale.confirm(begun["charge_key"])

    postgres.wait(trade())
    return sale


def test_a_sound_box_office_has_no_findings(traded: Sale) -> None:
    assert traded.postgres.wait(traded.findings()) == []
    found = traded.postgres.wait(audit.count_rows(traded.database))
    assert found == {
        "seats": 10,
        "sold": 2,
        "complimentary": 0,
        "held_back": 0,
        "reservations": 5,
        "payments": 4,
        "events": 3,
    }


@pytest.mark.parametrize("kind", PLANTED)
def test_damage_is_found(traded: Sale, kind: str) -> None:
    statements, text = PLANTED[kind]
    for statement in statements.split("; "):
        traded.postgres.wait(traded.sql(statement))
    try:
        found = traded.postgres.wait(traded.findings())
    finally:
        if kind == "paid_twice":
            traded.postgres.wait(restore_index(traded))
    assert (DAMAGE[kind][0], text) in {(one.invariant, one.text) for one in found}


async def restore_index(sale: Sale) -> None:
    await sale.sql("DELETE FROM payment WHERE payment_id = 5")
    await sale.sql(
        "CREATE UNIQUE INDEX b4_one_live_payment_per_reservation ON payment (reservation_id) "
        "WHERE state IN ('PENDING', 'COMPLETED')"
    )


def test_every_damage_is_planted_and_every_invariant_can_be_seen_broken() -> None:
    text = (files("waitline.booking") / "sql" / "audit.sql").read_text("utf-8")
    headers = re.findall(r"-- name: (?:(?!\n[A-Z]).)*", text, re.DOTALL)
    declared = {word for header in headers for word in re.findall(r"'(\w+)'", header)}
    assert declared == set(DAMAGE) == set(PLANTED)
    assert {invariant for invariant, _ in DAMAGE.values()} == set(INVARIANTS)


def test_a_trial_may_pay_what_it_likes(traded: Sale) -> None:
    async def found() -> Sequence[Finding]:
        await traded.sql("UPDATE payment SET amount = 1 WHERE payment_id = 1")
        return await audit.examine(traded.database, at_price=False)

    assert traded.postgres.wait(found()) == []


def test_a_finding_names_some_and_counts_all(traded: Sale) -> None:
    async def found() -> Sequence[Finding]:
        await traded.add_seats(await second_schedule(traded), EXAMPLES_MAX + 3)
        await traded.sql("UPDATE seat SET state = 'OCCUPIED' WHERE schedule_id = 2")
        return await traded.findings()

    (finding,) = traded.postgres.wait(found())
    assert finding.times == EXAMPLES_MAX + 3
    assert finding.text.startswith(f"{EXAMPLES_MAX + 3} seats are OCCUPIED")
    assert finding.text.endswith(": 11, 12, 13, 14, 15 …")


async def second_schedule(sale: Sale) -> int:
    await sale.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01')")
    return 2


def test_those_who_paid_are_named_for_the_waiting_room(traded: Sale) -> None:
    async def named(late_s: float) -> set[tuple[str, str]]:
        return {
            (one.room, one.user_id) for one in await audit.paid_visitors(traded.database, late_s)
        }

    assert traded.postgres.wait(named(0.0)) == {("room", "2"), ("room", "5")}
    assert traded.postgres.wait(named(LATE_S)) == set()
