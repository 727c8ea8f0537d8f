"""The invariants, each checked over a whole history without asking the reference model."""

from tests.model.stay import Row
from tests.model.stored import STOPPED, Contents
from tests.model.witness import Seen
from waitline.queue.limits import Limits

REFUSED = {
    *("full", "closed", "expired", "spent", "queued", "unknown", "stranger", "absent"),
    *("held", "leased", "late", "passed", "no_room", "unstated", "stale", "line"),
}

CLAIMING = {"activate", "extend", "leave", "rejoin", "slide"}


class History:
    """The history of one room."""

    def __init__(self, limits: Limits, contents: Contents, now_ms: int) -> None:
        self._before = contents
        self._limits = limits
        # When which rate and burst began to hold.
        self._paces = [(now_ms, limits.admit_per_s, limits.burst)]
        self._last_place = 0
        self._last_turn = 0
        self._serving = 0
        # Places of those who were passed over and came back.
        self._returned: set[int] = set()
        self._admissions: list[int] = []
        # Since when the bucket fills from nothing, and how many were admitted since; `None` if that
        # is not known.
        self._emptied_ms: int | None = None
        self._since_emptied = 0
        # When the server's clock was set.
        self._steps: list[int] = []

    def changed(self, limits: Limits, now_ms: int) -> None:
        self._limits = limits
        self._paces.append((now_ms, limits.admit_per_s, limits.burst))

    def stepped(self, now_ms: int) -> None:
        self._steps.append(now_ms)
        self._emptied_ms = None

    def aged(self, now_ms: int, ms: int) -> None:
        """Note that the bucket fills as if so much time had passed."""
        self._steps.append(now_ms)
        tokens, at_ms = self._before.bucket
        self._before = self._before._replace(bucket=(tokens, at_ms - ms))
        if self._emptied_ms is not None:
            self._emptied_ms -= ms

    def emptied(self, now_ms: int) -> None:
        """Note that the room has admitted nobody until now."""
        self._emptied_ms, self._since_emptied = now_ms, 0

    def add(self, seen: Seen) -> None:
        """Check one more call against everything before it."""
        self.q1_one_place_per_visitor(seen.contents)
        self.q2_places_rise_and_are_never_reused(seen)
        self.q3_nobody_is_admitted_while_a_lower_place_waits(seen)
        self.q4_admitted_never_exceed_active_max(seen.contents)
        self.q5_admissions_never_exceed_rate_and_burst(seen)
        self.q5_a_pause_saves_nothing_up(seen)
        self.q6_a_visitor_is_in_exactly_one_state(seen.contents)
        self.q7_nobody_is_lost(seen)
        self.q8_extensions_never_exceed_the_most(seen.contents)
        self.q8_a_slide_adds_time_and_nothing_else(seen)
        self.q9_a_strangers_ticket_serves_nobody(seen)
        self.q9_a_stay_keeps_its_mark(seen.contents)
        self.q10_a_refused_call_changes_nothing(seen)
        self._before = seen.contents

    def q1_one_place_per_visitor(self, now: Contents) -> None:
        assert not now.waiting.keys() & now.slots.keys()
        places = [*now.waiting.values(), *map(_place, now.slots.values())]
        assert len(places) == len(set(places))

    def q2_places_rise_and_are_never_reused(self, seen: Seen) -> None:
        for row in seen.rows:
            if row[0] == "joined" or (seen.script, row[0]) == ("walk_in", "active"):
                assert int(row[1]) > self._last_place
                self._last_place = int(row[1])
        assert seen.contents.seq == self._last_place

    def q3_nobody_is_admitted_while_a_lower_place_waits(self, seen: Seen) -> None:
        now, before = seen.contents, self._before
        turns = sorted(place for name, place in before.waiting.items() if name in now.slots)
        assert not turns or not now.waiting or turns[-1] < min(now.waiting.values())
        if seen.script == "walk_in" and seen.rows[0][0] == "active":
            # Without a line there is nobody to pass.
            assert not before.waiting
            new = now.slots.keys() - before.slots.keys()
            turns = sorted(_place(now.slots[name]) for name in new)
        # Those who were passed over and came back have had their turn before.
        for turn in (place for place in turns if place not in self._returned):
            assert turn > self._last_turn
            self._last_turn = turn
        self._returned |= {place for name, place in now.waiting.items() if name in before.slots}
        first = (place for place in now.waiting.values() if place not in self._returned)
        assert self._last_turn < min(first, default=self._last_turn + 1)
        if seen.script == "survey":
            # now-serving may only rise, or browsers would show a visitor moving back.
            assert self._last_turn <= int(seen.rows[0][4])
            assert self._serving <= int(seen.rows[0][4])
            self._serving = int(seen.rows[0][4])

    def q4_admitted_never_exceed_active_max(self, now: Contents) -> None:
        # A lowered limit sends nobody out, and lets nobody in.
        assert len(now.admitted) <= max(self._limits.active_max, len(self._before.admitted))

    def q5_admissions_never_exceed_rate_and_burst(self, seen: Seen) -> None:
        new = seen.contents.admitted.keys() - self._before.admitted.keys()
        self._admissions += [int(seen.contents.slots[name].split("|")[3]) for name in new]
        end_ms = max(self._admissions, default=0)
        within = [at_ms for at_ms in self._admissions if at_ms > end_ms - 1000]
        starts = [*(since for since, _, _ in self._paces[1:]), end_ms + 1]
        held = [
            pace for pace, until in zip(self._paces, starts, strict=True) if until > end_ms - 1000
        ]
        # An admitter without a monotonic clock may fill its bucket once more after a step.
        fills = 1 + sum(at_ms > end_ms - 1000 for at_ms in self._steps)
        most = fills * max(burst for _, _, burst in held) + max(per_s for _, per_s, _ in held)
        assert len(within) <= most

    def q5_a_pause_saves_nothing_up(self, seen: Seen) -> None:
        if seen.rows[0][0] == "held":
            self.emptied(seen.from_ms)
        if self._emptied_ms is None:
            return
        self._since_emptied += len(seen.contents.admitted.keys() - self._before.admitted.keys())
        starts = [*(since for since, _, _ in self._paces[1:]), seen.to_ms]
        per_s = max(
            pace[1]
            for pace, until in zip(self._paces, starts, strict=True)
            if until >= self._emptied_ms
        )
        # A beat of up to a quarter of a second ago sets the listening clock.
        assert self._since_emptied <= per_s * (seen.to_ms + 1 - self._emptied_ms) / 1000

    def q6_a_visitor_is_in_exactly_one_state(self, now: Contents) -> None:
        waiting, admitted, lapsed = now.waiting.keys(), now.admitted.keys(), now.lapsed.keys()
        assert not waiting & admitted
        assert not waiting & lapsed
        assert not admitted & lapsed
        assert now.slots.keys() == admitted | lapsed
        assert now.heard.keys() == waiting
        assert all(
            now.slots[name].partition(";")[0].endswith(f"|{at}")
            for name, at in now.admitted.items()
        )

    def q7_nobody_is_lost(self, seen: Seen) -> None:
        now, before = seen.contents, self._before
        gone = (before.waiting.keys() | before.slots.keys()) - (
            now.waiting.keys() | now.slots.keys()
        )
        if seen.script == "leave":
            assert gone <= {name for (name, _), row in _claims(seen) if row[0] == "left"}
        elif seen.script == "sweep":
            assert len(gone) == seen.rows[0][2]
            assert not gone & before.waiting.keys()
        elif seen.script != "reset":
            assert not gone
        out = ("left", "abandoned", "lapsed", "passed", "removed")
        here = len(now.waiting) + len(now.admitted)
        came = now.counters.get("entered", 0) + now.counters.get("returned", 0)
        assert came == here + sum(now.counters.get(name, 0) for name in out)

    def q8_extensions_never_exceed_the_most(self, now: Contents) -> None:
        for name, slot in now.slots.items():
            extensions, earlier = _extensions(slot), _extensions(self._before.slots.get(name))
            assert extensions <= max(self._limits.extensions_max, earlier)

    def q8_a_slide_adds_time_and_nothing_else(self, seen: Seen) -> None:
        if seen.script != "slide":
            return
        now, before = seen.contents, self._before
        assert now.admitted.keys() == before.admitted.keys()
        for (name, _), row in _claims(seen):
            if row[0] != "active" or now.slots[name] == before.slots[name]:
                continue
            assert _extensions(now.slots[name]) == _extensions(before.slots[name])
            assert now.admitted[name] > before.admitted[name]
            # In the server's time, as rows have it.
            assert int(row[5]) <= int(row[3]) + self._limits.stay_ms

    def q9_a_strangers_ticket_serves_nobody(self, seen: Seen) -> None:
        if seen.script not in CLAIMING:
            return
        owners = {
            name
            for (name, claim), _ in _claims(seen)
            if claim in ("0", _known_stay(self._before, name))
        }
        for (name, _), row in _claims(seen):
            if name not in owners:
                assert row[0] in {"stranger", "queued", "unknown", "absent", "late"}
                assert _about(seen.contents, name) == _about(self._before, name)

    def q9_a_stay_keeps_its_mark(self, now: Contents) -> None:
        before, after = _marks(self._before), _marks(now)
        assert all(after[stay] == before[stay] for stay in before.keys() & after.keys())

    def q10_a_refused_call_changes_nothing(self, seen: Seen) -> None:
        if all(row[0] in REFUSED for row in seen.rows) and seen.script != "status":
            before = self._before
            if seen.rows[0][0] == "held":
                # A room that admits nobody has an empty bucket.
                before = before._replace(bucket=(0.0, STOPPED))
            elif seen.script == "walk_in" and before.bucket[1] == STOPPED:
                # Its first call starts the bucket, empty.
                assert seen.contents.bucket[0] == 0
                before = before._replace(bucket=seen.contents.bucket)
            assert _uncounted(seen.contents) == _uncounted(before)


def _claims(seen: Seen) -> list[tuple[tuple[str, str], Row]]:
    names, claims = seen.args[::2], seen.args[1::2]
    pairs = [(str(name), str(claim)) for name, claim in zip(names, claims, strict=True)]
    return list(zip(pairs, seen.rows, strict=True))


def _place(slot: str) -> int:
    return int(slot.split("|")[1])


def _extensions(slot: str | None) -> int:
    return int(slot.split("|")[4]) if slot else 0


def _known_stay(contents: Contents, name: str) -> str | None:
    if name in contents.slots:
        return "-".join(contents.slots[name].split("|")[1:3])
    if name not in contents.waiting:
        return None
    joined_ms = contents.heard[name].partition(";")[0].partition(":")[0]
    return f"{contents.waiting[name]}-{joined_ms}"


def _marks(contents: Contents) -> dict[tuple[str, int], str]:
    """Return the mark of each visitor who waits or holds a slot, by visitor and place."""
    waiting = {
        (name, place): contents.heard[name].split(";")[1:]
        for name, place in contents.waiting.items()
    }
    admitted = {
        (name, _place(contents.slots[name])): contents.slots[name].split(";")[1:]
        for name in contents.admitted
    }
    return {stay: "".join(mark) for stay, mark in (waiting | admitted).items()}


def _about(contents: Contents, name: str) -> tuple[object, ...]:
    return tuple(
        held.get(name)
        for held in (
            contents.waiting,
            contents.heard,
            contents.admitted,
            contents.lapsed,
            contents.slots,
        )
    )


def _uncounted(contents: Contents) -> Contents:
    """Drop what refusals change: one counter, and the listening clock."""
    counters = {k: v for k, v in contents.counters.items() if k != "lease_refused"}
    return contents._replace(counters=counters, clock=())
