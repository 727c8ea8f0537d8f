"""Payment events: a consumer group that ends the stay of each visitor who has paid.

Which stay a payment ends
-------------------------
An event may come twice, and the second one late: its visitor may have entered again by then, and
must not lose the new place. So an event ends only a stay that began before the payment.

Both times are the store's own. An entry's id is the store's time at the moment of sending; `ageMs`
is how old the event was when the database gave it out to be sent, a difference of two times of one
clock. Id less age is when the payment happened, by the clock that gave the visitor its place, and
never earlier than that: what a sending takes between the two makes it later, by milliseconds. So
the stay of a visitor who paid began before it, and a stay that began after the first event did not,
unless all of that happened during one sending.

The stay is looked up first and left by its place, which is never given again (Q2): a visitor who
comes back between the two calls is a stranger to the second (Q9).

To remember the events that were handled would need a memory as long as the longest delay of a
repeat, and a store that is full forgets what it pleases or takes nobody else.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Never

import structlog

from waitline.kernel import events
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import NAME_BYTES_MAX, RoomId, VisitorId
from waitline.kernel.periodic import periodic
from waitline.queue.model import BATCH_MAX, Unknown
from waitline.queue.store import Line
from waitline.valkey.client import CALL_TIMEOUT_S, ValkeyClient
from waitline.valkey.connection import CommandError

GROUP = "queue"
"""The consumer group."""

BLOCK_S = 1.0
"""How long one read waits for an event. It ends with the first; a connection that broke silently is
noticed after this."""

TIMEOUT_S = BLOCK_S + CALL_TIMEOUT_S
"""How long a call on this reader's own connection may take."""

TAKE_OVER_MS = 5_000
"""Visibility timeout: an entry that a reader did not handle in this time goes to another. The first
has died, or the store did not answer it. Longer than a batch takes; handled twice it does no
harm."""

LOOK_S = 2.0
"""Between two looks for such entries."""

GONE_MS = 3_600_000
"""A reader that was silent for an hour has ended, and its name is forgotten."""

RETRY_S = 0.5
"""Pause while the stream has no group: somebody emptied the store."""

DEAD_MAX = 1_000
"""Dead entries that are kept. Each is a bug or a stranger's, and a thousand of the same say no
more than one."""

SHOWN_MAX = 100
"""Dead entries listed for an operator: as many as a person reads."""

AGE_DIGITS_MAX = 13
"""Digits of an event's age in ms: three hundred years. More is no age."""

# Errors of a read whose group is missing, or goes while it waits.
_NO_GROUP = frozenset(("NOGROUP", "UNBLOCKED"))

log = structlog.get_logger()


class Entry(NamedTuple):
    """One entry of the stream.

    Attributes:
        entry_id: Where it stands: the store's time in ms, a dash, a number.
        fields: What it says.
    """

    entry_id: str
    fields: dict[str, str]


class _Departure(NamedTuple):
    entry: Entry
    room: RoomId
    visitor: VisitorId
    paid_ms: int


class PaymentEvents:
    """One reader of the events. Any number may run, and share them.

    Args:
        store: A connection that nobody else uses, since it is held for as long as nothing happens;
            its calls may take `TIMEOUT_S`.
        line: Lets visitors leave.
        name: Who reads; different for every reader.
    """

    def __init__(self, store: ValkeyClient, line: Line, *, name: str) -> None:
        self._store = store
        self._line = line
        self._name = name
        # When to look for the group, and for what other readers have left behind.
        self._look_s = 0.0

    async def run(self) -> Never:
        """Let visitors leave until cancelled.

        Invariant:
            B5.
        """
        await periodic("payment_events", self._round, RETRY_S)

    async def _round(self) -> bool:
        """Handle what is there; return whether to go on at once."""
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
            # The group went with the stream, where somebody emptied the store.
            if error.code not in _NO_GROUP:
                raise
            return False
        self._look_s = looked_s
        return True

    async def prepare(self) -> None:
        """Make stream and group, unless they are there, and forget readers that have ended.

        A new group begins with the oldest entry: nothing that was sent before it is skipped.
        """
        try:
            await self._store.command("XGROUP", "CREATE", events.STREAM, GROUP, "0", "MKSTREAM")
        except CommandError as error:
            if error.code != "BUSYGROUP":
                raise
        readers = await self._store.command("XINFO", "CONSUMERS", events.STREAM, GROUP)
        for reader in map(_pairs, readers):
            # What it was given and did not handle must be taken over first.
            if reader["pending"] == 0 and reader["idle"] > GONE_MS:
                await self._store.command(
                    "XGROUP", "DELCONSUMER", events.STREAM, GROUP, reader["name"]
                )

    async def read_batch(self, block_s: float) -> int:
        """Handle the next entries, at most `BATCH_MAX`.

        Args:
            block_s: How long to wait for the first.

        Returns:
            How many there were.
        """
        reply = await self._store.command(
            "XREADGROUP", "GROUP", GROUP, self._name, "COUNT", BATCH_MAX,
            "BLOCK", round(block_s * 1000), "STREAMS", events.STREAM, ">",
        )  # fmt: skip
        if reply is None:
            return 0
        ((_, entries),) = reply
        return await self._handle(entries)

    async def take_over(self, idle_ms: int = TAKE_OVER_MS) -> int:
        """Handle entries that were given to a reader that long ago, at most `BATCH_MAX`.

        Returns:
            How many there were.
        """
        _, entries, _ = await self._store.command(
            "XAUTOCLAIM", events.STREAM, GROUP, self._name, idle_ms, "0", "COUNT", BATCH_MAX
        )
        return await self._handle(entries)

    async def _handle(self, raw: Sequence[Any]) -> int:
        """Handle entries and acknowledge them; those that cannot be handled are dead letters.

        Raises:
            Unavailable: The store did not answer. What was not acknowledged is handled again.
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
        """Let visitors of one room leave, those whose stay began before they paid."""
        standings = await self._line.status(room, [each.visitor for each in departures])
        claims = [
            (each.visitor, standing.place)
            for each, standing in zip(departures, standings, strict=True)
            if not isinstance(standing, Unknown) and standing.joined_ms <= each.paid_ms
        ]
        if claims:
            await self._line.leave(room, claims)

    async def _acknowledge(self, handled: Sequence[str], dead: Sequence[tuple[Entry, str]]) -> None:
        """Acknowledge entries; store those that are dead letters in the same step."""
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
        letter_id: What to name it by.
        fields: What it says.
        reason: Why it could not be handled.
    """

    letter_id: str
    fields: dict[str, str]
    reason: str


class Backlog(NamedTuple):
    """How far the readers are behind.

    Attributes:
        unread: Entries that no reader was given; `None` if the server cannot tell.
        unhandled: Entries that were given to a reader and not handled yet.
        dead: Entries that could not be handled.
    """

    unread: int | None
    unhandled: int
    dead: int


class DeadLetters:
    """The stream as an operator sees it.

    Args:
        store: Holds it.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def backlog(self) -> Backlog:
        """Return how far the readers are behind."""
        dead = await self._store.command("XLEN", events.DEAD)
        if not await self._store.command("EXISTS", events.STREAM):
            return Backlog(0, 0, dead)
        for group in map(_pairs, await self._store.command("XINFO", "GROUPS", events.STREAM)):
            if group["name"] == GROUP:
                return Backlog(group["lag"], group["pending"], dead)
        return Backlog(await self._store.command("XLEN", events.STREAM), 0, dead)

    async def letters(self, letters_max: int = SHOWN_MAX) -> list[DeadLetter]:
        """Return the oldest dead entries."""
        raw = await self._store.command("XRANGE", events.DEAD, "-", "+", "COUNT", letters_max)
        found = []
        for letter_id, words in raw:
            fields = _pairs(words)
            found.append(DeadLetter(letter_id, fields, fields.pop("reason", "")))
        return found

    async def retry(self, letter_ids: Sequence[str] | None) -> int:
        """Put dead entries into the stream again.

        Args:
            letter_ids: Which; `None` for all of them.

        Returns:
            How many of them there were.
        """
        retried = 0
        for letter in await self.letters(2 * DEAD_MAX):
            if letter_ids is None or letter.letter_id in letter_ids:
                await self._retry(letter)
                retried += 1
        return retried

    async def _retry(self, letter: DeadLetter) -> None:
        seconds, micros = await self._store.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        fields = dict(letter.fields)
        with suppress(ValueError):
            # It has aged since it was sent, and what it may end depends on that.
            fields["ageMs"] = str(_age_ms(fields) + now_ms - _sent_ms(fields.pop("entry", "")))
        words = [word for pair in fields.items() for word in pair]
        await self._store.transaction(
            [("XADD", events.STREAM, "*", *words), ("XDEL", events.DEAD, letter.letter_id)],
            CALL_TIMEOUT_S,
        )


def _by_room(
    entries: Sequence[Entry],
) -> tuple[dict[RoomId, list[_Departure]], list[tuple[Entry, str]]]:
    """Return the departures of each room, and what cannot be read with the reason."""
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
    """Read whose stay an entry ends.

    Raises:
        ValueError: It does not say.
    """
    return _Departure(
        entry,
        RoomId(_named(entry.fields, "concertId")),
        VisitorId(_named(entry.fields, "userId")),
        _sent_ms(entry.entry_id) - _age_ms(entry.fields),
    )


def _named(fields: dict[str, str], field: str) -> str:
    name = fields.get(field, "")
    if not name.strip() or len(name.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"{field} is missing, blank or too long")
    return name


def _age_ms(fields: dict[str, str]) -> int:
    age = fields.get("ageMs", "")
    if not (age.isascii() and age.isdecimal() and len(age) <= AGE_DIGITS_MAX):
        raise ValueError("ageMs is missing or no number")
    return int(age)


def _sent_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _text(word: str) -> str:
    """Return what can be sent: not all that a stranger wrote was text."""
    return word.encode(errors="replace").decode()


def _pairs(words: Sequence[Any]) -> dict[str, Any]:
    """Read names and values that take turns."""
    return dict(zip(words[::2], words[1::2], strict=True))
