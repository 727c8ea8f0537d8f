"""Payment events: a consumer group that ends the stay of each visitor who has paid.

Delivery is at least once, so handling is idempotent
----------------------------------------------------
A redelivery may come late: its visitor may have joined again and must not lose the new place. So an
event ends only a stay that began before the payment.

The time of payment is computed on the store's clock, which also gave the visitor the place: the
entry's id (the store's time of sending) minus `ageMs` (the event's age when it was read from the
database, a difference of two times of one clock). The result is late by the duration of the
sending, which is milliseconds, and never early. So the stay that was paid for began before it. A
later stay began after it, unless payment, leaving and joining again all happened during one
sending.

The stay is looked up first and then left by its place, which is never reused (Q2). If the visitor
joins again between the two calls, the second call is refused (Q9).

A list of handled events (deduplication) would have to cover the longest delay of a redelivery, and
would take memory that a full store does not have.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Never

import structlog

from waitline.kernel import events
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, TextInvalid, VisitorId, normal_name
from waitline.kernel.periodic import periodic
from waitline.queue.model import BATCH_MAX, Standing, Unknown
from waitline.queue.store import NO_STAY, Line
from waitline.valkey.client import CALL_TIMEOUT_S, ValkeyClient
from waitline.valkey.replies import CommandError

GROUP = "queue"
"""The consumer group."""

BLOCK_S = 1.0
"""Longest blocking read, in s. It returns with the first event; a broken connection is noticed
after this time."""

TIMEOUT_S = BLOCK_S + CALL_TIMEOUT_S
"""Timeout of a call on the reader's own connection, in s."""

TAKE_OVER_MS = 5_000
"""Visibility timeout: an entry that a reader has not acknowledged in this time goes to another. It
is longer than a batch takes; handling an entry twice does no harm."""

LOOK_S = 2.0
"""Seconds between two checks for such entries."""

GONE_MS = 3_600_000
"""A reader that has been idle for an hour, in ms, counts as dead and is removed from the group."""

RETRY_S = 0.5
"""Pause, in s, while the consumer group is missing because the store was emptied."""

DEAD_MAX = 1_000
"""Most dead letters that are kept. Each is a bug or a foreign entry, and further ones of the same
kind add no information."""

SHOWN_MAX = 100
"""Most dead letters listed for an operator."""

AGE_DIGITS_MAX = 13
"""Most digits of an event's age in ms: three hundred years. A longer number is invalid."""

# Errors of a read whose group is missing, or is deleted while the read blocks.
_NO_GROUP = frozenset(("NOGROUP", "UNBLOCKED"))

log = structlog.get_logger()


class Entry(NamedTuple):
    """One entry of the stream.

    Attributes:
        entry_id: Its id: the store's time in ms, a dash, a sequence number.
        fields: Its fields.
    """

    entry_id: str
    fields: dict[str, str]


class _Departure(NamedTuple):
    entry: Entry
    room: RoomId
    visitor: VisitorId
    paid_ms: int


class PaymentEvents:
    """One consumer of the group. Any number may run; they share the events.

    Args:
        store: A client that is not shared, since blocking reads occupy its connection; its timeout
            must be `TIMEOUT_S`.
        line: Lets visitors leave.
        name: Name of the consumer; unique.
    """

    def __init__(self, store: ValkeyClient, line: Line, *, name: str) -> None:
        self._store = store
        self._line = line
        self._name = name
        # When to check the group, and for entries that other readers did not acknowledge.
        self._look_s = 0.0

    async def run(self) -> Never:
        """Handle events until cancelled.

        Invariant:
            B5.
        """
        await periodic("payment_events", self._round, RETRY_S)

    async def _round(self) -> bool:
        """Handle the available events; return whether to continue at once."""
        loop = asyncio.get_running_loop()
        looked_s, self._look_s = self._look_s, 0.0
        try:
            if loop.time() >= looked_s:
                await self.prepare()
                while await self.take_over() == BATCH_MAX:
                    pass
                looked_s = loop.time() + LOOK_S
            await self.read_batch(BLOCK_S)
        except CommandError as error:
            # If the store was emptied, the group is gone with the stream.
            if error.code not in _NO_GROUP:
                raise
            return False
        self._look_s = looked_s
        return True

    async def prepare(self) -> None:
        """Create stream and group unless they exist, and remove readers that have ended.

        A new group starts at the oldest entry, so that no earlier event is skipped.
        """
        try:
            await self._store.command(
                "XGROUP", "CREATE", events.STREAM, GROUP, "0", "MKSTREAM", expects=("BUSYGROUP",)
            )
        except CommandError as error:
            if error.code != "BUSYGROUP":
                raise
        readers = await self._store.command(
            "XINFO", "CONSUMERS", events.STREAM, GROUP, expects=_NO_GROUP
        )
        for reader in map(_pairs, readers):
            # Its pending entries must be taken over first.
            if reader["pending"] == 0 and reader["idle"] > GONE_MS:
                await self._store.command(
                    "XGROUP", "DELCONSUMER", events.STREAM, GROUP, reader["name"]
                )

    async def read_batch(self, block_s: float) -> int:
        """Handle the next entries, at most `BATCH_MAX`.

        Args:
            block_s: How long to wait for the first, in s.

        Returns:
            How many there were.
        """
        reply = await self._store.command(
            "XREADGROUP", "GROUP", GROUP, self._name, "COUNT", BATCH_MAX,
            "BLOCK", round(block_s * 1000), "STREAMS", events.STREAM, ">", expects=_NO_GROUP,
        )  # fmt: skip
        if reply is None:
            return 0
        ((_, entries),) = reply
        return await self._handle(entries)

    async def take_over(self, idle_ms: int = TAKE_OVER_MS) -> int:
        """Handle entries whose visibility timeout has passed, at most `BATCH_MAX`.

        Returns:
            How many there were.
        """
        _, entries, _ = await self._store.command(
            "XAUTOCLAIM", events.STREAM, GROUP, self._name, idle_ms, "0", "COUNT", BATCH_MAX,
            expects=_NO_GROUP,
        )  # fmt: skip
        return await self._handle(entries)

    async def _handle(self, raw: Sequence[Any]) -> int:
        """Handle entries and acknowledge them; those that cannot be handled are dead letters.

        Raises:
            Unavailable: The store did not answer. Unacknowledged entries are handled again.
        """
        if not raw:
            return 0
        rooms, dead = _by_room([Entry(entry_id, _pairs(words)) for entry_id, words in raw])
        for room, departures in rooms.items():
            try:
                await self._leave(room, departures)
            except Unavailable:
                raise
            except Exception as error:
                # One broken room must not hold up all the others.
                log.exception("departures_failed", room=room, reason=repr(error))
                dead += [(departure.entry, repr(error)) for departure in departures]
        await self._acknowledge([entry_id for entry_id, _ in raw], dead)
        return len(raw)

    async def _leave(self, room: RoomId, departures: Sequence[_Departure]) -> None:
        """End the stays of visitors in one room that began before the payment."""
        standings = await self._line.status(room, [(each.visitor, NO_STAY) for each in departures])
        # Also for those who are gone: their departure may not have been confirmed (decision 0041).
        await self._line.leave(
            room,
            [
                (each.visitor, _stay_paid_for(each, standing))
                for each, standing in zip(departures, standings, strict=True)
            ],
        )

    async def _acknowledge(self, handled: Sequence[str], dead: Sequence[tuple[Entry, str]]) -> None:
        """Acknowledge entries and store the dead letters among them, in one transaction."""
        commands: list[Sequence[str | float]] = [
            (
                "XADD", events.DEAD, "MAXLEN", "~", DEAD_MAX, "*",
                *(_text(word) for pair in entry.fields.items() for word in pair),
                "entry", entry.entry_id, "reason", reason,
            )
            for entry, reason in dead
        ]  # fmt: skip
        for entry, reason in dead:
            log.warning("payment_event_rejected", entry=entry.entry_id, reason=reason)
        commands.append(("XACK", events.STREAM, GROUP, *handled))
        await self._store.transaction(commands, CALL_TIMEOUT_S)


class DeadLetter(NamedTuple):
    """An entry that could not be handled.

    Attributes:
        letter_id: Its id.
        fields: The fields of the entry.
        reason: Why it could not be handled.
    """

    letter_id: str
    fields: dict[str, str]
    reason: str


class Backlog(NamedTuple):
    """Backlog of the consumer group.

    Attributes:
        unread: Entries that are not delivered yet; `None` if the server cannot tell.
        unhandled: Entries that are delivered and not acknowledged yet.
        dead: Dead letters.
    """

    unread: int | None
    unhandled: int
    dead: int


class DeadLetters:
    """Operator's access to the stream: backlog and dead letters.

    Args:
        store: Server of the stream.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def backlog(self) -> Backlog:
        """Return the backlog of the consumer group."""
        dead = await self._store.command("XLEN", events.DEAD)
        if not await self._store.command("EXISTS", events.STREAM):
            return Backlog(0, 0, dead)
        for group in map(_pairs, await self._store.command("XINFO", "GROUPS", events.STREAM)):
            if group["name"] == GROUP:
                return Backlog(group["lag"], group["pending"], dead)
        return Backlog(await self._store.command("XLEN", events.STREAM), 0, dead)

    async def letters(self, letters_max: int = SHOWN_MAX) -> list[DeadLetter]:
        """Return the oldest dead letters."""
        raw = await self._store.command("XRANGE", events.DEAD, "-", "+", "COUNT", letters_max)
        found = []
        for letter_id, words in raw:
            fields = _pairs(words)
            found.append(DeadLetter(letter_id, fields, fields.pop("reason", "")))
        return found

    async def retry(self, letter_ids: Sequence[str] | None) -> int:
        """Move dead letters back into the stream.

        Args:
            letter_ids: Ids of the letters; `None` for all.

        Returns:
            How many were moved.
        """
        retried = 0
        for letter in await self.letters(2 * DEAD_MAX):
            if letter_ids is None or letter.letter_id in letter_ids:
                await self._retry(letter)
                retried += 1
        return retried

    async def _retry(self, letter: DeadLetter) -> None:
        now_ms = await self._store.time_ms(events.STREAM)
        fields = dict(letter.fields)
        with suppress(ValueError):
            # The new entry has a new time of sending, so its age must grow by as much.
            fields["ageMs"] = str(_age_ms(fields) + now_ms - _sent_ms(fields.pop("entry", "")))
        words = [word for pair in fields.items() for word in pair]
        await self._store.transaction(
            [("XADD", events.STREAM, "*", *words), ("XDEL", events.DEAD, letter.letter_id)],
            CALL_TIMEOUT_S,
        )


def _stay_paid_for(departure: _Departure, standing: Standing) -> str:
    """Return the stay that a payment ends; one that nobody has if it is over."""
    if isinstance(standing, Unknown) or standing.joined_ms > departure.paid_ms:
        return NO_STAY
    return f"{standing.place}-{standing.joined_ms}"


def _by_room(
    entries: Sequence[Entry],
) -> tuple[dict[RoomId, list[_Departure]], list[tuple[Entry, str]]]:
    """Return the departures by room, and the invalid entries with the reason."""
    rooms: dict[RoomId, list[_Departure]] = {}
    dead: list[tuple[Entry, str]] = []
    for entry in entries:
        if entry.fields.get("topic") != events.PAYMENT_COMPLETED:
            continue
        try:
            departure = _departure(entry)
        except ValueError as error:
            dead.append((entry, str(error)))
        else:
            rooms.setdefault(departure.room, []).append(departure)
    return rooms, dead


def _departure(entry: Entry) -> _Departure:
    """Parse an entry.

    Raises:
        ValueError: A field is missing or invalid.
    """
    return _Departure(
        entry,
        RoomId(_named(entry.fields, "concertId")),
        VisitorId(_named(entry.fields, "userId")),
        _sent_ms(entry.entry_id) - _age_ms(entry.fields),
    )


def _named(fields: dict[str, str], field: str) -> str:
    try:
        return normal_name(fields.get(field, ""))
    except TextInvalid as error:
        raise ValueError(f"{field} {error}") from None


def _age_ms(fields: dict[str, str]) -> int:
    age = fields.get("ageMs", "")
    if not (age.isascii() and age.isdecimal() and len(age) <= AGE_DIGITS_MAX):
        raise ValueError("ageMs is missing or not a number")
    return int(age)


def _sent_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _text(word: str) -> str:
    """Return a word as valid UTF-8: a foreign entry may contain other bytes."""
    return word.encode(errors="replace").decode()


def _pairs(words: Sequence[Any]) -> dict[str, Any]:
    """Return alternating names and values as a mapping."""
    return dict(zip(words[::2], words[1::2], strict=True))
