"""The same answer to a write that is repeated with the same Idempotency-Key.

One statement claims the key before the write, and one keeps the answer after it; without a key
there is neither. A key belongs to its user: two users may choose the same.

Not kept are answers that tell nothing of the write: that the service is unavailable, that
something of the same visitor is under way. Such a key is free again, and the next request goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from typing import Never

import structlog

from waitline.booking.model import (
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    PaymentRunning,
    SeatsContested,
)
from waitline.http.problem_responses import ProblemResponses
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.http.responses import JSON, PROBLEM, Answer
from waitline.http.texts import Text
from waitline.kernel.errors import Refused, Unavailable
from waitline.postgres.pool import Database

KEY_CHARS_MAX = 200
"""Of a key. Source: migrations/0001_box_office.sql."""

KEPT_S = 86_400.0
"""How long an answer is kept. Source: the wire contract."""

PATIENCE_S = 60.0
"""How long a key waits for its first request's answer: longer than any write takes, the payment
provider's time and the database's included. Then its process must have died, and it is free."""

FORGET_EVERY_S = 60.0
CHUNK_MAX = 1_000
"""Between two looks for keys that are old, and how many are deleted at once: a few milliseconds'
work, so that nobody who claims one waits for it."""

KEY_FORM = Text(
    f"공백 없는 ASCII 문자 1~{KEY_CHARS_MAX}자여야 합니다.",
    f"must be 1 to {KEY_CHARS_MAX} ASCII characters without blanks",
)

_PASSING = (PaymentRunning, SeatsContested)

log = structlog.get_logger()


class Idempotency:
    """Keeps what writes were answered.

    Args:
        database: Where.
        problems: Answers for writes that are refused.
    """

    def __init__(self, database: Database, problems: ProblemResponses) -> None:
        self._database = database
        self._problems = problems

    async def once(
        self,
        key: str | None,
        user: int,
        request: Request,
        write: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Answer with what `write` says, or with what it said to the same request before.

        Args:
            key: As `key_of` reads it; `None` for a request that may be repeated as a new one.
            user: Whose key it is.
            request: Method, path and body tell whether it is the same.
            write: Does what is asked; called once at most.

        Raises:
            IdempotencyKeyReused: The key came with another request.
            IdempotencyKeyRunning: The first request with it is still being answered.
        """
        if key is None:
            return await write()
        claimed_at = await self._claim(key, user, request)
        if isinstance(claimed_at, Answer):
            return claimed_at
        try:
            answer = await write()
        except _PASSING:
            await self._free(key, user, claimed_at)
            raise
        except Refused as refusal:
            answer = self._problems.answer(refusal, request)
        except BaseException:
            await self._free(key, user, claimed_at)
            raise
        await self._keep(key, user, claimed_at, answer)
        return answer

    async def run(self) -> Never:
        """Delete old keys, a chunk at a time, through any silence of the database."""
        while True:
            gone = 0
            try:
                row = await self._database.one("forget_keys", kept_s=KEPT_S, chunk_max=CHUNK_MAX)
                assert row is not None
                gone = row["keys"]
            except Unavailable as error:
                log.warning("idempotency_purge_failed", reason=str(error))
            if gone < CHUNK_MAX:
                await asyncio.sleep(FORGET_EVERY_S)

    async def _claim(self, key: str, user: int, request: Request) -> datetime | Answer:
        row = await self._database.one(
            "claim_key",
            user_id=user,
            idempotency_key=key,
            request=digest(request),
            kept_s=KEPT_S,
            patience_s=PATIENCE_S,
        )
        outcome = "running" if row is None else row["outcome"]
        if row is None or outcome == "running":
            raise IdempotencyKeyRunning
        if outcome == "other":
            raise IdempotencyKeyReused
        if outcome == "claimed":
            claimed_at: datetime = row["claimed_at"]
            return claimed_at
        headers = JSON if row["status"] < 400 else PROBLEM  # noqa: PLR2004 - successes and refusals
        return Answer(row["status"], headers, row["answer"])

    async def _keep(self, key: str, user: int, claimed_at: datetime, answer: Answer) -> None:
        try:
            await self._database.one(
                "keep_answer",
                user_id=user,
                idempotency_key=key,
                claimed_at=claimed_at,
                status=answer.status,
                answer=answer.body,
            )
        except Unavailable as error:
            # What is done is done, and whoever asked shall hear of it.
            log.warning("idempotency_answer_lost", reason=str(error))

    async def _free(self, key: str, user: int, claimed_at: datetime) -> None:
        # If the database is silent, the key is free when its time is over.
        with suppress(Unavailable):
            await self._database.one(
                "free_key", user_id=user, idempotency_key=key, claimed_at=claimed_at
            )


def key_of(request: Request) -> str | None:
    """Return the request's idempotency key, or `None`.

    Raises:
        InputInvalid: It is blank or too long, or has other characters than those of a name.
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
    """Return what tells a request from another: 32 bytes of path and body.

    No path takes two methods that write, so the method adds nothing.
    """
    told = blake2b(request.path.encode(), digest_size=32)
    # A path has no NUL, so no two requests read the same.
    told.update(b"\0" + request.body)
    return told.digest()
