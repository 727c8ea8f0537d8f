"""What a room of the reference model holds: its visitors, clock and bucket."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.stay import Stay
from waitline.kernel.ids import VisitorId
from waitline.queue.limits import Limits
from waitline.queue.settings import Mode

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
class StoredRoom:
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

    def _serving(self) -> int:
        line = self.line()
        return self.stays[line[0]].place - 1 if line else self.seq

    def empty_bucket(self, at_ms: int) -> None:
        """Empty the bucket; it fills from a listening time on, if not `STOPPED`."""
        self.tokens, self.bucket_at_ms = 0.0, at_ms

    def _pace(self) -> tuple[float, float]:
        """Return the rate and the burst in effect."""
        limits, decided = self.limits, self.decided
        pace, burst = limits.admit_per_s, limits.burst
        if decided and decided[0] < pace:
            pace, burst = decided[0], max(1, burst * decided[0] / pace)
        return pace, burst

    def _left(self) -> int:
        """Return how many more the shop's decision allows."""
        return max(0, self.decided[1] - self.counters["admitted"]) if self.decided else 10**9

    def _tokens(self, listened_ms: int, pace: float, burst: float) -> float:
        stopped = self.bucket_at_ms == STOPPED
        gone_ms = 0 if stopped else max(0, listened_ms - self.bucket_at_ms)
        return min(burst, self.tokens + gone_ms * pace / 1000)

    def _deaf(self, now_ms: int) -> bool:
        return self.clock is not None and now_ms - self.clock[0] > GAP_MS


def _marked(text: str, mark: str) -> str:
    return f"{text};{mark}" if mark else text
