"""Idempotency keys: what a write did and its key commit together, whichever reply is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.booking.desk import ANN, STRANGER, Desk, Key, plays, request
from tests.booking.sale import at_once
from tests.databases import TestDatabase
from waitline.booking import idempotency, idempotency_key
from waitline.booking.idempotency_key import (
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    TooManyKeys,
)
from waitline.booking.model import NEVER_CHARGED, PaymentRunning, SeatTaken
from waitline.http.responses import Answer
from waitline.kernel.errors import Unavailable
from waitline.services.booking.idempotency import key_of


@pytest.fixture
def desk(postgres: TestDatabase) -> Desk:
    return Desk(postgres)


async def nothing(_: Desk) -> None:
    """Nothing comes before."""


async def reserved(desk: Desk) -> None:
    await desk.reservations.reserve(1, [1], ANN)


async def paid_for(desk: Desk) -> None:
    await reserved(desk)
    await desk.pay(key="earlier")


LOST = [
    pytest.param(nothing, "reserve", Desk.reserve, (1,), id="reserve"),
    pytest.param(nothing, "find_key", Desk.reserve, (1,), id="look-up of the key"),
    pytest.param(reserved, "cancel", Desk.cancel, (), id="cancel"),
    pytest.param(paid_for, "cancel", Desk.cancel, (), id="cancel what is paid for"),
    pytest.param(reserved, "confirm_payment", Desk.pay, (), id="confirm a payment"),
    pytest.param(reserved, "keep_answer", Desk.reserve, (1,), id="refuse"),
]


@pytest.mark.parametrize(("before", "lost", "call", "words"), LOST)
def test_a_lost_reply_does_nothing_twice(
    desk: Desk,
    before: Callable[[Desk], Awaitable[None]],
    lost: str,
    call: Callable[..., Awaitable[Answer]],
    words: tuple[int, ...],
) -> None:
    async def play() -> None:
        await before(desk)
        desk.database.lost = lost
        with pytest.raises(Unavailable):
            await call(desk, *words)
        assert desk.database.lost == ""
        done = [await desk.rows(table) for table in ("reservation", "payment", "outbox")]
        first = await call(desk, *words)
        assert first == await call(desk, *words)
        assert first.status == (409 if lost == "keep_answer" else first.status)
        if lost != "find_key":
            assert done == [await desk.rows(one) for one in ("reservation", "payment", "outbox")]
        assert await desk.rows("reservation") == 1
        assert len(desk.till.charged) <= 1

    plays(desk, play)


@pytest.mark.parametrize("reason", NEVER_CHARGED)
def test_a_repeat_goes_on_where_nothing_was_charged(desk: Desk, reason: str) -> None:
    async def play() -> None:
        await reserved(desk)
        desk.database.lost = "begin_payment"
        with pytest.raises(Unavailable):
            await desk.pay()
        with pytest.raises(IdempotencyKeyRunning):
            await desk.pay()
        # The provider was never asked; the reconciler ends such an attempt.
        ((key,),) = await desk.sale.sql("SELECT charge_key FROM payment")
        await desk.database.fetch_one("fail_payment", charge_key=key, reason=reason, who="webhook")
        first = await desk.pay()
        assert first.status == 201
        assert await desk.pay() == first
        assert len(desk.till.charged) == 1
        # If it was charged after all, that is refunded, and the answer stays.
        await desk.sale.confirm(key)
        assert await desk.sale.states("payment") == ["REFUNDING", "COMPLETED"]
        assert await desk.pay() == first

    plays(desk, play)


def test_an_attempt_that_was_declined_meanwhile_is_answered_so(desk: Desk) -> None:
    async def play() -> None:
        await reserved(desk)
        desk.database.lost = "begin_payment"
        with pytest.raises(Unavailable):
            await desk.pay()
        with pytest.raises(IdempotencyKeyRunning):
            await desk.pay()
        ((key,),) = await desk.sale.sql("SELECT charge_key FROM payment")
        await desk.database.fetch_one(
            "fail_payment", charge_key=key, reason="declined", who="webhook"
        )
        first = await desk.pay()
        assert first.status == 400
        assert await desk.pay() == first
        assert desk.till.charged == set()
        assert (await desk.pay(key="another")).status == 201

    plays(desk, play)


def test_a_repeat_returns_what_the_reconciler_found(desk: Desk) -> None:
    async def play() -> None:
        await reserved(desk)
        desk.database.lost = "confirm_payment"
        desk.till.silent = True
        with pytest.raises(Unavailable):
            await desk.pay()
        with pytest.raises(IdempotencyKeyRunning):
            await desk.pay()
        ((key,),) = await desk.sale.sql("SELECT charge_key FROM payment")
        desk.till.charged.add(key)
        desk.database.lost = ""
        await desk.sale.sql("UPDATE payment SET look_at = now()")
        await desk.checkout.settle()
        first = await desk.pay()
        assert first.status == 201
        # The first answer stays, whatever becomes of the payment.
        await desk.cancel()
        assert await desk.pay() == first
        assert len(desk.till.charged) == await desk.rows("payment") == 1

    plays(desk, play)


@pytest.mark.parametrize("lost_to", ["CANCELLED", "EXPIRED"])
def test_a_charge_that_came_too_late_stays_refused(desk: Desk, lost_to: str) -> None:
    async def play() -> None:
        await reserved(desk)
        desk.till.silent = True
        with pytest.raises(Unavailable):
            await desk.pay()
        await desk.sale.lapse(1)
        await desk.reservations.expire(1)
        await desk.sale.sql("UPDATE reservation SET state = $1", lost_to)
        ((key,),) = await desk.sale.sql("SELECT charge_key FROM payment")
        await desk.sale.confirm(key)
        first = await desk.pay()
        assert first.status == (400 if lost_to == "CANCELLED" else 409)
        assert await desk.pay() == first

    plays(desk, play)


def test_a_declined_payment_is_answered_as_at_first(desk: Desk) -> None:
    async def play() -> None:
        await reserved(desk)
        desk.till.declines = True
        first = await desk.pay()
        desk.till.declines = False
        assert (first.status, await desk.pay()) == (400, first)
        assert (await desk.pay(key="another")).status == 201

    plays(desk, play)


def test_repeats_are_the_same_bytes_in_the_first_language(desk: Desk) -> None:
    async def play() -> None:
        first = await desk.reserve(1, 2, language=b"en")
        assert await desk.reserve(1, 2, language=b"ko") == first
        assert first.body.isascii()
        refused = await desk.reserve(1, key="r", language=b"en")
        assert refused.status == 409
        await desk.cancel(1)
        assert await desk.reserve(1, key="r") == refused

    plays(desk, play)


def test_a_repeat_shows_the_first_expiry_whatever_the_listening_clock_did(desk: Desk) -> None:
    async def play() -> None:
        first = await desk.reserve(1)
        await desk.sale.sql(
            "INSERT INTO listening (beat_at, lost_s) VALUES (now() - interval '1 hour', 3)"
        )
        assert await desk.reserve(1) == first
        await desk.sale.sql("DELETE FROM listening")

    plays(desk, play)


def test_a_key_belongs_to_its_holder(desk: Desk) -> None:
    """Who enters under the same number later neither sees the answer nor is in its way."""

    async def play() -> None:
        first = await desk.reserve(1)
        other = await desk.reserve(2, who=STRANGER)
        assert {first.status, other.status} == {201}
        assert first.body != other.body
        assert await desk.reserve(1) == first

    plays(desk, play)


def test_a_key_of_another_request(desk: Desk) -> None:
    async def play() -> None:
        await desk.reserve(1)
        with pytest.raises(IdempotencyKeyReused):
            await desk.reserve(2)
        with pytest.raises(IdempotencyKeyReused):
            await desk.cancel(key="k")

    plays(desk, play)


def test_a_key_whose_request_runs(desk: Desk) -> None:
    locked = "(hashtextextended(jsonb_build_array('7', '1-1', 'k')::text, 0))"

    async def play() -> None:
        await reserved(desk)
        other = await asyncpg.connect(desk.postgres.url)
        try:
            await other.execute(f"SELECT pg_advisory_lock{locked}")
            for call in (desk.reserve(2), desk.pay(key="k"), desk.cancel(key="k")):
                with pytest.raises(IdempotencyKeyRunning):
                    await call
        finally:
            await other.close()
        assert await desk.rows("idempotency") == await desk.rows("payment") == 0
        assert (await desk.reserve(2)).status == 201

    plays(desk, play)


def test_of_many_at_once_one_reserves(desk: Desk) -> None:
    async def play() -> None:
        desks = [Desk(desk.postgres) for _ in range(4)]
        calls = [lambda d=d: d.reserve(1) for d in desks for _ in range(8)]
        outcomes = await at_once(calls, width=32)
        bodies = {one.body for one in outcomes if isinstance(one, Answer)}
        others = {type(one) for one in outcomes if not isinstance(one, Answer)}
        assert len(bodies) == 1
        assert others <= {IdempotencyKeyRunning}
        assert await desk.rows("reservation") == 1
        for each in desks:
            await each.database.close()

    plays(desk, play)


@pytest.mark.parametrize(
    "error", [Unavailable("silent"), PaymentRunning(), ZeroDivisionError()], ids=repr
)
def test_what_says_nothing_of_the_write_keeps_no_key(desk: Desk, error: Exception) -> None:
    async def fail(_: Key) -> Answer:
        raise error

    async def play() -> None:
        asked = request("k", "reserve (1,)")
        with pytest.raises(type(error)):
            await desk.idempotency.once(key_of(asked), ANN, asked, fail)
        assert await desk.rows("idempotency") == 0
        assert (await desk.reserve(1)).status == 201

    plays(desk, play)


def test_a_repeat_is_answered_also_when_the_turn_is_over(desk: Desk) -> None:
    async def over() -> None:
        raise SeatTaken

    async def play() -> None:
        first = await desk.reserve(1)

        async def write(_: Key) -> Answer:
            raise AssertionError

        asked = request("k", "reserve (1,)")
        assert await desk.idempotency.once(key_of(asked), ANN, asked, write, over) == first
        # A refusal of admission is nobody's answer.
        asked = request("other", "reserve (1,)")
        with pytest.raises(SeatTaken):
            await desk.idempotency.once(key_of(asked), ANN, asked, write, over)
        assert await desk.rows("idempotency") == 1

    plays(desk, play)


def test_answers_are_kept_for_a_day(desk: Desk) -> None:
    async def play() -> None:
        first = await desk.reserve(1)
        await desk.age(idempotency.KEPT_S - 60)
        assert await desk.reserve(1) == first
        await desk.age(61)
        assert (await desk.reserve(2)).status == 201

    plays(desk, play)


def test_keys_of_one_holder_are_limited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (idempotency, idempotency_key):
        monkeypatch.setattr(module, "KEYS_MAX", 3)

    async def play() -> None:
        first = await desk.reserve(1, key="k0")
        for number in range(1, 3):
            await desk.reserve(1, key=f"k{number}")
        with pytest.raises(TooManyKeys):
            await desk.reserve(2, key="k3")
        assert await desk.reserve(1, key="k0") == first
        assert (await desk.reserve(2, who=STRANGER, key="k3")).status == 201
        await desk.age(idempotency.KEPT_S)
        assert (await desk.reserve(3, key="k0")).status == 201

    plays(desk, play)


def test_the_statements_limit_keys_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up is some time ago when a statement runs."""
    monkeypatch.setattr(idempotency_key, "KEYS_MAX", 0)
    monkeypatch.setattr("waitline.booking.store.KEYS_MAX", 0)

    async def play() -> None:
        await reserved(desk)
        for call in (desk.reserve(2), desk.cancel(), desk.pay()):
            with pytest.raises(TooManyKeys):
                await call
        assert await desk.sale.seats() == "R" + "A" * 9

    plays(desk, play)


def test_old_keys_are_deleted_in_chunks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "CHUNK_MAX", 3)

    async def play() -> None:
        for number in range(8):
            await desk.reserve(1, key=f"k{number}")
        await desk.age(idempotency.KEPT_S)
        await desk.reserve(2, key="young")
        task = asyncio.create_task(desk.keys.run())
        async with asyncio.timeout(20):
            while await desk.rows("idempotency") > 1:
                await asyncio.wait([task], timeout=0.01)
        task.cancel()
        assert await desk.rows("idempotency") == 1

    plays(desk, play)
