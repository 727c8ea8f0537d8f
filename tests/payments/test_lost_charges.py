"""Charges that never reached the provider: by each kind of failure, the seat is free again soon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from typing_extensions import override

from tests.booking.sale import PRICE
from tests.databases import TestDatabase
from tests.payments import stripe_api
from tests.payments.shop import KEY, SECRET, USER, WON, SandboxProcess, Shop, plays
from waitline.booking import settlement
from waitline.booking.checkout import PATIENCE_S, Checkout
from waitline.booking.model import PaymentRunning, PaymentState
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import Charged, Money, NotCharged, NotSent, Unseen
from waitline.payment_providers.port import CALL_TIMEOUT_S
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.payment_providers.stripe import Stripe
from waitline.trial.machine import free_port

MINUTE_S = 60.0


def refused() -> str:
    return f"http://127.0.0.1:{free_port()}"


NEVER_SENT: dict[str, Callable[[str], str]] = {
    "connection refused": lambda _url: refused(),
    "unknown host": lambda _url: "http://name.invalid",
    "no TLS there": lambda url: url.replace("http:", "https:"),
}


@pytest.mark.parametrize("name", NEVER_SENT)
def test_what_was_certainly_not_sent_fails_at_once(
    postgres: TestDatabase, sandbox: SandboxProcess, name: str
) -> None:
    async def play(shop: Shop) -> None:
        provider = Sandbox(KEY, SECRET, url=NEVER_SENT[name](sandbox.url))
        lost = Checkout(shop.sale.database, provider, at_price=True)
        reservation = await shop.hold(1)
        with pytest.raises(NotSent):
            await lost.pay(reservation, USER, PRICE, "CARD")
        await provider.close()
        assert await shop.sale.states("payment") == ["FAILED"]
        # It can be paid at once, or given up.
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        other = await shop.hold(2)
        with pytest.raises(NotSent):
            await lost.pay(other, USER, PRICE, "CARD")
        await provider.close()
        await shop.sale.reservations.cancel(other, USER)
        assert (await shop.sale.seats())[1] == "A"

    plays(postgres, sandbox, play)


def test_a_key_that_is_turned_away_fails_at_once(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        provider = Sandbox("another-key", SECRET, url=sandbox.url)
        lost = Checkout(shop.sale.database, provider, at_price=True)
        with pytest.raises(NotSent):
            await lost.pay(await shop.hold(1), USER, PRICE, "CARD")
        await provider.close()
        assert await shop.sale.states("payment") == ["FAILED"]

    plays(postgres, sandbox, play)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request, and close without an answer."""
    await reader.read(65_536)
    writer.close()


async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer, and close."""
    await reader.read(65_536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()


async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65_536)
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request, and never answer."""
    await reader.read(-1)
    writer.close()


@pytest.mark.parametrize("handle", [hang_up, torn, broken, silent])
def test_a_charge_that_may_have_arrived_is_open_until_queried(
    postgres: TestDatabase, sandbox: SandboxProcess, handle: Handler
) -> None:
    async def play(shop: Shop) -> None:
        async with listening(handle) as url:
            provider = Sandbox(KEY, SECRET, url=url, timeout_s=0.3)
            lost = Checkout(shop.sale.database, provider, at_price=True)
            reservation = await shop.hold(1)
            with pytest.raises(Unavailable) as error:
                await lost.pay(reservation, USER, PRICE, "CARD")
            assert not isinstance(error.value, NotSent)
            await provider.close()
        assert await shop.sale.states("payment") == ["PENDING"]
        with pytest.raises(PaymentRunning):
            await shop.pay(reservation)
        await shop.settled()
        assert await shop.sale.states("payment") == ["FAILED"]
        # The key is closed: were the request to arrive now, nothing would be charged.
        assert isinstance(await shop.provider.charge(await shop.key(), WON, "CARD"), NotCharged)
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED

    plays(postgres, sandbox, play)


def test_with_stripe_the_key_is_used_up(postgres: TestDatabase, sandbox: SandboxProcess) -> None:
    async def play(shop: Shop) -> None:
        async with stripe_api.serving() as api:
            provider = Stripe(stripe_api.KEY, stripe_api.SECRET, url=api.url)
            checkout = Checkout(shop.sale.database, provider, at_price=True)
            reservation = await shop.hold(1)
            await shop.sale.begin(reservation, USER)
            await shop.sale.sql("UPDATE payment SET look_at = listening_now()")
            assert await checkout.settle() == 1
            assert await shop.sale.states("payment") == ["FAILED"]
            with pytest.raises(Unavailable):
                await provider.charge(await shop.key(), WON, "pm_card")
            assert all(one["amount_received"] == 0 for one in api.intents.values())
            await provider.close()

    plays(postgres, sandbox, play)


class Forgetful(Sandbox):
    """A provider that cannot close a key that it does not know."""

    @override
    async def fetch_outcome(self, key: UUID, price: Money) -> Charged | NotCharged | Unseen | None:
        return Unseen()


def test_an_unseen_charge_fails_after_a_minute_and_is_refunded_if_it_turns_up(
    postgres: TestDatabase, sandbox: SandboxProcess
) -> None:
    async def play(shop: Shop) -> None:
        provider = Forgetful(KEY, SECRET, url=sandbox.url)
        forgetful = Checkout(shop.sale.database, provider, at_price=True)
        reservation = await shop.hold(1)
        await shop.sale.begin(reservation, USER)
        key = await shop.key()
        for age_s, state in ((settlement.UNSEEN_S - 5, "PENDING"), (MINUTE_S + 5, "FAILED")):
            await shop.sale.sql(
                "UPDATE payment SET look_at = listening_now(), "
                "created_at = now() - $1::float8 * interval '1 s'",
                age_s,
            )
            assert await forgetful.settle() == 1
            assert await shop.sale.states("payment") == [state]
        assert (await shop.pay(reservation)).state is PaymentState.COMPLETED
        # It arrives after all.
        await shop.provider.charge(key, WON, "CARD")
        await shop.checkout.webhook(*await shop.letter(key))
        assert await shop.sale.states("payment") == ["REFUNDING", "COMPLETED"]
        await provider.close()

    plays(postgres, sandbox, play)


def test_all_of_it_takes_a_minute_or_so() -> None:
    # The first look comes once the call is certainly over; the last one before an unseen charge
    # fails is at most a pause later.
    assert CALL_TIMEOUT_S < PATIENCE_S <= MINUTE_S / 4
    assert settlement.UNSEEN_S + settlement.OPEN_PAUSE_MAX_S <= 1.5 * MINUTE_S
    # Longer than a call: a request is never still being sent when its attempt fails.
    assert settlement.UNSEEN_S > 2 * CALL_TIMEOUT_S
