"""Money that moves elsewhere: 3-D Secure, the provider's dashboard, disputes, other amounts."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments.shop import DEADLINE_S, USER, WON, SandboxProcess, Shop, plays
from tests.until import until_async
from waitline.booking.model import (
    AlreadyPaid,
    AuthenticationNeeded,
    Declined,
    PaymentState,
)

Play = Callable[[Shop], Coroutine[Any, Any, None]]


async def needed(shop: Shop, reservation: int) -> AuthenticationNeeded:
    with pytest.raises(AuthenticationNeeded) as error:
        await shop.pay(reservation, "AUTHENTICATE")
    return error.value


def test_a_confirmed_charge_completes_the_payment(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        action = await needed(shop, reservation)
        assert action.client_secret
        assert action.url
        assert await shop.flags() == ["authentication"]
        # The visitor takes longer than the reservation is held, and the reconciler leaves it alone.
        await shop.sale.sql("UPDATE reservation SET expires_at = now() - interval '1 s'")
        assert await shop.checkout.settle() == 0
        assert await shop.sale.reservations.expire(10) == []
        key = await shop.key()
        await shop.dashboard(key, "authenticate", confirmed=True)
        await shop.hear(key, "CHARGED")
        found = await shop.checkout.fetch_payment(action.payment_id)
        assert found.payment.state is PaymentState.COMPLETED
        assert await shop.flags() == [None]
        assert (await shop.sale.seats())[0] == "O"

    plays(postgres, sandbox, play)


def test_a_confirmation_that_fails_leaves_the_reservation_payable(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await needed(shop, reservation)
        key = await shop.key()
        await shop.dashboard(key, "authenticate", confirmed=False)
        await shop.hear(key, "DECLINED")
        assert await shop.sale.states("payment") == ["FAILED"]
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED

    plays(postgres, sandbox, play)


def test_meanwhile_the_reservation_can_be_paid_in_another_way(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await needed(shop, reservation)
        first = await shop.key()
        await needed(shop, reservation)
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        # What was given up is closed: nobody can confirm it any more.
        with pytest.raises(AssertionError):
            await shop.dashboard(first, "authenticate", confirmed=True)

    plays(postgres, sandbox, play)


def test_a_charge_that_was_confirmed_meanwhile_is_the_payment(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await needed(shop, reservation)
        # Its webhook has not come yet.
        await shop.dashboard(await shop.key(), "authenticate", confirmed=True)
        with pytest.raises(AlreadyPaid):
            await shop.pay(reservation)
        assert await shop.sale.states("payment") == ["COMPLETED"]

    plays(postgres, sandbox, play)


def test_a_charge_that_nobody_confirms_is_closed(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await needed(shop, await shop.hold(1))
        await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
        assert await shop.checkout.settle() == 1
        assert await shop.sale.states("payment") == ["FAILED"]
        assert (await shop.charge(await shop.key()))["state"] == "CLOSED"

    plays(postgres, sandbox, play)


@pytest.mark.parametrize("method", ["OTHER_AMOUNT", "OTHER_CURRENCY"])
def test_another_charge_than_was_asked_for_goes_back(
    postgres: TestDatabase, sandbox: SandboxProcess, method: str
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        with pytest.raises(Declined):
            await shop.pay(reservation, method)
        assert await shop.sale.states("payment") == ["REFUNDING"]
        assert await shop.flags() == ["charged_otherwise"]
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        await shop.settled()
        rows = await shop.sale.sql("SELECT state, refunded FROM payment ORDER BY created_at")
        more = 1 if method == "OTHER_AMOUNT" else 0
        assert tuple(rows[0].values()) == ("REFUNDED", PRICE + more)

    plays(postgres, sandbox, play)


async def paid(shop: Shop, method: str = "CARD") -> int:
    reservation = await shop.hold(1)
    await shop.pay(reservation, method)
    return reservation


def test_a_whole_refund_of_the_dashboard_puts_the_seats_on_sale(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        await paid(shop)
        key = await shop.key()
        await shop.dashboard(key, "refund", amount=PRICE)
        await shop.letter(key, '"event":"refund"')
        for _ in range(2):
            await shop.hear(key, '"event":"refund"')
            assert await shop.sale.states("payment") == ["REFUNDED"]
            assert await shop.sale.states("reservation") == ["CANCELLED"]
        assert await shop.flags() == ["refunded_elsewhere"]
        assert (await shop.sale.seats())[0] == "A"
        assert await shop.sale.held(7) == 0
        # Out of order: that it was charged is old news.
        await shop.hear(key, '"event":"charge"')
        assert await shop.sale.states("payment") == ["REFUNDED"]

    plays(postgres, sandbox, play)


def test_refunds_in_part_add_up(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        await paid(shop)
        key = await shop.key()
        await shop.dashboard(key, "refund", amount=PRICE // 4)
        await shop.dashboard(key, "refund", amount=PRICE // 4)

        async def both() -> bool:
            return len(shop.letters_about(key, '"event":"refund"')) == 2

        await until_async(both, DEADLINE_S)
        # In either order.
        for letter in shop.letters_about(key, '"event":"refund"')[::-1]:
            await shop.checkout.webhook(*letter)
        assert await shop.sale.states("payment") == ["COMPLETED"]
        assert await shop.flags() == ["refunded_in_part"]
        rows = await shop.sale.sql("SELECT refunded FROM payment")
        assert rows[0]["refunded"] == PRICE // 2
        # Cancelling refunds the rest.
        reservation = (await shop.sale.sql("SELECT reservation_id FROM payment"))[0][0]
        await shop.sale.reservations.cancel(reservation, USER)
        await shop.settled()
        assert (await shop.charge(key))["returned"] == PRICE
        assert await shop.sale.states("payment") == ["REFUNDED"]

    plays(postgres, sandbox, play)


def test_a_refund_may_be_reported_before_the_charge(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        reservation = await shop.hold(1)
        await shop.sale.begin(reservation, USER)
        key = await shop.key()
        await shop.provider.charge(key, WON, "CARD")
        await shop.dashboard(key, "refund", amount=PRICE)
        await shop.hear(key, '"event":"refund"')
        assert await shop.sale.states("payment") == ["REFUNDED"]
        await shop.hear(key, '"event":"charge"')
        assert await shop.sale.states("payment") == ["REFUNDED"]
        assert await shop.sale.states("reservation") == ["PENDING"]
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED

    plays(postgres, sandbox, play)


@pytest.mark.parametrize(
    ("method", "flag"),
    [("REFUND_PENDING", "refund_pending"), ("REFUND_FAIL", "refund_failed")],
)
def test_a_refund_that_is_not_done_stays_open_until_it_is(
    postgres: TestDatabase, sandbox: SandboxProcess, method: str, flag: str
) -> None:
    async def play(shop: Shop) -> None:
        await shop.sale.reservations.cancel(await paid(shop, method), USER)
        for _ in range(2):
            await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
            assert await shop.checkout.settle() == 1
            assert await shop.sale.states("payment") == ["REFUNDING"]
            assert await shop.flags() == [flag]
        found = [one.text for one in await shop.sale.findings()]
        assert [("have failed" in text) for text in found] == [True] * (flag == "refund_failed")
        # An operator makes it in the dashboard.
        key = await shop.key()
        await shop.dashboard(key, "refund", amount=PRICE)
        await shop.hear(key, "REFUNDED")
        assert await shop.sale.states("payment") == ["REFUNDED"]
        assert await shop.flags() == [None]

    plays(postgres, sandbox, play)


@pytest.mark.parametrize(
    ("states", "flag", "state", "seat"),
    [
        (["open"], "disputed", "COMPLETED", "O"),
        (["open", "won"], "dispute_won", "COMPLETED", "O"),
        (["won", "open"], "dispute_won", "COMPLETED", "O"),
        (["open", "lost"], "dispute_lost", "REFUNDED", "A"),
        (["lost", "open"], "dispute_lost", "REFUNDED", "A"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_a_dispute_is_recorded_in_any_order(
    *,
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    states: list[str],
    flag: str,
    state: str,
    seat: str,
) -> None:
    async def play(shop: Shop) -> None:
        await paid(shop)
        key = await shop.key()
        for one in states:
            await shop.dashboard(key, "dispute", state=one)
            await shop.hear(key, f'"dispute":"{one}"')
        assert await shop.flags() == [flag]
        assert await shop.sale.states("payment") == [state]
        assert (await shop.sale.seats())[0] == seat
        assert await shop.sale.findings() == []
        if state == "REFUNDED":
            # The bank has the money: the sandbox's books are those of the shop's account.
            await shop.dashboard(key, "refund", amount=PRICE)

    plays(postgres, sandbox, play)
