"""Idempotency keys over HTTP: a repeated write gets the first answer.

One statement claims the key before the write, and one stores the answer after it. Requests without
a key need neither. Transient failures are not stored, and the key is released: the service is
unavailable, or another request of the same visitor is under way.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b

import structlog

from waitline.booking.idempotency import KEY_CHARS_MAX, IdempotencyKeys, StoredAnswer
from waitline.booking.model import PaymentRunning, SeatsContested
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.http.responses import JSON, PROBLEM, Answer
from waitline.http.texts import Text
from waitline.kernel.errors import Refused, Unavailable

KEY_FORM = Text(
    f"공백 없는 ASCII 문자 1~{KEY_CHARS_MAX}자여야 합니다.",
    f"must be 1 to {KEY_CHARS_MAX} ASCII characters without blanks",
)

_TRANSIENT = (PaymentRunning, SeatsContested)

log = structlog.get_logger()


class Idempotency:
    """Runs each write once per key.

    Args:
        keys: Claims and answers.
        problems: Answers for writes that are refused.
    """

    def __init__(self, keys: IdempotencyKeys, problems: ProblemResponses) -> None:
        self._keys = keys
        self._problems = problems

    async def once(
        self,
        key: str | None,
        user: int,
        request: Request,
        write: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Return the answer of `write`, or the stored answer of the same request.

        Args:
            key: As `key_of` returns it; `None` makes every request a new one.
            user: The user who chose the key.
            request: Identified by its path and body.
            write: Called at most once.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            IdempotencyKeyRunning: The first request with the key is still running.
        """
        if key is None:
            return await write()
        claim = await self._keys.claim(key, user, digest(request))
        if isinstance(claim, StoredAnswer):
            headers = JSON if claim.status < 400 else PROBLEM  # noqa: PLR2004 - successes, refusals
            return Answer(claim.status, headers, claim.body)
        try:
            answer = await write()
        except _TRANSIENT:
            await self._release(key, user, claim)
            raise
        except Refused as refusal:
            answer = self._problems.answer(refusal, request)
        except BaseException:
            await self._release(key, user, claim)
            raise
        await self._store(key, user, claim, answer)
        return answer

    async def _store(self, key: str, user: int, claimed_at: datetime, answer: Answer) -> None:
        try:
            stored = StoredAnswer(answer.status, answer.body)
            await self._keys.store_answer(key, user, claimed_at, stored)
        except Unavailable as error:
            # The write is done, so its answer is sent.
            log.warning("idempotency_answer_lost", reason=str(error))

    async def _release(self, key: str, user: int, claimed_at: datetime) -> None:
        # If this fails, the key is free when its lease ends.
        with suppress(Unavailable):
            await self._keys.release(key, user, claimed_at)


def key_of(request: Request) -> str | None:
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
    return key


def digest(request: Request) -> bytes:
    """Return 32 bytes that identify a request: a hash of path and body.

    No path takes two methods that write, so the method adds nothing.
    """
    hashed = blake2b(request.path.encode(), digest_size=32)
    # A path has no NUL, so the two parts cannot be confused.
    hashed.update(b"\0" + request.body)
    return hashed.digest()
