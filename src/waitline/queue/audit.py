"""Read a whole room at one instant and check the invariants that can be seen in it.

Reading is one step for the server, which answers nobody else meanwhile: about 30 ms for 100 000
visitors, and as long again to send them. It is for after a sale, for a rehearsal, or for a quiet
minute.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import keys
from waitline.queue.model import COUNTERS, RoomUnknown, Slot, State
from waitline.valkey.client import ValkeyClient

READ_S = 60.0
"""How long reading may take: a million visitors took 2.4 s (measured)."""

EXAMPLES_MAX = 5
"""Visitors named per finding; the count says how many there are."""

INVARIANTS = {
    "Q1": "one place per visitor",
    "Q2": "places rise in the order of joining and are never reused",
    "Q3": "nobody is admitted while a lower place waits",
    "Q4": "admitted visitors never exceed active-max",
    "Q5": "admissions in any second never exceed rate + burst",
    "Q6": "every visitor is in exactly one state",
    "Q7": "nobody who joined is lost",
    "Q8": "extensions never exceed the most allowed",
    "Q9": "a ticket serves its visitor and room only",
}


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """All that a room holds, at one instant.

    Attributes:
        room: Its name.
        fields: Its rules, counters and last place, as stored.
        waiting: Place by visitor.
        heard: When each joined, in ms, by visitor.
        admitted: When each slot runs out, in ms, by visitor.
        lapsed: Who lapsed lately.
        slots: Slot by visitor; a passed-over one is EXPIRED and was never admitted.
        passed: Those whose turn passed them over.
    """

    room: RoomId
    fields: Mapping[str, str]
    waiting: Mapping[VisitorId, int]
    heard: Mapping[VisitorId, int]
    admitted: Mapping[VisitorId, int]
    lapsed: frozenset[VisitorId]
    slots: Mapping[VisitorId, Slot]
    passed: frozenset[VisitorId]

    def number(self, name: str) -> int:
        """Return a stored count, 0 if there is none yet."""
        return int(self.fields.get(name, 0))


async def take_snapshot(store: ValkeyClient, room: RoomId) -> RoomSnapshot:
    """Read a room in one step.

    Raises:
        RoomUnknown: There is no such room.
    """
    k = keys.of(room)
    fields, waiting, heard, admitted, lapsed, slots = await store.transaction(
        [
            ("HGETALL", k.room),
            ("ZRANGE", k.waiting, 0, -1, "WITHSCORES"),
            ("HGETALL", k.heard),
            ("ZRANGE", k.admitted, 0, -1, "WITHSCORES"),
            ("ZRANGE", k.lapsed, 0, -1),
            ("HGETALL", k.slots),
        ],
        READ_S,
    )
    if not fields:
        raise RoomUnknown
    stored = {VisitorId(visitor): _slot(text) for visitor, text in _pairs(slots)}
    return RoomSnapshot(
        room=room,
        fields=dict(_pairs(fields)),
        waiting={VisitorId(visitor): int(float(place)) for visitor, place in _pairs(waiting)},
        heard={VisitorId(visitor): int(text.partition(":")[0]) for visitor, text in _pairs(heard)},
        admitted={VisitorId(visitor): int(float(at)) for visitor, at in _pairs(admitted)},
        lapsed=frozenset(VisitorId(visitor) for visitor in lapsed),
        slots=stored,
        passed=frozenset(VisitorId(name) for name, text in _pairs(slots) if text.startswith("P")),
    )


def examine(
    seen: RoomSnapshot, serves: Callable[[VisitorId, int, int, VisitorId], bool] | None = None
) -> list[Finding]:
    """Check every invariant that a snapshot can show. Pure.

    Args:
        seen: The room.
        serves: Whether the ticket of a visitor, its place and time of joining, serves another
            visitor; `None` leaves Q9 unchecked.

    Returns:
        What does not hold; empty if all is well.
    """
    checks = (_q1, _q2, _q3, _q4, _q5, _q6, _q7, _q8)
    findings = [finding for check in checks for finding in check(seen)]
    if serves is not None:
        findings += _q9(seen, serves)
    return findings


def _q1(seen: RoomSnapshot) -> Iterator[Finding]:
    yield from _found("Q1", "both in the line and with a slot", seen.waiting.keys() & seen.slots)
    owners: dict[int, VisitorId] = {}
    shared = []
    for visitor, place in _places(seen):
        if place in owners:
            shared.append(visitor)
        owners[place] = visitor
    yield from _found("Q1", "share a place with another", shared)


def _q2(seen: RoomSnapshot) -> Iterator[Finding]:
    last = seen.number("seq")
    beyond = [visitor for visitor, place in _places(seen) if not 0 < place <= last]
    yield from _found("Q2", f"have a place outside 1 to {last}", beyond)
    joined = {visitor: slot.joined_ms for visitor, slot in seen.slots.items()} | dict(seen.heard)
    in_line = sorted((place, visitor) for visitor, place in _places(seen))
    late = [
        second
        for (_, first), (_, second) in pairwise(in_line)
        if joined.get(second, 0) < joined.get(first, 0)
    ]
    yield from _found("Q2", "joined before somebody with a lower place", late)


def _q3(seen: RoomSnapshot) -> Iterator[Finding]:
    if seen.waiting:
        first = min(seen.waiting.values())
        early = [visitor for visitor, slot in seen.slots.items() if slot.place > first]
        yield from _found("Q3", f"had their turn while place {first} waits", early)
    overtaken = seen.number("overtaken")
    if overtaken:
        yield Finding("Q3", f"{overtaken} had their turn after a higher place", overtaken)


def _q4(seen: RoomSnapshot) -> Iterator[Finding]:
    over = len(seen.admitted) - seen.number("active_max")
    # Lowering the limit sends nobody out, so only admissions after it can be wrong.
    since = seen.number("changed_ms")
    after = any(slot.admitted_ms > since for slot in _admitted(seen).values())
    if over > 0 and after:
        yield Finding("Q4", f"{len(seen.admitted)} hold a slot, {over} more than allowed", over)


def _q5(seen: RoomSnapshot) -> Iterator[Finding]:
    since = seen.number("changed_ms")
    times = sorted(
        slot.admitted_ms
        for visitor, slot in seen.slots.items()
        if slot.admitted_ms > since and visitor not in seen.passed
    )
    most = float(seen.fields["admit_per_s"]) + seen.number("admit_burst")
    start, worst = 0, 0
    for end, time_ms in enumerate(times):
        while time_ms - times[start] >= 1000:  # noqa: PLR2004 - a second, in ms
            start += 1
        worst = max(worst, end - start + 1)
    if worst > most:
        text = f"{worst} admitted within one second, {most:g} allowed"
        yield Finding("Q5", text, worst - int(most))


def _q6(seen: RoomSnapshot) -> Iterator[Finding]:
    waiting, admitted = seen.waiting.keys(), seen.admitted.keys()
    yield from _found("Q6", "both waiting and admitted", waiting & admitted)
    yield from _found("Q6", "both waiting and lapsed", waiting & seen.lapsed)
    yield from _found("Q6", "both admitted and lapsed", admitted & seen.lapsed)
    held = admitted | seen.lapsed
    yield from _found("Q6", "admitted or lapsed, without a slot", held - seen.slots.keys())
    yield from _found("Q6", "with a slot, neither admitted nor lapsed", seen.slots.keys() - held)
    yield from _found("Q6", "waiting, without a time of joining", waiting - seen.heard.keys())
    yield from _found("Q6", "with a time of joining, not waiting", seen.heard.keys() - waiting)
    differing = [
        visitor
        for visitor, slot in _admitted(seen).items()
        if slot.expires_ms != seen.admitted[visitor]
    ]
    yield from _found("Q6", "whose slot runs out at two different times", differing)


def _q7(seen: RoomSnapshot) -> Iterator[Finding]:
    gone = ("left", "abandoned", "lapsed", "passed", "removed")
    assert set(gone) <= set(COUNTERS)
    known = len(seen.waiting) + len(seen.admitted) + sum(seen.number(name) for name in gone)
    missing = seen.number("entered") - known
    if missing:
        text = f"{seen.number('entered')} joined, {known} are here or accounted for"
        yield Finding("Q7", text, abs(missing))


def _q8(seen: RoomSnapshot) -> Iterator[Finding]:
    most, since = seen.number("extensions_max"), seen.number("changed_ms")
    over = [
        visitor
        for visitor, slot in seen.slots.items()
        if slot.extensions > most and slot.admitted_ms > since
    ]
    yield from _found("Q8", f"extended more than {most} times", over)


def _q9(
    seen: RoomSnapshot, serves: Callable[[VisitorId, int, int, VisitorId], bool]
) -> Iterator[Finding]:
    in_line = sorted((place, visitor) for visitor, place in seen.waiting.items())[:1000]
    useless = [
        visitor
        for place, visitor in in_line
        if not serves(visitor, place, seen.heard.get(visitor, 0), visitor)
    ]
    yield from _found("Q9", "whose own ticket does not serve them", useless)
    strangers = [
        second
        for (place, first), (_, second) in pairwise(in_line)
        if serves(first, place, seen.heard.get(first, 0), second)
    ]
    yield from _found("Q9", "whom another's ticket serves", strangers)


def _admitted(seen: RoomSnapshot) -> dict[VisitorId, Slot]:
    return {name: seen.slots[name] for name in seen.admitted.keys() & seen.slots.keys()}


def _places(seen: RoomSnapshot) -> Iterator[tuple[VisitorId, int]]:
    yield from seen.waiting.items()
    yield from ((visitor, slot.place) for visitor, slot in seen.slots.items())


def _found(invariant: str, text: str, visitors: Iterable[VisitorId]) -> Iterator[Finding]:
    names = sorted(visitors)
    if names:
        some = ", ".join(names[:EXAMPLES_MAX]) + (" …" if len(names) > EXAMPLES_MAX else "")
        yield Finding(invariant, f"{len(names)} {text}: {some}", len(names))


def _pairs(flat: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - two shapes of the driver
    """Read a flat reply, or what the driver made of one, as pairs."""
    if isinstance(flat, dict):
        yield from flat.items()
    elif flat and isinstance(flat[0], (tuple, list)):
        yield from flat
    else:
        yield from zip(flat[::2], flat[1::2], strict=True)


def _slot(text: str) -> Slot:
    letter, *numbers = text.split("|")
    state = {"R": State.READY, "A": State.ACTIVE}.get(letter, State.EXPIRED)
    place, joined_ms, admitted_ms, extensions, expires_ms = map(int, numbers)
    return Slot(state, place, joined_ms, admitted_ms, extensions, expires_ms)
