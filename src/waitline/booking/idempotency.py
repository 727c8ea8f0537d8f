"""Idempotency keys: claims of requests, and stored answers.

Keys are scoped by user: two users may choose the same key.
"""

from datetime import datetime
from typing import NamedTuple, Never

from waitline.booking.model import IdempotencyKeyReused, IdempotencyKeyRunning
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database

KEY_CHARS_MAX = 200
"""Longest key. Source: migrations/0001_box_office.sql."""

KEPT_S = 86_400.0
"""How long an answer is kept. Source: the wire contract."""

PATIENCE_S = 60.0
"""Lease of a claim: longer than any write, including the timeouts of payment provider and database.
After that the process must have died, and the key is free."""

FORGET_EVERY_S = 60.0
"""Between two rounds of deleting expired keys."""

CHUNK_MAX = 1_000
"""Keys deleted in one statement: it takes a few milliseconds, so that claims do not wait for it."""


class StoredAnswer(NamedTuple):
    """The answer to the first request with a key.

    Attributes:
        status: Its HTTP status.
        body: Its body.
    """

    status: int
    body: bytes


class IdempotencyKeys:
    """The keys in the database.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, key: str, user: int, request: bytes) -> datetime | StoredAnswer:
        """Claim a key for a request.

        Args:
            key: 1 to `KEY_CHARS_MAX` characters.
            user: The user who chose the key.
            request: Digest that identifies the request.

        Returns:
            The time of the claim, which identifies it; or the stored answer to the same request.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            IdempotencyKeyRunning: The first request with the key is still running.
        """
        row = await self._database.fetch_one(
            "claim_key",
            user_id=user,
            idempotency_key=key,
            request=request,
            kept_s=KEPT_S,
            patience_s=PATIENCE_S,
        )
        # No row: another request claimed the key concurrently.
        outcome = "running" if row is None else row["outcome"]
        if row is None or outcome == "running":
            raise IdempotencyKeyRunning
        if outcome == "other":
            raise IdempotencyKeyReused
        if outcome == "claimed":
            claimed_at: datetime = row["claimed_at"]
            return claimed_at
        return StoredAnswer(row["status"], row["answer"])

    async def store_answer(
        self, key: str, user: int, claimed_at: datetime, answer: StoredAnswer
    ) -> None:
        """Store the answer, unless another request has claimed the key meanwhile."""
        await self._database.fetch_one(
            "keep_answer",
            user_id=user,
            idempotency_key=key,
            claimed_at=claimed_at,
            status=answer.status,
            answer=answer.body,
        )

    async def release(self, key: str, user: int, claimed_at: datetime) -> None:
        """Release a claimed key: its request has no answer to store."""
        await self._database.fetch_one(
            "free_key", user_id=user, idempotency_key=key, claimed_at=claimed_at
        )

    async def run(self) -> Never:
        """Delete expired keys until cancelled, a chunk at a time."""
        await periodic("idempotency_purge", self._purge, FORGET_EVERY_S)

    async def _purge(self) -> bool:
        row = await self._database.fetch_one("forget_keys", kept_s=KEPT_S, chunk_max=CHUNK_MAX)
        return row is not None and row["keys"] == CHUNK_MAX
