"""Reference model of the line: plain Python, one visitor at a time, with the time as an argument.

What the rate measures is left out: it decides nothing. So is a store without memory.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import floor
from typing import NamedTuple

from tests.model.stay import Row, Stay
from waitline.kernel.ids import VisitorId
from waitline.queue.limits import Limits
from waitline.queue.model import ACCOUNT_MARK, State
from waitline.queue.settings import ADMITTING, Mode
from waitline.queue.store import StayClaim

# What counts at most after the last beat: lua/include/listening.lua.
GAP_MS = 2_000

# What the clock of the node that heard a beat may be ahead: lua/include/beat.lua.
APART_MS = 1_000

# How old a beat must be to be written again: lua/include/beat.lua.
BEAT_EVERY_MS = 250

STOPPED = -1
"""When the tokens of a bucket were counted that does not fill."""


class Contents(NamedTuple):
    """All that decides anything in a room, as it is stored."""

    seq: int
    counters: dict[str, int]
    lease: tuple[str, int]
    waiting: dict[str, int]
    heard: dict[str, str]
    admitted: dict[str, int]
    lapsed: dict[str, int]
    slots: dict[str, str]
    bucket: tuple[float, int]
    clock: tuple[int, ...]
    served: int


@dataclass
class Reference:
    """One room."""

    limits: Limits
    mode: Mode
    bucket_at_ms: int
    tokens: float = 0.0
    seq: int = 0
    stays: dict[VisitorId, Stay] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    holder: str = ""
    lease_until_ms: int = 0
    decided: tuple[float, int] | None = None
    # The listening clock: the last beat, what is lost, the end of the last outage, the largest step
    # back. Without a beat the server's time counts.
    clock: tuple[int, int, int, int] | None = None
    signed: bool = False
    # The place served when somebody returned last.
    served: int = 0

    def contents(self) -> Contents:
        stays = self.stays.items()
        return Contents(
            seq=self.seq,
            counters={name: count for name, count in self.counters.items() if count},
            lease=(self.holder, self.lease_until_ms),
            waiting={v: s.place for v, s in stays if s.waits},
            heard={v: _marked(s.times, s.mark) for v, s in stays if s.waits},
            admitted={v: s.expires_ms for v, s in stays if s.admitted},
            lapsed={v: s.lapsed_ms for v, s in stays if s.lapsed_ms is not None},
            slots={
                v: _marked("|".join((s.letter, *map(str, s.row("")[1:]))), s.mark)
                for v, s in stays
                if not s.waits
            },
            bucket=(self.tokens, self.bucket_at_ms),
            clock=self.clock or (),
            served=self.served,
        )

    def inside(self) -> tuple[int, int] | None:
        """How many wait, and how many hold a slot; `None` if nobody does."""
        stays = self.stays.values()
        counts = sum(stay.waits for stay in stays), sum(stay.admitted for stay in stays)
        return counts if any(counts) else None

    def listened(self, now_ms: int) -> int:
        if self.clock is None:
            return now_ms
        beat_ms, lost_ms, _, _ = self.clock
        return max(beat_ms, min(now_ms, beat_ms + GAP_MS)) - lost_ms

    def keep_beat(self, now_ms: int, heard_ms: int) -> None:
        """Note that somebody listened at a time, 0 if nobody knows."""
        if now_ms < heard_ms <= now_ms + APART_MS:
            heard_ms = now_ms
        fresh = 0 < heard_ms <= now_ms <= heard_ms + GAP_MS
        if self.clock is None:
            if fresh:
                self.clock = (heard_ms, 0, now_ms, 0)
            return
        beat_ms, lost_ms, resumed_ms, back_ms = self.clock
        back = now_ms < beat_ms
        if not back and not (fresh and heard_ms - beat_ms >= BEAT_EVERY_MS):
            return
        listened_ms = self.listened(now_ms)
        if now_ms - listened_ms - lost_ms >= GAP_MS:
            resumed_ms = listened_ms
        if back:
            back_ms = max(back_ms, beat_ms - now_ms)
        beat_ms = heard_ms if fresh else now_ms
        self.clock = (beat_ms, now_ms - listened_ms, resumed_ms, back_ms)

    def step(self, forward_ms: int) -> bool:
        """Set the server's clock, seen from the last beat; say whether there is one."""
        if self.clock is None:
            return False
        beat_ms, lost_ms, *rest = self.clock
        self.clock = (beat_ms - forward_ms, lost_ms - forward_ms, rest[0], rest[1])
        return True

    def line(self) -> list[VisitorId]:
        """Those who wait, first to last."""
        waiting = [(stay.place, visitor) for visitor, stay in self.stays.items() if stay.waits]
        return [visitor for _, visitor in sorted(waiting)]

    def join(
        self, now_ms: int, visitors: list[VisitorId], marks: list[str] | None = None
    ) -> list[Row]:
        listened_ms = self.listened(now_ms)
        before = self.line()
        new: dict[VisitorId, Row] = {}
        rows: list[Row] = []
        for visitor, mark in zip(visitors, marks or [""] * len(visitors), strict=True):
            stay, total = self.stays.get(visitor), len(self.line())
            if self.signed != (mark == ACCOUNT_MARK):
                rows.append(("unstated" if self.signed else "stale",))
            elif visitor in new:
                assert stay
                _, place, joined_ms, ahead, _ = new[visitor]
                rows.append(("again", place, joined_ms, ahead, total, stay.mark))
            elif stay and stay.waits:
                ahead = before.index(visitor)
                rows.append(("again", stay.place, stay.joined_ms, ahead, total, stay.mark))
            elif stay and (stay.serves(listened_ms) or stay.left_ms(listened_ms)):
                rows.append((*stay.standing(now_ms, listened_ms), stay.mark))
            elif self.mode not in (Mode.OPEN, Mode.PAUSED):
                rows.append(("closed",))
            elif total >= self.limits.waiting_max:
                rows.append(("full", self.limits.waiting_max))
            else:
                self._take(visitor, now_ms, mark)
                new[visitor] = ("joined", self.seq, now_ms, total, total + 1)
                rows.append(new[visitor])
        return rows

    def status(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        line, rows, listened_ms = self.line(), list[Row](), self.listened(now_ms)
        for visitor, claim in claims:
            stay = self.stays.get(visitor)
            if stay is None:
                rows.append(("unknown",))
            elif stay.waits:
                if claim in (0, stay.claim):
                    self._hear(stay, listened_ms)
                rows.append(stay.in_line(line.index(visitor)))
            else:
                rows.append(stay.standing(now_ms, listened_ms))
        return rows

    def rejoin(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        listened_ms, serving = self.listened(now_ms), self._serving()
        refused: dict[int, str] = {}
        for number, (visitor, claim) in enumerate(claims):
            stay = self.stays.get(visitor)
            if stay is None or stay.waits:
                continue
            if claim not in (0, stay.claim):
                refused[number] = "stranger"
            elif not stay.left_ms(listened_ms):
                refused[number] = "late"
            else:
                stay.state, stay.lapsed_ms = State.WAITING, None
                stay.heard_ms, stay.returned_ms = listened_ms, now_ms
                self.counters["returned"] += 1
                self.served = max(self.served, serving)
        line = self.line()
        return [
            (refused[number],) if number in refused else self._returned(visitor, claim, line)
            for number, (visitor, claim) in enumerate(claims)
        ]

    def _returned(self, visitor: VisitorId, claim: str | int, line: list[VisitorId]) -> Row:
        stay = self.stays.get(visitor)
        if stay is None:
            return ("unknown",)
        return stay.in_line(line.index(visitor)) if claim in (0, stay.claim) else ("stranger",)

    def validate(self, now_ms: int, visitors: list[VisitorId]) -> list[Row]:
        rows, listened_ms = list[Row](), self.listened(now_ms)
        for visitor in visitors:
            stay = self.stays.get(visitor)
            if stay is None:
                rows.append(("unknown",))
            elif stay.waits:
                rows.append(("queued", stay.place))
            else:
                rows.append(stay.row(stay.word(listened_ms), now_ms - listened_ms))
        return rows

    def activate(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        rows, listened_ms = list[Row](), self.listened(now_ms)
        for visitor, claim in claims:
            stay = self.stays.get(visitor)
            refusal = _refusal(stay, claim)
            if stay is None or refusal:
                rows.append(refusal)
                continue
            if stay.serves(listened_ms) and stay.state is State.READY:
                stay.state = State.ACTIVE
                stay.expires_ms = listened_ms + self.limits.active_ttl_ms
                self.counters["activated"] += 1
            rows.append(stay.row(stay.word(listened_ms), now_ms - listened_ms))
        return rows

    def extend(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        rows, listened_ms = list[Row](), self.listened(now_ms)
        for visitor, claim in claims:
            stay = self.stays.get(visitor)
            refusal = _refusal(stay, claim)
            if stay is None or refusal:
                rows.append(refusal)
                continue
            if stay.serves(listened_ms) and stay.state is State.ACTIVE:
                if stay.extensions >= self.limits.extensions_max:
                    rows.append(("spent",))
                    continue
                stay.extensions += 1
                stay.expires_ms = listened_ms + self.limits.active_ttl_ms
            rows.append(stay.row(stay.word(listened_ms), now_ms - listened_ms))
        return rows

    def leave(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        rows, listened_ms = list[Row](), self.listened(now_ms)
        for visitor, claim in claims:
            stay = self.stays.get(visitor)
            if stay is None:
                rows.append(("absent",))
            elif claim not in (0, stay.claim):
                rows.append(("stranger",))
            else:
                rows.append(("left",))
                if stay.waits:
                    self.counters["abandoned"] += 1
                elif stay.admitted:
                    self.counters["left" if stay.expires_ms > listened_ms else "lapsed"] += 1
                del self.stays[visitor]
        return rows

    def admit(
        self, now_ms: int, holder: str, lease_ms: int, chunk_max: int, heard_ms: int
    ) -> list[Row]:
        self.keep_beat(now_ms, heard_ms)
        listened_ms = self.listened(now_ms)
        limits, line, decided = self.limits, self.line(), self.decided
        pace = min(limits.admit_per_s, decided[0]) if decided else limits.admit_per_s
        if self._deaf(now_ms) or self.mode not in ADMITTING or pace <= 0:
            self.empty_bucket(STOPPED)
            return [("held", 0)]
        burst = limits.burst
        if pace < limits.admit_per_s:
            burst = max(1, burst * pace / limits.admit_per_s)
        left = max(0, decided[1] - self.counters["admitted"]) if decided else 10**9
        inside = sum(stay.admitted for stay in self.stays.values())
        free = max(0, limits.active_max - inside)
        stopped = self.bucket_at_ms == STOPPED
        gone_ms = 0 if stopped else max(0, listened_ms - self.bucket_at_ms)
        tokens = min(burst, self.tokens + gone_ms * pace / 1000)
        if not line:
            if stopped:
                self.empty_bucket(listened_ms)
            return [("moved", 0, 0, 0, free, floor(min(tokens, left)))]
        remaining_ms = self.lease_until_ms - listened_ms
        if holder and holder != self.holder and 0 < remaining_ms <= lease_ms + GAP_MS:
            self.counters["lease_refused"] += 1
            return [("leased", remaining_ms)]
        due = line[: min(chunk_max, free, floor(tokens), left)]
        moved = sum(self._call(visitor, now_ms, listened_ms) for visitor in due)
        passed = len(due) - moved
        if holder and (holder != self.holder or self.lease_until_ms - listened_ms < lease_ms / 2):
            self.holder, self.lease_until_ms = holder, listened_ms + lease_ms
        if moved or stopped or listened_ms < self.bucket_at_ms:
            self.tokens, self.bucket_at_ms = tokens - moved, listened_ms
        more = floor(min(tokens, left) - moved)
        return [("moved", moved, passed, len(line) - len(due), free - moved, more)]

    def sweep(
        self, now_ms: int, chunk_max: int, kept_ms: int, lapsed_max: int, heard_ms: int
    ) -> list[Row]:
        self.keep_beat(now_ms, heard_ms)
        listened_ms = self.listened(now_ms)
        over = sorted(
            (stay.expires_ms, visitor)
            for visitor, stay in self.stays.items()
            if stay.admitted and stay.expires_ms <= listened_ms
        )[:chunk_max]
        for _, visitor in over:
            self.stays[visitor].lapsed_ms = listened_ms
            self.stays[visitor].expires_ms += now_ms - listened_ms
            self.stays[visitor].mark = ""
            self.counters["no_shows"] += self.stays[visitor].state is State.READY
        self.counters["lapsed"] += len(over)
        lapsed = sorted(
            (stay.lapsed_ms, visitor)
            for visitor, stay in self.stays.items()
            if stay.lapsed_ms is not None
        )
        many = len(lapsed) - lapsed_max
        old = (
            lapsed[:many]
            if many > 0
            else [one for one in lapsed if one[0] <= listened_ms - kept_ms]
        )
        old = old[:chunk_max]
        for _, visitor in old:
            del self.stays[visitor]
        more = chunk_max in (len(over), len(old))
        return [("swept", len(over), len(old), int(more))]

    def reset(self, now_ms: int) -> list[Row]:
        removed = sum(stay.waits or stay.admitted for stay in self.stays.values())
        self.stays.clear()
        self.tokens, self.bucket_at_ms = 0.0, self.listened(now_ms)
        self.counters["removed"] += removed
        return [("emptied", removed)]

    def survey(self, now_ms: int) -> list[Row]:
        line = self.line()
        inside = sum(stay.admitted for stay in self.stays.values())
        serving = max(self._serving(), self.served)
        back = sum(stay.waits and stay.place <= serving for stay in self.stays.values())
        return [("room", now_ms, len(line), inside, serving, self.listened(now_ms), back)]

    def _serving(self) -> int:
        line = self.line()
        return self.stays[line[0]].place - 1 if line else self.seq

    def empty_bucket(self, at_ms: int) -> None:
        """Empty the bucket; it fills from a listening time on, if not `STOPPED`."""
        self.tokens, self.bucket_at_ms = 0.0, at_ms

    def _deaf(self, now_ms: int) -> bool:
        return self.clock is not None and now_ms - self.clock[0] > GAP_MS

    def _hear(self, stay: Stay, listened_ms: int) -> None:
        if self.limits.idle_ms and listened_ms - stay.heard_ms > self.limits.idle_ms / 16:
            stay.heard_ms = listened_ms

    def _take(self, visitor: VisitorId, now_ms: int, mark: str) -> None:
        earlier = self.stays.get(visitor)
        if earlier and earlier.admitted:
            self.counters["lapsed"] += 1
        self.seq += 1
        self.counters["entered"] += 1
        self.stays[visitor] = Stay(self.seq, now_ms, self.listened(now_ms), mark=mark)

    def _call(self, visitor: VisitorId, now_ms: int, listened_ms: int) -> bool:
        """Give a waiting visitor its turn; say whether it was there to take it."""
        stay, idle_ms = self.stays[visitor], self.limits.idle_ms
        stay.called_ms = now_ms
        resumed_ms = self.clock[2] if self.clock else 0
        if idle_ms and listened_ms - max(stay.heard_ms, resumed_ms) > idle_ms * 17 / 16:
            stay.state, stay.expires_ms = State.EXPIRED, now_ms
            stay.lapsed_ms = listened_ms + self.limits.return_ms
            self.counters["passed"] += 1
            return False
        stay.state, stay.expires_ms = State.READY, listened_ms + self.limits.ready_ttl_ms
        self.counters["admitted"] += 1
        return True


def _marked(text: str, mark: str) -> str:
    return f"{text};{mark}" if mark else text


def _refusal(stay: Stay | None, claim: str | int) -> Row:
    """Say why a claim comes to nothing; empty if it does not."""
    if stay is None:
        return ("unknown",)
    if stay.waits:
        return ("queued", stay.place)
    return ("stranger",) if claim not in (0, stay.claim) else ()
