"""Idempotency-Key: the same answer to a write that is repeated."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.booking_web.office import Buyer, Show, refused, succeeded
from tests.databases import TestDatabase
from tests.web.stack import ENGLISH, at_once
from waitline.booking import idempotency
from waitline.booking.idempotency import IdempotencyKeys
from waitline.booking.model import (
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    PaymentRunning,
    SeatTaken,
)
from waitline.http.problem_responses import ProblemResponses
from waitline.http.requests import Request
from waitline.http.responses import Answer
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.services.booking.idempotency import Idempotency, digest
from waitline.services.problems import PROBLEMS

KEY = {"Idempotency-Key": "3f1c"}

DONE = Answer(201, (), b'{"done":1}')


def test_a_reservation_is_made_once(buyer: Buyer) -> None:
    seat = buyer.show.seats[0]
    first = buyer.reserve(seat, **KEY)
    again = [buyer.reserve(seat, Connection="close", **KEY) for _ in range(4)]
    assert succeeded(first, 201)["seatId"] == seat
    assert {answer.content for answer in again} == {first.content}
    assert {answer.status_code for answer in again} == {201}
    assert again[0].headers["content-type"] == "application/json"


def test_without_a_key_it_is_another(buyer: Buyer) -> None:
    buyer.reserved(buyer.show.seats[0])
    refused(buyer.reserve(buyer.show.seats[0]), 409, "B003")


def test_another_body_with_the_same_key(buyer: Buyer) -> None:
    first, second = buyer.show.seats[:2]
    succeeded(buyer.reserve(first, **KEY), 201)
    refused(buyer.reserve(second, **KEY), 422, "C001")
    assert buyer.show.states()[second] == "AVAILABLE"


def test_the_same_body_on_another_path(buyer: Buyer) -> None:
    one, other = (buyer.reserved(seat) for seat in buyer.show.seats[:2])
    succeeded(buyer.cancel(one, **KEY))
    refused(buyer.cancel(other, **KEY), 422, "C001")
    succeeded(buyer.cancel(one, **KEY))


def test_a_refusal_is_repeated_too(show: Show) -> None:
    first, second = show.buyers(2)
    reservation = first.reserved(show.seats[0])
    refusal = second.reserve(show.seats[0], **KEY)
    refused(refusal, 409, "B003")
    succeeded(first.cancel(reservation))
    again = second.reserve(show.seats[0], **KEY)
    refused(again, 409, "B003")
    assert again.content == refusal.content
    second.reserved(show.seats[0])


def test_a_key_belongs_to_its_user(show: Show) -> None:
    first, second = show.buyers(2)
    for buyer, seat in zip((first, second), show.seats, strict=False):
        assert succeeded(buyer.reserve(seat, **KEY), 201)["userId"] == buyer.user


def test_what_is_refused_before_the_write_keeps_no_key(buyer: Buyer) -> None:
    seat = buyer.show.seats[0]
    refused(buyer.reserve(seat, **KEY, **{"X-Queue-Token": "wrong"}), 401, "Q003")
    refused(buyer.ask({}, **KEY), 400, "C001")
    succeeded(buyer.reserve(seat, **KEY), 201)


def test_a_payment_is_made_once(buyer: Buyer) -> None:
    reservation = buyer.reserved(buyer.show.seats[0])
    first = buyer.pay(reservation, KEY)
    again = buyer.pay(reservation, KEY)
    assert succeeded(first, 201) == succeeded(again, 201)
    refused(buyer.pay(reservation, KEY, amount=1), 422, "C001")
    refused(buyer.pay(reservation), 409, "C005")


def test_a_declined_payment_stays_declined(buyer: Buyer) -> None:
    reservation = buyer.reserved(buyer.show.seats[0])
    for _ in range(2):
        refused(buyer.pay(reservation, KEY, paymentMethod="DECLINE"), 400, "P001")
    succeeded(buyer.pay(reservation, {"Idempotency-Key": "another"}), 201)


def test_many_at_once(buyer: Buyer) -> None:
    answers = at_once(8, lambda: buyer.reserve(buyer.show.seats[0], **KEY))
    made = {answer.content for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 409, "C005")


@pytest.mark.parametrize("key", ["", "a b", "k" * 201, "키", "a\tb"])
def test_what_is_no_key(buyer: Buyer, key: str) -> None:
    headers = {**buyer.headers, "Idempotency-Key": key.encode()}
    body = {"scheduleId": buyer.show.schedule, "seatId": buyer.show.seats[0]}
    response = buyer.office.client.post(
        "/api/v1/reservations",
        json=body,
        headers=headers,  # type: ignore[arg-type]  # bytes are headers too
    )
    assert "Idempotency-Key" in refused(response, 400, "C001")["detail"]


def test_the_longest_key(buyer: Buyer) -> None:
    succeeded(buyer.reserve(buyer.show.seats[0], **{"Idempotency-Key": "~" * 200}), 201)


def test_the_answer_is_in_the_first_askers_language(buyer: Buyer) -> None:
    first = buyer.reserve(buyer.show.seats[0], **KEY)
    assert buyer.reserve(buyer.show.seats[0], **KEY, **ENGLISH).content == first.content


def request(body: bytes = b"{}", path: str = "/api/v1/reservations") -> Request:
    return Request(path, b"", (), body)


async def done() -> Answer:
    return DONE


def failing(error: Exception) -> Callable[[], Awaitable[Answer]]:
    async def fail() -> Answer:
        raise error

    return fail


@pytest.fixture
def kept(postgres: TestDatabase) -> Idempotency:
    return Idempotency(
        IdempotencyKeys(postgres.database), ProblemResponses(PROBLEMS, SystemClock())
    )


def grow_old(postgres: TestDatabase, seconds: float) -> None:
    postgres.wait(
        postgres.sql(
            "UPDATE idempotency SET created_at = created_at - make_interval(secs => $1)", seconds
        )
    )


def keys(postgres: TestDatabase) -> int:
    return len(postgres.wait(postgres.sql("SELECT 1 FROM idempotency")))


def test_a_key_whose_request_runs(postgres: TestDatabase, kept: Idempotency) -> None:
    async def run() -> None:
        begun, end = asyncio.Event(), asyncio.Event()

        async def write() -> Answer:
            begun.set()
            await end.wait()
            return DONE

        first = asyncio.create_task(kept.once("k", 1, request(), write))
        await begun.wait()
        with pytest.raises(IdempotencyKeyRunning):
            await kept.once("k", 1, request(), done)
        with pytest.raises(IdempotencyKeyReused):
            await kept.once("k", 1, request(b"other"), done)
        end.set()
        assert await first == DONE

    postgres.wait(run())
    assert postgres.wait(kept.once("k", 1, request(), failing(AssertionError()))).body == DONE.body


def test_a_key_whose_request_has_died(postgres: TestDatabase, kept: Idempotency) -> None:
    async def die() -> Answer:
        raise asyncio.CancelledError

    # A process that is killed frees nothing.
    postgres.wait(
        postgres.sql(
            "INSERT INTO idempotency (user_id, idempotency_key, request) VALUES (1, 'k', $1)",
            digest(request()),
        )
    )
    with pytest.raises(IdempotencyKeyRunning):
        postgres.wait(kept.once("k", 1, request(), done))
    grow_old(postgres, idempotency.PATIENCE_S)
    assert postgres.wait(kept.once("k", 1, request(), done)) == DONE


def test_the_late_answer_of_a_request_that_was_given_up(
    postgres: TestDatabase, kept: Idempotency
) -> None:
    async def run() -> None:
        begun, end = asyncio.Event(), asyncio.Event()

        async def write() -> Answer:
            begun.set()
            await end.wait()
            return Answer(201, (), b"late")

        first = asyncio.create_task(kept.once("k", 1, request(), write))
        await begun.wait()
        await postgres.sql("UPDATE idempotency SET created_at = created_at - interval '1 hour'")
        assert await kept.once("k", 1, request(), done) == DONE
        end.set()
        assert (await first).body == b"late"
        assert (await kept.once("k", 1, request(), done)).body == DONE.body

    postgres.wait(run())


@pytest.mark.parametrize(
    "error", [Unavailable("silent"), PaymentRunning(), ZeroDivisionError()], ids=repr
)
def test_what_tells_nothing_of_the_write_frees_the_key(
    postgres: TestDatabase, kept: Idempotency, error: Exception
) -> None:
    with pytest.raises(type(error)):
        postgres.wait(kept.once("k", 1, request(), failing(error)))
    assert keys(postgres) == 0
    assert postgres.wait(kept.once("k", 1, request(b"other"), done)) == DONE


def test_a_cancelled_write_frees_the_key(postgres: TestDatabase, kept: Idempotency) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def write() -> Answer:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        first = asyncio.create_task(kept.once("k", 1, request(), write))
        await begun.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    postgres.wait(run())
    assert keys(postgres) == 0


def test_refusals_are_kept(postgres: TestDatabase, kept: Idempotency) -> None:
    first = postgres.wait(kept.once("k", 1, request(), failing(SeatTaken())))
    again = postgres.wait(kept.once("k", 1, request(), done))
    assert (first.status, again) == (409, first)


def test_answers_are_kept_for_a_day(postgres: TestDatabase, kept: Idempotency) -> None:
    other = Answer(200, (), b"new")

    async def write() -> Answer:
        return other

    postgres.wait(kept.once("k", 1, request(), done))
    grow_old(postgres, idempotency.KEPT_S - 60)
    assert postgres.wait(kept.once("k", 1, request(), write)).body == DONE.body
    grow_old(postgres, 61)
    assert postgres.wait(kept.once("k", 1, request(b"other"), write)) == other


def test_of_many_at_once_one_goes_on(postgres: TestDatabase, kept: Idempotency) -> None:
    written = threading.Semaphore(1)

    async def write() -> Answer:
        assert written.acquire(blocking=False)
        return DONE

    async def run() -> list[Answer | BaseException]:
        calls = (kept.once("k", 1, request(), write) for _ in range(20))
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = postgres.wait(run())
    assert sum(isinstance(answer, Answer) for answer in answers) >= 1
    for answer in answers:
        assert isinstance(answer, Answer | IdempotencyKeyRunning), answer


def test_old_keys_are_deleted_in_chunks(
    postgres: TestDatabase, kept: Idempotency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "CHUNK_MAX", 3)
    for n in range(8):
        postgres.wait(kept.once(f"k{n}", 1, request(), done))
    grow_old(postgres, idempotency.KEPT_S)
    postgres.wait(kept.once("young", 1, request(), done))

    async def run() -> None:
        task = asyncio.create_task(IdempotencyKeys(postgres.database).run())
        async with asyncio.timeout(20):
            while len(await postgres.sql("SELECT 1 FROM idempotency")) > 1:
                await asyncio.wait([task], timeout=0.01)
        task.cancel()

    postgres.wait(run())
    assert keys(postgres) == 1
