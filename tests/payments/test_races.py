"""Concurrent payments, cancellations and expiries: each charge ends as a sale or a refund."""

import asyncio
from functools import partial
from uuid import UUID, uuid4

from typing_extensions import override

from tests.booking.sale import PRICE, at_once, person
from tests.databases import TestDatabase
from tests.payments.shop import DEADLINE_S, KEY, SECRET, WON, SandboxProcess, Shop, open_shop, plays
from tests.until import until_async
from waitline.booking.checkout import Checkout
from waitline.booking.model import Payment
from waitline.payment_providers.model import ActionNeeded, Charged, Money, NotCharged
from waitline.payment_providers.sandbox.adapter import Sandbox

DEVICES = 10
ROUNDS = 10
SEATS = 20


def test_a_reservation_paid_from_ten_devices_is_charged_once(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        for seat in range(1, ROUNDS + 1):
            reservation = await shop.hold(seat, user=seat)
            outcomes = await at_once(
                [partial(shop.pay, reservation, user=seat) for _ in range(DEVICES)]
            )
            names = sorted(type(one).__name__ for one in outcomes)
            assert names.count("Payment") == 1
            assert set(names) <= {"Payment", "PaymentRunning", "AlreadyPaid"}
            assert await _charges(shop) == seat

    plays(postgres, sandbox, play)


def test_control_without_a_noted_attempt_it_is_charged_often(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    """If this fails, the test above proves nothing."""

    async def look_charge_write(shop: Shop, reservation: int, looked: asyncio.Barrier) -> bool:
        rows = await shop.sale.sql(
            "SELECT FROM reservation WHERE reservation_id = $1 AND state = 'PENDING'", reservation
        )
        # All have looked before one charges, on every machine.
        await looked.wait()
        if not rows:
            return False
        key = uuid4()
        outcome = await shop.provider.charge(key, WON, "CARD")
        assert isinstance(outcome, Charged)
        await shop.sale.sql(
            "UPDATE reservation SET state = 'CONFIRMED' WHERE reservation_id = $1", reservation
        )
        return True

    async def whole() -> None:
        async with open_shop(postgres, sandbox) as shop:
            looked = asyncio.Barrier(DEVICES)
            for seat in range(1, ROUNDS + 1):
                call = partial(look_charge_write, shop, await shop.hold(seat, user=seat), looked)
                assert await at_once([call] * DEVICES) == [True] * DEVICES

    postgres.wait(whole())


def test_paying_while_cancelling_pays_for_seats_or_nothing(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        cancel = shop.sale.reservations.cancel
        shop.mailbox.read = shop.checkout.webhook
        for user in range(1, SEATS + 1):
            reservation = await shop.hold(user, user=user)
            method = ("CARD", "WEBHOOK_FIRST", "DECLINE", "DUPLICATE_WEBHOOK")[user % 4]
            outcomes = await at_once(
                [
                    partial(shop.pay, reservation, method, user=user),
                    *[partial(cancel, reservation, person(user))] * 2,
                ]
            )
            names = {type(one).__name__ for one in outcomes}
            assert names <= {
                "Payment", "Declined", "ReservationOver", "ReservationState", "PaymentRunning",
            }  # fmt: skip
        await shop.settled()
        assert set(await shop.sale.states("payment")) <= {"COMPLETED", "REFUNDED", "FAILED"}

    plays(postgres, sandbox, play, seats=SEATS)


def test_paying_while_expiring_pays_for_seats_or_nothing(
    postgres: TestDatabase, slow_sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        outcomes = await _last_moments(shop)
        # Buyers who began in time have the seats; no other was charged.
        assert sum(isinstance(one, Payment) for one in outcomes) == await _charges(shop)

    plays(postgres, slow_sandbox, play, seats=SEATS)


class Slow(Sandbox):
    """Charges, and answers when it may."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(KEY, SECRET, url=shop.url, timeout_s=DEADLINE_S)
        self.charged = 0
        self.may = asyncio.Event()

    @override
    async def charge(
        self, key: UUID, price: Money, method: str
    ) -> Charged | NotCharged | ActionNeeded:
        answer = await super().charge(key, price, method)
        self.charged += 1
        await self.may.wait()
        return answer


async def _lapsed_meanwhile(shop: Shop) -> list[object]:
    """Let the time of every reservation run out while it is charged, and sweep."""
    held = [await shop.hold(seat, user=seat) for seat in range(1, SEATS + 1)]
    slow = Slow(shop)
    checkout = Checkout(shop.sale.database, slow, at_price=True)
    paying = asyncio.create_task(
        at_once(
            [
                partial(checkout.pay, number, person(user), PRICE, "CARD")
                for user, number in enumerate(held, start=1)
            ],
            width=SEATS,
        )
    )
    await until_async(lambda: slow.charged == SEATS, DEADLINE_S, "all are charged")
    await shop.sale.sql("UPDATE reservation SET expires_at = listening_now() - interval '1 s'")
    await shop.sale.reservations.expire(SEATS)
    slow.may.set()
    outcomes = await paying
    await slow.close()
    return outcomes


def test_what_runs_out_while_it_is_charged_is_sold(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        outcomes = await _lapsed_meanwhile(shop)
        assert {type(one) for one in outcomes} == {Payment}
        assert await _charges(shop) == SEATS

    plays(postgres, sandbox, play, seats=SEATS)


def test_control_unless_a_payment_keeps_the_seats_they_are_sold_under_it(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    """If this fails, the test above proves nothing. The money comes back all the same."""

    async def play(shop: Shop) -> None:
        await shop.sale.sql(
            "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.paying_until := NULL; RETURN NEW; END $$"
        )
        await shop.sale.sql(
            "CREATE TRIGGER forget BEFORE UPDATE ON reservation "
            "FOR EACH ROW EXECUTE FUNCTION forget()"
        )
        try:
            outcomes = await _lapsed_meanwhile(shop)
        finally:
            await shop.sale.sql("DROP FUNCTION forget CASCADE")
        assert not any(isinstance(one, Payment) for one in outcomes)
        assert await _charges(shop) == SEATS
        await shop.settled()
        assert await shop.sale.states("payment") == ["REFUNDED"] * SEATS

    plays(postgres, sandbox, play, seats=SEATS)


async def _last_moments(shop: Shop) -> list[object]:
    """Pay while the time runs out, and sweep all the while."""
    held = [await shop.hold(seat, user=seat) for seat in range(1, SEATS + 1)]
    # One after the other, while they are being paid for.
    await shop.sale.sql(
        "UPDATE reservation SET expires_at = listening_now() + reservation_id * interval '50 ms'"
    )
    over = asyncio.Event()

    async def sweep() -> None:
        while not over.is_set():
            await shop.sale.reservations.expire(SEATS)

    async with asyncio.TaskGroup() as group:
        group.create_task(sweep())
        outcomes = await at_once(
            [partial(shop.pay, number, user=user) for user, number in enumerate(held, start=1)],
            width=SEATS,
        )
        over.set()
    await shop.sale.reservations.expire(SEATS)
    names = {type(one).__name__ for one in outcomes}
    assert names <= {"Payment", "ReservationLapsed", "ReservationOver"}
    return outcomes


def test_many_reconcilers_give_back_once(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        for seat in range(1, SEATS + 1):
            reservation = await shop.hold(seat, user=seat)
            await shop.pay(reservation, user=seat)
            await shop.sale.reservations.cancel(reservation, person(seat))
        others = [Sandbox(KEY, SECRET, url=shop.url) for _ in range(4)]
        looked = await at_once(
            [Checkout(shop.sale.database, one, at_price=True).settle for one in others]
        )
        for other in others:
            await other.close()
        assert sum(looked) == SEATS
        assert await shop.sale.states("payment") == ["REFUNDED"] * SEATS

    plays(postgres, sandbox, play, seats=SEATS)


def test_reconciler_message_and_answer_at_once_settle_once(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        shop.mailbox.read = shop.checkout.webhook

        async def reconcile() -> None:
            for _ in range(3):
                await shop.sale.sql(
                    "UPDATE payment SET look_at = listening_now() WHERE state = 'PENDING'"
                )
                await shop.checkout.settle()

        for user in range(1, SEATS + 1):
            reservation = await shop.hold(user, user=user)
            (outcome, *rest) = await at_once(
                [
                    partial(shop.pay, reservation, "DUPLICATE_WEBHOOK", user=user),
                    reconcile,
                    reconcile,
                ]
            )
            assert rest == [None, None]
            # The reconciler closes what it finds before the sandbox has heard of it.
            assert type(outcome).__name__ in {"Payment", "Declined"}
        events = await shop.sale.sql("SELECT FROM outbox")
        assert len(events) == (await shop.sale.states("reservation")).count("CONFIRMED")

    plays(postgres, sandbox, play, seats=SEATS)


async def _charges(shop: Shop) -> int:
    """How often the sandbox has taken money for this sale."""
    rows = await shop.sale.sql("SELECT charge_key FROM payment")
    charges = [await shop.charge(row["charge_key"]) for row in rows]
    return sum(charge.get("charged", 0) for charge in charges)
