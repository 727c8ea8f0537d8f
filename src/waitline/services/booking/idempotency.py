"""Idempotency keys over HTTP: a repeated write gets the first answer.

The key is looked up before the write, which records it (`booking/idempotency_key.py`). A success is
encoded again from what was recorded, byte for byte. Transient refusals are not recorded: another
request of the same visitor is in progress, others took the seats, or a cool-down. Nor is one with
the provider's secret: the provider is asked for it again.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b

from waitline.booking.buyer import Buyer
from waitline.booking.cooldown import CoolingDown
from waitline.booking.idempotency import (
    Cancelled,
    Earlier,
    IdempotencyKeys,
    Paid,
    PaymentBegun,
    PaymentWaiting,
    Reserved,
    StoredAnswer,
)
from waitline.booking.idempotency_key import (
    KEY_CHARS_MAX,
    IdempotencyKey,
    IdempotencyKeyRunning,
    TooManyKeys,
)
from waitline.booking.model import (
    AuthenticationNeeded,
    Payment,
    PaymentRunning,
    SeatsContested,
)
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.http.responses import JSON, PROBLEM, Answer
from waitline.http.texts import Text
from waitline.kernel.errors import Refused
from waitline.services.booking import answers

KEY_FORM = Text(
    f"공백 없는 ASCII 문자 1~{KEY_CHARS_MAX}자여야 합니다.",
    f"must be 1 to {KEY_CHARS_MAX} ASCII characters without spaces",
)

_UNRECORDED = (
    AuthenticationNeeded,
    PaymentRunning,
    SeatsContested,
    TooManyKeys,
    IdempotencyKeyRunning,
    CoolingDown,
)

Write = Callable[[IdempotencyKey | None], Awaitable[Answer]]
Admit = Callable[[], Awaitable[None]]
PayAgain = Callable[[PaymentWaiting], Awaitable[Payment]]


async def _always() -> None:
    """Admit the buyer."""


class Idempotency:
    """Runs each write once per key.

    Args:
        keys: The recorded keys.
        problems: Answers for writes that are refused.
        pay_again: Repeats the answer of a payment that waits for the visitor's bank.
    """

    def __init__(
        self, keys: IdempotencyKeys, problems: ProblemResponses, pay_again: PayAgain
    ) -> None:
        self._keys = keys
        self._problems = problems
        self._pay_again = pay_again

    async def once(
        self,
        key: IdempotencyKey | None,
        buyer: Buyer,
        request: Request,
        write: Write,
        admit: Admit = _always,
    ) -> Answer:
        """Return the answer of `write`, or the answer to the first request with the key.

        Args:
            key: As `key_of` returns it; `None` makes every request a new one.
            buyer: Who chose the key.
            request: The request.
            write: Performs the write, and records the key with its effect.
            admit: Checks that the buyer may write now. A repeat is answered without this check: the
                answer belongs to the buyer, even after the stay.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            IdempotencyKeyRunning: The first request with the key is still running.
            TooManyKeys: The buyer has used as many keys as allowed.
        """
        if key is None:
            await admit()
            return await write(None)
        try:
            return await self._attempt(key, buyer, request, write, admit)
        except IdempotencyKeyRunning:
            # If another request recorded the key since the look-up, its answer is there now.
            return await self._attempt(key, buyer, request, write, admit)

    async def _attempt(
        self, key: IdempotencyKey, buyer: Buyer, request: Request, write: Write, admit: Admit
    ) -> Answer:
        earlier = await self._keys.find(key, buyer)
        if earlier is not None:
            return await self._repeat(earlier, key, buyer, request)
        await admit()
        try:
            return await write(key)
        except _UNRECORDED:
            raise
        except Refused as refusal:
            return await self._refuse(refusal, key, buyer, request)

    async def _repeat(
        self, earlier: Earlier, key: IdempotencyKey, buyer: Buyer, request: Request
    ) -> Answer:
        match earlier:
            case StoredAnswer(status, body):
                return Answer(status, JSON if status < 400 else PROBLEM, body)  # noqa: PLR2004 - successes, refusals
            case Reserved(reservation, language):
                return answers.reserved(language, reservation)
            case Cancelled(reservation_id, refund, language):
                return answers.cancelled(language, reservation_id, buyer.user_id, refund=refund)
            case Paid(payment, language):
                return answers.paid(language, payment)
            case PaymentBegun() | PaymentWaiting() as begun:
                return await self._go_on(begun, key, buyer, request)

    async def _go_on(
        self,
        begun: PaymentBegun | PaymentWaiting,
        key: IdempotencyKey,
        buyer: Buyer,
        request: Request,
    ) -> Answer:
        """Answer for a payment that the first request has not confirmed."""
        if isinstance(begun, PaymentWaiting):
            try:
                return answers.paid(begun.language, await self._pay_again(begun))
            except AuthenticationNeeded:
                raise
            except Refused as refusal:
                return await self._refuse(refusal, key, buyer, request)
        if begun.refusal is None:
            raise IdempotencyKeyRunning
        return await self._refuse(begun.refusal, key, buyer, request)

    async def _refuse(
        self, refusal: Refused, key: IdempotencyKey, buyer: Buyer, request: Request
    ) -> Answer:
        """Store the answer of a refusal, then return it: repeats get it for 24 h."""
        answer = self._problems.answer(refusal, request)
        stored = StoredAnswer(answer.status, answer.body)
        if await self._keys.store_answer(key, buyer, stored):
            return answer
        # Another request with the key was answered meanwhile; that answer counts.
        earlier = await self._keys.find(key, buyer)
        if earlier is None or isinstance(earlier, PaymentBegun | PaymentWaiting):
            raise IdempotencyKeyRunning
        return await self._repeat(earlier, key, buyer, request)


def key_of(request: Request) -> IdempotencyKey | None:
    """Return the request's idempotency key, or `None`.

    Raises:
        InputInvalid: It is blank, too long, or not printable ASCII without spaces.
    """
    given = request.headers.get(b"idempotency-key")
    if given is None:
        return None
    key = given.decode("latin-1")
    if not 1 <= len(key) <= KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise InputInvalid("Idempotency-Key", KEY_FORM)
    if " " in key:
        raise InputInvalid("Idempotency-Key", KEY_FORM)
    return IdempotencyKey(key, digest(request), request.language)


def digest(request: Request) -> bytes:
    """Return 32 bytes that identify a request: a hash of path and body.

    No path takes two methods that write, so the method adds nothing.
    """
    hashed = blake2b(request.path.encode(), digest_size=32)
    # A path has no NUL, so the two parts cannot be confused.
    hashed.update(b"\0" + request.body)
    return hashed.digest()
