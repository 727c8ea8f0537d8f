"""What operators do with rooms, and which rooms the admitter looks after.

Operators create, change, list, survey, reset and delete them. For the admitter there are two lists
beside the registry: rooms that are awake, because somebody may wait in them, and rooms that are
occupied, because somebody may hold a slot. A room on a list for nothing costs a call or two; a
room that is missing is found by the admitter's patrol.
"""

from collections.abc import Collection, Mapping, Sequence
from math import sqrt

from waitline.kernel.ids import RoomId
from waitline.queue import decision as decisions
from waitline.queue import keys, record
from waitline.queue.decision import Decision
from waitline.queue.model import (
    COUNTERS,
    ROOMS_MAX,
    RoomExists,
    RoomOccupied,
    RoomUnknown,
    Survey,
    TooManyRooms,
)
from waitline.queue.record import SaleRecord
from waitline.queue.settings import ROOM_SETTINGS, SETTING_NAMES, Rules
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

OPEN = scripts.load("waitline.queue", "open")
CHANGE = scripts.load("waitline.queue", "change")
RESET = scripts.load("waitline.queue", "reset")
DELETE = scripts.load("waitline.queue", "delete")
SURVEY = scripts.load("waitline.queue", "survey")
DECIDE = scripts.load("waitline.queue", "decide")

_MEASURE_STALE_MS = 3_000
"""After this long without a sample nobody is being admitted, whatever the last one said."""


class Rooms:
    """Every room of the installation.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def names(self) -> list[RoomId]:
        """Return every room's name, sorted."""
        return sorted(RoomId(name) for name in await self._store.command("SMEMBERS", keys.ROOMS))

    async def awake(self) -> set[RoomId]:
        """Return the rooms in which somebody may wait."""
        return set(await self._store.command("SMEMBERS", keys.AWAKE))

    async def occupied(self) -> set[RoomId]:
        """Return the rooms in which somebody may hold a slot."""
        return set(await self._store.command("SMEMBERS", keys.OCCUPIED))

    async def has_visitors(self, room: RoomId) -> bool:
        """Say whether somebody waits or holds a slot in a room, whatever the lists say."""
        k = keys.of(room)
        return bool(await self._store.command("EXISTS", k.waiting, k.admitted))

    async def has_waiting(self, room: RoomId) -> bool:
        """Say whether somebody waits in a room, whatever the lists say."""
        return bool(await self._store.command("EXISTS", keys.of(room).waiting))

    async def wake(self, rooms: Collection[RoomId]) -> None:
        """Put rooms, at least one, on both lists, so that the admitter serves them from now on."""
        await self._store.command("SADD", keys.OCCUPIED, *rooms)
        await self._store.command("SADD", keys.AWAKE, *rooms)

    async def let_sleep(self, room: RoomId) -> bool:
        """Let a room sleep if nobody waits in it; return whether it does now.

        It is occupied from here on, since those who waited last may hold slots.

        Raises:
            Unavailable: It may be off the list though somebody is inside; the caller must wake it.
        """
        await self._store.command("SADD", keys.OCCUPIED, room)
        return await self._remove_unless_held(keys.AWAKE, room, keys.of(room).waiting)

    async def mark_vacant(self, room: RoomId) -> bool:
        """Take a room off the occupied list unless a slot is held; return whether it is off.

        Raises:
            Unavailable: It may be off the list though somebody is inside; the caller must wake it.
        """
        return await self._remove_unless_held(keys.OCCUPIED, room, keys.of(room).admitted)

    async def _remove_unless_held(self, listed: str, room: RoomId, key: str) -> bool:
        """Take a room off a list unless its key holds somebody; return whether it is off.

        The check that counts comes after the removal. A caller that adds a visitor adds the room
        to the list afterwards: before the removal, and this check sees the visitor; or after it,
        and the room is back on the list. A check before the removal alone would miss visitors who
        come in between.
        """
        if await self._store.command("EXISTS", key):
            return False
        await self._store.command("SREM", listed, room)
        if not await self._store.command("EXISTS", key):
            return True
        await self._store.command("SADD", listed, room)
        return False

    async def create(self, room: RoomId, rules: Rules) -> None:
        """Create a room.

        Raises:
            RoomExists: It was created before.
            TooManyRooms: There are `ROOMS_MAX` already.
        """
        if not await self.ensure(room, rules):
            raise RoomExists

    async def ensure(self, room: RoomId, rules: Rules) -> bool:
        """Create a room unless it exists; return whether it was created now.

        Raises:
            TooManyRooms: There are `ROOMS_MAX` already.
        """
        # The registry comes first: a room that it does not name would never be admitted from,
        # while a name without a room does no harm.
        if not await self._store.command("SISMEMBER", keys.ROOMS, room):
            if await self._store.command("SCARD", keys.ROOMS) >= ROOMS_MAX:
                raise TooManyRooms
            await self._store.command("SADD", keys.ROOMS, room)
        k = keys.of(room)
        rows = await self._store.run(OPEN, (k.room, k.rate), _written(rules))
        return _word(OPEN, rows) == "opened"

    async def change(self, room: RoomId, changes: Mapping[str, object]) -> Rules:
        """Change some rules of a room; they hold from the next call on.

        Args:
            room: Which.
            changes: Settings by name.

        Returns:
            All its rules, as they are now.

        Raises:
            RoomUnknown: There is no such room.
            SettingError: A value, or what it makes together with the others, is out of range.
        """
        changed = (await self.survey(room)).rules.changed(changes)
        pairs = _written(changed, changes.keys())
        if pairs and _word(CHANGE, await self._store.run(CHANGE, (keys.of(room).room,), pairs)) == (
            "no_room"
        ):
            raise RoomUnknown
        return changed

    async def reset(self, room: RoomId) -> int:
        """Send everybody out and return how many; rules, totals and the last place stay.

        Raises:
            RoomUnknown: There is no such room.
        """
        rows = await self._store.run(RESET, keys.of(room)[:-1], ())
        if _word(RESET, rows) == "no_room":
            raise RoomUnknown
        return int(rows[0][1])

    async def delete(self, room: RoomId, *, force: bool = False) -> int:
        """Delete a room with everything in it; return how many visitors it sent out.

        Args:
            room: Which.
            force: Whether to send out those who are inside.

        Raises:
            RoomOccupied: Somebody is inside, and `force` is not set. Nothing has changed.
            RoomUnknown: There is no such room.
            Unavailable: The room may be gone and still be listed; a repeat takes it off the lists.
        """
        k = keys.of(room)
        listed = await self._store.command("SISMEMBER", keys.ROOMS, room)
        rows = await self._store.run(DELETE, k, (int(force),))
        if _word(DELETE, rows) == "occupied":
            raise RoomOccupied(*map(int, rows[0][1:]))
        # A caller that creates the room again meanwhile finds it listed.
        for noted, key in (
            (keys.AWAKE, k.waiting),
            (keys.OCCUPIED, k.admitted),
            (keys.ROOMS, k.room),
        ):
            await self._remove_unless_held(noted, room, key)
        if _word(DELETE, rows) == "no_room":
            if listed:
                return 0
            raise RoomUnknown
        return int(rows[0][1])

    async def decide(self, room: RoomId, before: Decision | None, decision: Decision) -> bool:
        """Note how a room admits for now; return whether nobody else has decided meanwhile.

        Args:
            room: Which.
            before: What was decided before, as it was read.
            decision: What is decided.

        Raises:
            RoomUnknown: There is no such room.

        Invariant:
            Q4, Q5: the room's own limits hold whatever is decided.
        """
        words = (0 if before is None else before.at_ms, *decisions.serialize(decision))
        word = _word(DECIDE, await self._store.run(DECIDE, (keys.of(room).room,), words))
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
        _, at_ms, waiting, admitted, serving, flat_fields, flat_rate = rows[0]
        stored, rate = _pairs(flat_fields), _pairs(flat_rate)
        fresh = at_ms - int(rate.get("last_at", 0)) <= _MEASURE_STALE_MS
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
            counters={name: int(stored.get(name, 0)) for name in COUNTERS},
            decision=_decision(stored),
        )

    async def sale_record(self, room: RoomId) -> SaleRecord:
        """Read what is kept of a room's sale; an empty record if nobody was admitted yet."""
        return record.parse(_pairs(await self._store.command("HGETALL", keys.of(room).record)))


def _word(script: scripts.Script, rows: Sequence[scripts.Row]) -> str:
    word = str(rows[0][0])
    assert word in script.outcomes, word
    return word


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _written(rules: Rules, names: Collection[str] = SETTING_NAMES) -> list[str | int | float]:
    """Return settings as they are stored: names and values in turn."""
    words: list[str | int | float] = []
    for name, value in rules.values.items():
        if name in names:
            words += [name, value if isinstance(value, int | float) else str(value)]
    return words


def _rules(stored: Mapping[str, str]) -> Rules:
    """Read the settings of a room; a room of an older version has the defaults of newer ones."""
    return Rules().changed(
        {
            setting.name: setting.kind(stored[setting.name])
            for setting in ROOM_SETTINGS
            if setting.name in stored
        }
    )


def _decision(stored: Mapping[str, str]) -> Decision | None:
    names = ("now_reason", "now_per_s", "now_until", "now_basis", "now_ms")
    return decisions.parse(*(stored[name] for name in names)) if "now_ms" in stored else None
