"""Transactional outbox: relays events to a stream of Valkey, at least once.

An event is written in the transaction of the change that it describes, so each change has one (B5).
It is sent later, and possibly twice. Every worker of the booking service runs a relay of its own.

Relays share the events by a visibility timeout, as in SQS: taking an event postpones its next
attempt. Row locks instead would need a transaction that stays open while the store hangs.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog

from waitline.kernel import events
from waitline.kernel.errors import Unavailable
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database, Row
from waitline.valkey.client import ValkeyClient
from waitline.valkey.replies import CommandError

POLL_S = 0.2
"""Polling interval for unsent events: a fifth of the second within which a payment must free its
slot. A poll without events costs the database about 0.1 ms."""

BATCH_MAX = 100
"""Events sent at once: a second's worth at full sale, and a tenth of what one connection to the
store may have in progress."""

PAUSE_S = 2.0
"""Visibility timeout of the first attempt; doubled at every further one. Longer than an attempt
lasts at worst, or events would be sent twice for nothing."""

PAUSE_MAX_S = 300.0
"""Longest visibility timeout: how long events may still wait once the store works again."""

ATTEMPTS_MAX = 8
"""Rejected attempts after which an event is a dead letter: after eight minutes. By then the
rejection is not transient, and an operator must act. Attempts without an answer do not count."""

STREAM_MAX = 100_000
"""Least length at which the stream is trimmed, about 40 MB. A trimmed event delays the freeing of a
slot, no more: slots expire within half an hour. An event is trimmed unread only if 100 000 others
follow it, 55 per second over that half hour."""

KEPT_S = 86_400.0
"""How long a sent event is kept: a day, for investigations."""

FORGET_EVERY_S = 60.0
"""Between two purges of old events."""

FORGET_MAX = 1_000
"""Events deleted in one statement: about 10 ms of the database."""

SHOWN_MAX = 100
"""Events listed for an operator: as many as a person reads. The count covers all."""

log = structlog.get_logger()

_payload = msgspec.json.Decoder(dict[str, str | int])


class Relay:
    """Sends events to the stream, at least once, in order for each reservation.

    Args:
        database: Holds the events.
        store: Holds the stream. Its durability decides when an event counts as sent.
    """

    def __init__(self, database: Database, store: ValkeyClient) -> None:
        self._database = database
        self._store = store
        self._failed = False

    async def run(self) -> None:
        """Send events and purge old ones until cancelled.

        Invariant:
            B5.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(periodic("event_relay", self._round, POLL_S))
            group.create_task(periodic("event_purge", self._purge, FORGET_EVERY_S))

    async def _round(self) -> bool:
        if self._failed:
            # While the store is down, a round costs the database nothing.
            await self._store.command("EXISTS", events.STREAM)
        self._failed = True
        sent = await self.send()
        self._failed = False
        return sent == BATCH_MAX

    async def _purge(self) -> bool:
        return await self.forget() == FORGET_MAX

    async def send(self) -> int:
        """Send one batch.

        Returns:
            How many events it had.

        Raises:
            Unavailable: Database or store did not answer. Events not marked as sent are sent again.
        """
        taken = await self._database.fetch_all(
            "take_events", batch_max=BATCH_MAX, pause_s=PAUSE_S, pause_max_s=PAUSE_MAX_S
        )
        # The statement returns its rows in no particular order.
        taken = sorted(taken, key=itemgetter("event_no"))
        outcomes = await self._confirmed(
            await asyncio.gather(*map(self._add, taken), return_exceptions=True)
        )
        sent: list[int] = []
        unsent: list[int] = []
        failure: Unavailable | None = None
        for event, outcome in zip(taken, outcomes, strict=True):
            match outcome:
                case None:
                    sent.append(event["event_no"])
                case Unavailable():
                    unsent.append(event["event_no"])
                    failure = outcome
                case CommandError() | ValueError():
                    await self._refused(event, str(outcome))
                case _:
                    raise outcome
        if sent:
            await self._database.fetch_all("sent_events", event_nos=sent)
        if failure is not None:
            await self._database.fetch_all("return_events", event_nos=unsent, error=str(failure))
            raise failure
        return len(taken)

    async def _confirmed(
        self, outcomes: Sequence[BaseException | None]
    ) -> Sequence[BaseException | None]:
        """Return the outcomes once a failover cannot undo them; those it might undo as failures."""
        if None not in outcomes:
            return outcomes
        try:
            await self._store.confirm(events.STREAM)
        except Unavailable as failure:
            return [failure if outcome is None else outcome for outcome in outcomes]
        return outcomes

    async def _add(self, event: Row) -> None:
        """Add an event to the stream.

        Raises:
            ValueError: The payload cannot be encoded as fields of the stream.
        """
        fields = {
            "topic": event["topic"],
            "eventId": str(event["event_id"]),
            "timestamp": _instant(event["created_at"]),
            "ageMs": event["age_ms"],
            **_payload.decode(event["payload"]),
        }
        words = [word for pair in fields.items() for word in pair]
        await self._store.command("XADD", events.STREAM, "MAXLEN", "~", STREAM_MAX, "*", *words)

    async def _refused(self, event: Row, reason: str) -> None:
        row = await self._database.fetch_one(
            "refused_event", event_no=event["event_no"], error=reason, attempts_max=ATTEMPTS_MAX
        )
        dead = row is not None and row["dead"]
        log.warning("event_rejected", event_id=str(event["event_id"]), dead=dead, reason=reason)

    async def forget(self) -> int:
        """Delete at most `FORGET_MAX` events sent more than `KEPT_S` ago; return how many."""
        return len(
            await self._database.fetch_all("forget_events", kept_s=KEPT_S, chunk_max=FORGET_MAX)
        )


class UnsentEvent(NamedTuple):
    """An event that is not in the stream yet.

    Attributes:
        event_id: Its id.
        topic: Kind of event.
        payload: Its fields; an object, unless another program wrote it.
        created_at: When it was written.
        attempts: Failed attempts.
        dead: Whether it is a dead letter and waits for an operator.
        last_error: Error of the last attempt; `None` before the first.
    """

    event_id: UUID
    topic: str
    payload: Any
    created_at: datetime
    attempts: int
    dead: bool
    last_error: str | None


class Outbox:
    """The outbox as operators see it: list and retry unsent events.

    Args:
        database: Holds the events.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unsent(self) -> tuple[int, list[UnsentEvent]]:
        """Return how many events are unsent, and `SHOWN_MAX` of them: the dead, then the oldest."""
        rows = await self._database.fetch_all("unsent_events", rows_max=SHOWN_MAX)
        found = [
            UnsentEvent(
                event_id=row["event_id"],
                topic=row["topic"],
                payload=msgspec.json.decode(row["payload"]),
                created_at=row["created_at"],
                attempts=row["attempts"],
                dead=row["dead"],
                last_error=row["last_error"],
            )
            for row in rows
        ]
        return (rows[0]["events"] if rows else 0), found

    async def retry(self, event_ids: Sequence[UUID] | None) -> int:
        """Make dead events due again.

        Args:
            event_ids: Which; `None` for all.

        Returns:
            How many of them were dead.
        """
        retried, count = 0, FORGET_MAX
        while count == FORGET_MAX:
            rows = await self._database.fetch_all(
                "retry_events", event_ids=event_ids, chunk_max=FORGET_MAX
            )
            count = len(rows)
            retried += count
        return retried

    async def resend(self, since_ms: int) -> int:
        """Make events due again that were sent since a time, as after a restore; return how many.

        An event that is handled twice does nothing the second time.
        """
        resent, after_no, count = 0, 0, FORGET_MAX
        while count == FORGET_MAX:
            rows = await self._database.fetch_all(
                "resend_events", since_ms=since_ms, after_no=after_no, chunk_max=FORGET_MAX
            )
            count = len(rows)
            resent += count
            after_no = max((row["event_no"] for row in rows), default=0)
        return resent


def _instant(at: datetime) -> str:
    """Format a time as ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
