"""The writes of one worker, with their idempotency keys, and a database that loses replies."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from typing_extensions import override

from tests.booking.sale import PRICE, Sale, person
from tests.databases import Patient, TestDatabase
from waitline.booking.buyer import Buyer
from waitline.booking.checkout import Checkout
from waitline.booking.idempotency import IdempotencyKeys
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.booking.model import ReservationState
from waitline.booking.store import Reservations
from waitline.http.problem_responses import ProblemResponses
from waitline.http.requests import Request
from waitline.http.responses import Answer
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import Charged, Money, NotCharged, Refund, RefundState
from waitline.services.booking import answers
from waitline.services.booking.idempotency import Idempotency, key_of
from waitline.services.problems import PROBLEMS

ANN, STRANGER = person(7, "1-1"), person(7, "2-2")

Key = IdempotencyKey | None


class LossyDatabase(Patient):
    """A database whose reply to one statement is lost, once, after it was committed."""

    lost = ""

    @override
    async def _run(self, statement: str, values: Mapping[str, object], within_s: float) -> Any:
        answer = await super()._run(statement, values, within_s)
        if statement == self.lost:
            self.lost = ""
            raise Unavailable("the reply is lost")
        return answer


class Till:
    """A provider that charges once per key, as the real ones do."""

    def __init__(self) -> None:
        self.charged: set[UUID] = set()
        self.declines = False
        self.silent = False

    async def charge(self, key: UUID, _price: Money, _method: str) -> Charged | NotCharged:
        if self.silent:
            raise Unavailable("silent")
        if self.declines:
            return NotCharged("declined")
        self.charged.add(key)
        return Charged(str(key))

    async def fetch_outcome(self, key: UUID, _price: Money) -> Charged | None:
        return Charged(str(key)) if key in self.charged else None

    async def refund(self, key: UUID, _provider_ref: str, _whole: Money) -> Refund:
        assert key in self.charged
        return Refund(RefundState.DONE)

    def parse_webhook(self, _headers: Mapping[str, str], _body: bytes) -> None:
        """Send no webhooks."""

    async def close(self) -> None:
        """Hold no connections."""


class Desk:
    """The writes of one worker, as its calls make them."""

    def __init__(self, postgres: TestDatabase) -> None:
        self.postgres = postgres
        self.sale = Sale(postgres)
        self.database = LossyDatabase(postgres.url, "waitline.booking")
        self.till = Till()
        self.reservations = Reservations(self.database, 300.0)
        self.checkout = Checkout(self.database, self.till, at_price=True)  # type: ignore[arg-type]
        self.keys = IdempotencyKeys(self.database)
        self.idempotency = Idempotency(
            self.keys, ProblemResponses(PROBLEMS, SystemClock()), self.checkout.pay_again
        )

    async def reserve(
        self, *seats: int, key: str = "k", who: Buyer = ANN, language: bytes = b"ko"
    ) -> Answer:
        async def write(given: Key) -> Answer:
            made = await self.reservations.reserve(1, seats, who, given)
            return answers.reserved(asked.language, made)

        asked = request(key, f"reserve {seats}", language)
        return await self.idempotency.once(key_of(asked), who, asked, write)

    async def cancel(self, reservation: int = 1, key: str = "c", who: Buyer = ANN) -> Answer:
        async def write(given: Key) -> Answer:
            before = await self.reservations.cancel(reservation, who, given)
            refund = before is ReservationState.CONFIRMED
            return answers.cancelled("ko", reservation, who.user_id, refund=refund)

        asked = request(key, f"cancel {reservation}")
        return await self.idempotency.once(key_of(asked), who, asked, write)

    async def pay(self, reservation: int = 1, key: str = "p", who: Buyer = ANN) -> Answer:
        async def write(given: Key) -> Answer:
            paid = await self.checkout.pay(reservation, who, PRICE, "CARD", given)
            return answers.paid("ko", paid)

        asked = request(key, f"pay {reservation}")
        return await self.idempotency.once(key_of(asked), who, asked, write)

    async def rows(self, table: str) -> int:
        return len(await self.sale.sql(f"SELECT FROM {table}"))

    async def age(self, seconds: float) -> None:
        await self.sale.sql(
            "UPDATE idempotency SET created_at = created_at - make_interval(secs => $1)", seconds
        )


def request(key: str, body: str, language: bytes = b"ko") -> Request:
    headers = ((b"idempotency-key", key.encode()), (b"accept-language", language))
    return Request("/", b"", headers, body.encode())


def plays(desk: Desk, play: Callable[[], Awaitable[None]]) -> None:
    """Run a play at a desk; nothing contradicts itself afterwards."""

    async def whole() -> None:
        await desk.sale.open()
        try:
            await play()
        finally:
            await desk.database.close()
        assert await desk.sale.findings() == []

    desk.postgres.wait(whole())
