"""Operator commands on rooms, and the lists of rooms that the admitter serves.

Beside the registry, the admitter uses two lists: rooms that are awake (visitors may be waiting) and
rooms that are occupied (visitors may hold slots). A room that is listed needlessly costs a call or
two. The admitter's patrol finds a room that is missing.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from math import sqrt

from waitline.kernel.ids import RoomId, is_reachable, is_rehearsal
from waitline.queue import decision as decisions
from waitline.queue import keys, record, room_log
from waitline.queue.admitters import Admitters
from waitline.queue.decision import Decision
from waitline.queue.hints import recent_rate
from waitline.queue.model import (
    COUNTERS,
    ROOMS_MAX,
    RoomExists,
    RoomNameReserved,
    RoomNameUnreachable,
    RoomOccupied,
    RoomUnknown,
    Survey,
    TooManyRooms,
)
from waitline.queue.openings import Openings
from waitline.queue.record import SaleRecord
from waitline.queue.room_log import CHANGES_MAX, RoomChange
from waitline.queue.settings import ROOM_SETTINGS, SETTING_NAMES, Rules
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

PAGE_MAX = 1_000
"""Most rooms of one listing: the command surveys each, a second of the store's time in all."""

OPEN = scripts.load("waitline.queue", "open")
CHANGE = scripts.load("waitline.queue", "change")
RESET = scripts.load("waitline.queue", "reset")
DELETE = scripts.load("waitline.queue", "delete")
SURVEY = scripts.load("waitline.queue", "survey")
DECIDE = scripts.load("waitline.queue", "decide")

RULES_CACHED_MAX = 1_024
"""Parsed rules that are cached: one set per room of a listing. Parsing takes half of a survey."""

_MEASURE_STALE_MS = 3_000
"""A measured rate older than this counts as 0: samples come every second while visitors are
admitted."""


class Rooms:
    """Every room of the installation.

    Args:
        store: The server that holds them.
        who: Author of the changes made through this object, for the rooms' logs.

    Attributes:
        openings: The rooms that open or close by the clock.
        admitters: Those that share the rooms.
    """

    def __init__(self, store: ValkeyClient, who: str = room_log.THE_INSTALLATION) -> None:
        self._store = store
        self._who = who
        self.openings = Openings(store)
        self.admitters = Admitters(store)

    def changed_by(self, who: str) -> "Rooms":
        """Return the same rooms with another author of changes."""
        return Rooms(self._store, who)

    async def names(self) -> list[RoomId]:
        """Return every room's name, sorted."""
        return sorted(RoomId(name) for name in await self._store.command("SMEMBERS", keys.ROOMS))

    async def page(self, most: int, after: str = "") -> tuple[list[RoomId], RoomId | None]:
        """Return some names in their order, and the last of them if there are more.

        Args:
            most: Most names, 1 to `PAGE_MAX`.
            after: Only names after this one.
        """
        names = await self.names()
        first = bisect_right(names, after)
        found = names[first : first + most]
        return found, found[-1] if found and first + most < len(names) else None

    async def count(self) -> int:
        """Return how many rooms there are."""
        return int(await self._store.command("SCARD", keys.ROOMS))

    async def listed(self, rooms: Sequence[RoomId]) -> list[bool]:
        """Return which of some rooms exist, in one call, by the list of all rooms."""
        return [bool(one) for one in await self._store.command("SMISMEMBER", keys.ROOMS, *rooms)]

    async def awake(self) -> set[RoomId]:
        """Return the rooms in which visitors may be waiting."""
        return set(await self._store.command("SMEMBERS", keys.AWAKE))

    async def occupied(self) -> set[RoomId]:
        """Return the rooms in which visitors may hold slots."""
        return set(await self._store.command("SMEMBERS", keys.OCCUPIED))

    async def has_visitors(self, room: RoomId) -> bool:
        """Return whether a visitor waits or holds a slot in a room; the lists are not consulted."""
        k = keys.of(room)
        return bool(await self._store.command("EXISTS", k.waiting, k.admitted))

    async def has_waiting(self, room: RoomId) -> bool:
        """Return whether a visitor waits in a room; the lists are not consulted."""
        return bool(await self._store.command("EXISTS", keys.of(room).waiting))

    async def wake(self, rooms: Collection[RoomId]) -> None:
        """Put one or more rooms on both lists, so that the admitter serves them from now on."""
        await self._store.command("SADD", keys.OCCUPIED, *rooms)
        await self._store.command("SADD", keys.AWAKE, *rooms)

    async def let_sleep(self, room: RoomId) -> bool:
        """Take a room off the awake list unless a visitor waits in it; return whether it is off.

        The room counts as occupied from here on: those who waited last may hold slots.

        Raises:
            Unavailable: It may be off the list with visitors inside; the caller must wake it.
        """
        await self._store.command("SADD", keys.OCCUPIED, room)
        return await self._remove_unless_held(keys.AWAKE, room, keys.of(room).waiting)

    async def mark_vacant(self, room: RoomId) -> bool:
        """Take a room off the occupied list unless a slot is held; return whether it is off.

        Raises:
            Unavailable: It may be off the list with visitors inside; the caller must wake it.
        """
        return await self._remove_unless_held(keys.OCCUPIED, room, keys.of(room).admitted)

    async def _remove_unless_held(self, listed: str, room: RoomId, key: str) -> bool:
        """Take a room off a list unless the key exists; return whether it is off.

        The second check, after the removal, closes the race with a caller that adds a visitor and
        then lists the room. If it lists the room before the removal, this check finds the visitor.
        If it lists the room afterwards, the room is on the list. The first check alone would miss
        a visitor who comes between check and removal.
        """
        if await self._store.command("EXISTS", key):
            return False
        await self._store.command("SREM", listed, room)
        if not await self._store.command("EXISTS", key):
            return True
        await self._store.command("SADD", listed, room)
        return False

    async def create(self, room: RoomId, rules: Rules) -> None:
        """Create a room for an operator, as `add` does.

        Raises:
            RoomNameReserved: Only rehearsals make rooms of this name.
        """
        if is_rehearsal(room):
            raise RoomNameReserved
        await self.add(room, rules)

    async def add(self, room: RoomId, rules: Rules) -> None:
        """Create a room, also of a name that belongs to rehearsals.

        Raises:
            RoomExists: It was created before.
            Refused: As `ensure`.
        """
        if not await self.ensure(room, rules):
            raise RoomExists

    async def ensure(self, room: RoomId, rules: Rules) -> bool:
        """Create a room unless it exists; return whether it was created now.

        Raises:
            RoomNameUnreachable: No address would lead to the room.
            TooManyRooms: There are `ROOMS_MAX` already.
        """
        # The registry comes first: an unregistered room would never admit anybody.
        if not await self._store.command("SISMEMBER", keys.ROOMS, room):
            if not is_reachable(room):
                raise RoomNameUnreachable
            if await self._store.command("SCARD", keys.ROOMS) >= ROOMS_MAX:
                raise TooManyRooms
            await self._store.command("SADD", keys.ROOMS, room)
        k = keys.of(room)
        rows = await self._store.run(
            OPEN, (k.room, k.rate, k.changes), (self._who, *_written(rules))
        )
        if _word(OPEN, rows) == "exists":
            return False
        await self.openings.schedule(room, rules)
        return True

    async def change(self, room: RoomId, changes: Mapping[str, object]) -> Rules:
        """Change some rules of a room, with effect from the next call on.

        Args:
            room: The room.
            changes: Settings by name.

        Returns:
            All rules of the room after the change.

        Raises:
            RoomUnknown: There is no such room.
            RoomOccupied: The identity would change while visitors are inside.
            SettingError: A value is out of range, alone or together with the others.
        """
        changed = (await self.survey(room)).rules.changed(changes)
        pairs = _written(changed, changes.keys())
        if pairs:
            k = keys.of(room)
            rows = await self._store.run(
                CHANGE,
                (k.room, k.waiting, k.admitted, k.rate, k.changes),
                (self._who, *pairs),
            )
            word = _word(CHANGE, rows)
            if word == "occupied":
                raise RoomOccupied(*map(int, rows[0][1:]))
            if word == "no_room":
                raise RoomUnknown
            if not changes.keys().isdisjoint(("opens_at", "closes_at")):
                await self.openings.schedule(room, changed)
        return changed

    async def reset(self, room: RoomId) -> int:
        """Remove all visitors and return how many; rules, totals and the last place stay.

        Raises:
            RoomUnknown: There is no such room.
        """
        k = keys.of(room)
        where = (*k[: k.index(k.record)], k.origins, k.changes)
        rows = await self._store.run(RESET, where, (self._who,))
        if _word(RESET, rows) == "no_room":
            raise RoomUnknown
        return int(rows[0][1])

    async def delete(self, room: RoomId, *, force: bool = False) -> int:
        """Delete a room with everything in it but its log; return how many visitors were removed.

        Args:
            room: The room.
            force: Whether to delete it with visitors inside.

        Raises:
            RoomOccupied: Visitors are inside, and `force` is not set. Nothing has changed.
            RoomUnknown: There is no such room.
            Unavailable: The room may be deleted and still listed; a repeat takes it off the lists.
        """
        k = keys.of(room)
        listed = await self._store.command("SISMEMBER", keys.ROOMS, room)
        names = (setting.name for setting in ROOM_SETTINGS)
        rows = await self._store.run(DELETE, k, (self._who, int(force), *names))
        if _word(DELETE, rows) == "occupied":
            raise RoomOccupied(*map(int, rows[0][1:]))
        await self.openings.forget(room)
        # If a caller creates the room again at the same time, it stays listed.
        for listed_in, key in (
            (keys.AWAKE, k.waiting),
            (keys.OCCUPIED, k.admitted),
            (keys.ROOMS, k.room),
        ):
            await self._remove_unless_held(listed_in, room, key)
        if _word(DELETE, rows) == "no_room":
            if listed:
                return 0
            raise RoomUnknown
        return int(rows[0][1])

    async def changes(
        self, room: RoomId, *, before_no: int | None = None, changes_max: int = CHANGES_MAX
    ) -> list[RoomChange]:
        """Return operators' changes of a room, the latest first; a deleted room has some too.

        Args:
            room: The room.
            before_no: Only those before this one.
            changes_max: Most of them, up to `CHANGES_MAX`.

        Raises:
            RoomUnknown: There is no such room, and no log of one.
        """
        k = keys.of(room)
        last = "+" if before_no is None else f"({before_no}-0"
        most = min(changes_max, CHANGES_MAX)
        entries = await self._store.command("XREVRANGE", k.changes, last, "-", "COUNT", most)
        if not entries and not await self._store.command("EXISTS", k.room, k.changes):
            raise RoomUnknown
        return [room_log.parse(*entry) for entry in entries]

    async def decide(self, room: RoomId, before: Decision | None, decision: Decision) -> bool:
        """Compare-and-set the decision of a room; return whether it was set.

        Args:
            room: The room.
            before: The decision that the caller read; `False` if another has replaced it.
            decision: The new decision.

        Raises:
            RoomUnknown: There is no such room.

        Invariant:
            Q4, Q5: the room's own limits hold whatever the decision is.
        """
        words = (0 if before is None else before.at_ms, *decisions.serialize(decision))
        k = keys.of(room)
        word = _word(DECIDE, await self._store.run(DECIDE, (k.room, k.rate), words))
        if word == "no_room":
            raise RoomUnknown
        return word == "decided"

    async def survey(self, room: RoomId) -> Survey:
        """Read a room's rules and numbers at one instant.

        Raises:
            RoomUnknown: There is no such room.
        """
        k = keys.of(room)
        rows = await self._store.run(SURVEY, (k.room, k.waiting, k.admitted, k.rate), ())
        if _word(SURVEY, rows) == "no_room":
            raise RoomUnknown
        _, at_ms, waiting, admitted, serving, listened_ms, returned, *flat = rows[0]
        stored, rate = map(_pairs, flat)
        fresh = listened_ms - int(rate.get("last_at", 0)) <= _MEASURE_STALE_MS
        return Survey(
            at_ms=at_ms,
            rules=_rules(stored),
            waiting=waiting,
            admitted=admitted,
            serving=serving,
            last_place=int(stored["seq"]),
            rate_mean=float(rate.get("mean", 0)),
            rate_deviation=sqrt(float(rate.get("variance", 0))),
            rate_samples=int(rate.get("samples", 0)),
            rate_last=float(rate.get("last", 0)) if fresh else 0.0,
            rate_recent=recent_rate(
                float(rate.get("recent", 0)),
                at_ms - int(rate.get("recent_at", 0)),
                at_ms - int(rate.get("recent_from", 0)),
            ),
            counters={name: int(stored.get(name, 0)) for name in COUNTERS},
            decision=_decision(stored),
            returned=returned,
        )

    async def sale_record(self, room: RoomId) -> SaleRecord:
        """Read the record of a room's sale; it is empty if nobody was admitted yet."""
        return record.parse(_pairs(await self._store.command("HGETALL", keys.of(room).record)))


def _word(script: scripts.Script, rows: Sequence[scripts.Row]) -> str:
    word = str(rows[0][0])
    assert word in script.outcomes, word
    return word


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _written(rules: Rules, names: Collection[str] = SETTING_NAMES) -> list[str | int | float]:
    """Return settings as they are stored: names and values, alternating."""
    words: list[str | int | float] = []
    for setting in ROOM_SETTINGS:
        if setting.name in names:
            words += [setting.name, setting.to_stored(rules.values[setting.name])]
    return words


def _rules(stored: Mapping[str, str]) -> Rules:
    """Parse the settings of a room; those that an older version did not store have defaults."""
    names = [setting.name for setting in ROOM_SETTINGS if setting.name in stored]
    return parsed_rules(tuple((name, stored[name]) for name in names))


@lru_cache(maxsize=RULES_CACHED_MAX)
def parsed_rules(texts: tuple[tuple[str, str], ...]) -> Rules:
    """Parse rules by their stored form: names and texts."""
    stored = dict(texts)
    return Rules().restored(
        {
            setting.name: setting.from_stored(stored[setting.name])
            for setting in ROOM_SETTINGS
            if setting.name in stored
        }
    )


def _decision(stored: Mapping[str, str]) -> Decision | None:
    names = ("now_reason", "now_per_s", "now_until", "now_basis", "now_ms")
    return decisions.parse(*(stored[name] for name in names)) if "now_ms" in stored else None
