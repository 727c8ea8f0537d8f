"""Audit: take a consistent snapshot of a room and check the invariants that it can show.

The snapshot is one transaction. It blocks the server for about 30 ms per 100 000 visitors, and
sending the reply takes as long again. Run it after a sale, in a rehearsal or off-peak.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.plurals import counted
from waitline.queue import keys
from waitline.queue.model import COUNTERS, RoomUnknown, Slot, State
from waitline.queue.relations import burst_of
from waitline.valkey.client import ValkeyClient

READ_S = 60.0
"""Timeout of the snapshot, in s: a million visitors took 2.4 s (measured)."""

_JOINED = re.compile("[:;]")
"""The part after a visitor's time of joining in `heard`."""

_RETURNED = 2
"""Index of the time of return among a waiting visitor's times."""

EXAMPLES_MAX = 5
"""Visitors named in a finding; its count covers all of them."""

INVARIANTS = {
    "Q1": "one place per visitor",
    "Q2": "places rise in the order of joining and are never reused",
    "Q3": "nobody is admitted while a lower place waits",
    "Q4": "admitted visitors never exceed active-max",
    "Q5": "admissions in any second never exceed rate + burst",
    "Q6": "every visitor is in exactly one state",
    "Q7": "nobody who joined is lost",
    "Q8": "extensions and stays never exceed the most allowed",
    "Q9": "a ticket serves its visitor and room only",
}


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """The contents of a room at one instant.

    Attributes:
        room: Its name.
        fields: Its rules, counters and last place, as stored.
        waiting: Place by visitor.
        heard: When each joined, in ms, by visitor.
        returned: When those who were passed over came back, in ms, by visitor.
        admitted: When each slot runs out, in ms, by visitor.
        lapsed: Visitors who lapsed recently.
        slots: Slot by visitor; that of a visitor who was passed over is EXPIRED.
        passed: Visitors who were passed over, and so never admitted.
    """

    room: RoomId
    fields: Mapping[str, str]
    waiting: Mapping[VisitorId, int]
    heard: Mapping[VisitorId, int]
    returned: Mapping[VisitorId, int]
    admitted: Mapping[VisitorId, int]
    lapsed: frozenset[VisitorId]
    slots: Mapping[VisitorId, Slot]
    passed: frozenset[VisitorId]

    def number(self, name: str) -> int:
        """Return a stored count, 0 if there is none yet."""
        return int(self.fields.get(name, 0))


async def take_snapshot(store: ValkeyClient, room: RoomId) -> RoomSnapshot:
    """Take a snapshot of a room in one transaction.

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
        heard={
            VisitorId(visitor): int(_JOINED.split(text, 1)[0]) for visitor, text in _pairs(heard)
        },
        returned={
            VisitorId(visitor): int(times[2])
            for visitor, text in _pairs(heard)
            if len(times := text.partition(";")[0].split(":")) > _RETURNED
        },
        admitted={VisitorId(visitor): int(float(at)) for visitor, at in _pairs(admitted)},
        lapsed=frozenset(VisitorId(visitor) for visitor in lapsed),
        slots=stored,
        passed=frozenset(VisitorId(name) for name, text in _pairs(slots) if text.startswith("P")),
    )


def examine(
    snapshot: RoomSnapshot, serves: Callable[[VisitorId, int, int, VisitorId], bool] | None = None
) -> list[Finding]:
    """Check every invariant that a snapshot can show. Pure.

    Args:
        snapshot: The room.
        serves: Takes a visitor, its place, its time of joining and another visitor; returns
            whether the first one's ticket is accepted from the other. `None` skips Q9.

    Returns:
        One finding per violation; empty if every invariant holds.
    """
    checks = (_q1, _q2, _q3, _q4, _q5, _q6, _q7, _q8)
    findings = [finding for check in checks for finding in check(snapshot)]
    if serves is not None:
        findings += _q9(snapshot, serves)
    return findings


def _q1(snapshot: RoomSnapshot) -> Iterator[Finding]:
    yield from _found(
        "Q1", "both in the line and with a slot", snapshot.waiting.keys() & snapshot.slots
    )
    owners: dict[int, VisitorId] = {}
    shared = []
    for visitor, place in _places(snapshot):
        if place in owners:
            shared.append(visitor)
        owners[place] = visitor
    yield from _found("Q1", "share a place with another", shared)


def _q2(snapshot: RoomSnapshot) -> Iterator[Finding]:
    last = snapshot.number("seq")
    beyond = [visitor for visitor, place in _places(snapshot) if not 0 < place <= last]
    yield from _found("Q2", f"have a place outside 1 to {last}", beyond)
    joined = {visitor: slot.joined_ms for visitor, slot in snapshot.slots.items()} | dict(
        snapshot.heard
    )
    in_line = sorted((place, visitor) for visitor, place in _places(snapshot))
    # A visitor who joined after the clock was set back has an earlier time, not a lower place.
    back_ms = snapshot.number("stepped_back_ms")
    late = [
        second
        for (_, first), (_, second) in pairwise(in_line)
        if joined.get(second, 0) < joined.get(first, 0) - back_ms
    ]
    yield from _found("Q2", "joined before somebody with a lower place", late)


def _q3(snapshot: RoomSnapshot) -> Iterator[Finding]:
    came = dict(snapshot.waiting)
    for visitor, returned_ms in snapshot.returned.items():
        # The visitor was passed over earlier, and waits again since then.
        place = came.pop(visitor, None)
        if place is not None:
            yield from _turns_after(snapshot, place, returned_ms)
    if came:
        yield from _turns_after(snapshot, min(came.values()), None)
    overtaken = snapshot.number("overtaken")
    if overtaken:
        yield Finding("Q3", f"{overtaken} had their turn after a higher place", overtaken)


def _turns_after(snapshot: RoomSnapshot, place: int, since_ms: int | None) -> Iterator[Finding]:
    """Find admissions of higher places while a lower one waits, or since it waits again."""
    early = [
        visitor
        for visitor, slot in snapshot.slots.items()
        if slot.place > place and (since_ms is None or slot.admitted_ms > since_ms)
    ]
    yield from _found("Q3", f"had their turn while place {place} waits", early)


def _q4(snapshot: RoomSnapshot) -> Iterator[Finding]:
    over = len(snapshot.admitted) - snapshot.number("active_max")
    # Lowering the limit ends no stay, so only an admission after the change is a violation.
    since = snapshot.number("changed_ms")
    after = any(slot.admitted_ms > since for slot in _admitted(snapshot).values())
    if over > 0 and after:
        yield Finding("Q4", f"{len(snapshot.admitted)} hold a slot, {over} more than allowed", over)


def _q5(snapshot: RoomSnapshot) -> Iterator[Finding]:
    since = snapshot.number("changed_ms")
    times = sorted(
        slot.admitted_ms
        for visitor, slot in snapshot.slots.items()
        if slot.admitted_ms > since and visitor not in snapshot.passed
    )
    per_s = float(snapshot.fields["admit_per_s"])
    most = per_s + (snapshot.number("admit_burst") or burst_of(per_s))
    if snapshot.number("stepped_back_ms"):
        # The server's clock was set back: it showed the same second twice.
        most *= 2
    start, worst = 0, 0
    for end, time_ms in enumerate(times):
        while time_ms - times[start] >= 1000:  # noqa: PLR2004 - a second, in ms
            start += 1
        worst = max(worst, end - start + 1)
    if worst > most:
        text = f"{worst} admitted within one second, {most:g} allowed"
        yield Finding("Q5", text, worst - int(most))


def _q6(snapshot: RoomSnapshot) -> Iterator[Finding]:
    waiting, admitted = snapshot.waiting.keys(), snapshot.admitted.keys()
    yield from _found("Q6", "both waiting and admitted", waiting & admitted)
    yield from _found("Q6", "both waiting and lapsed", waiting & snapshot.lapsed)
    yield from _found("Q6", "both admitted and lapsed", admitted & snapshot.lapsed)
    held = admitted | snapshot.lapsed
    yield from _found("Q6", "admitted or lapsed, without a slot", held - snapshot.slots.keys())
    yield from _found(
        "Q6", "with a slot, neither admitted nor lapsed", snapshot.slots.keys() - held
    )
    yield from _found("Q6", "waiting, without a time of joining", waiting - snapshot.heard.keys())
    yield from _found("Q6", "with a time of joining, not waiting", snapshot.heard.keys() - waiting)
    differing = [
        visitor
        for visitor, slot in _admitted(snapshot).items()
        if slot.expires_ms != snapshot.admitted[visitor]
    ]
    yield from _found("Q6", "with two different expiry times", differing)


def _q7(snapshot: RoomSnapshot) -> Iterator[Finding]:
    gone = ("left", "abandoned", "lapsed", "passed", "removed")
    assert set(gone) <= set(COUNTERS)
    known = (
        len(snapshot.waiting) + len(snapshot.admitted) + sum(snapshot.number(name) for name in gone)
    )
    came = snapshot.number("entered") + snapshot.number("returned")
    missing = came - known
    if missing:
        text = f"{came} joined or came back, {known} are here or accounted for"
        yield Finding("Q7", text, abs(missing))


def _q8(snapshot: RoomSnapshot) -> Iterator[Finding]:
    most, since = snapshot.number("extensions_max"), snapshot.number("changed_ms")
    over = [
        visitor
        for visitor, slot in snapshot.slots.items()
        if slot.extensions > most and slot.admitted_ms > since
    ]
    yield from _found("Q8", f"extended more than {counted(most, 'time')}", over)
    yield from _found("Q8", "with more time than a stay has", _overlong(snapshot))


def _overlong(snapshot: RoomSnapshot) -> list[VisitorId]:
    """Return the visitors whose stays end later than extensions and sliding allow."""
    ready, active = snapshot.number("ready_ttl_ms"), snapshot.number("active_ttl_ms")
    # A stay ends in listening time, which is behind the server's clock unless that was set back.
    most = max(ready + active, snapshot.number("stay_ms")) + snapshot.number("stepped_back_ms")
    return [
        visitor
        for visitor, slot in _admitted(snapshot).items()
        if slot.admitted_ms > snapshot.number("changed_ms")
        and slot.expires_ms > slot.admitted_ms + most + slot.extensions * active
    ]


def _q9(
    snapshot: RoomSnapshot, serves: Callable[[VisitorId, int, int, VisitorId], bool]
) -> Iterator[Finding]:
    in_line = sorted((place, visitor) for visitor, place in snapshot.waiting.items())[:1000]
    useless = [
        visitor
        for place, visitor in in_line
        if not serves(visitor, place, snapshot.heard.get(visitor, 0), visitor)
    ]
    yield from _found("Q9", "not accepted with their own ticket", useless)
    strangers = [
        second
        for (place, first), (_, second) in pairwise(in_line)
        if serves(first, place, snapshot.heard.get(first, 0), second)
    ]
    yield from _found("Q9", "accepted with another's ticket", strangers)


def _admitted(snapshot: RoomSnapshot) -> dict[VisitorId, Slot]:
    return {name: snapshot.slots[name] for name in snapshot.admitted.keys() & snapshot.slots.keys()}


def _places(snapshot: RoomSnapshot) -> Iterator[tuple[VisitorId, int]]:
    yield from snapshot.waiting.items()
    yield from ((visitor, slot.place) for visitor, slot in snapshot.slots.items())


def _found(invariant: str, text: str, visitors: Iterable[VisitorId]) -> Iterator[Finding]:
    names = sorted(visitors)
    if names:
        some = ", ".join(names[:EXAMPLES_MAX]) + (" …" if len(names) > EXAMPLES_MAX else "")
        yield Finding(invariant, f"{len(names)} {text}: {some}", len(names))


def _pairs(flat: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - two shapes of the driver
    """Return a reply as pairs, whether it is flat or already paired by the driver."""
    if isinstance(flat, dict):
        yield from flat.items()
    elif flat and isinstance(flat[0], (tuple, list)):
        yield from flat
    else:
        yield from zip(flat[::2], flat[1::2], strict=True)


def _slot(text: str) -> Slot:
    letter, *numbers = text.partition(";")[0].split("|")
    state = {"R": State.READY, "A": State.ACTIVE}.get(letter, State.EXPIRED)
    place, joined_ms, admitted_ms, extensions, expires_ms = map(int, numbers)
    return Slot(state, place, joined_ms, admitted_ms, extensions, expires_ms)
