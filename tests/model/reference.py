"""Reference model of the line: plain Python, one visitor at a time, with the time as an argument.

What the rate measures is left out: it decides nothing. So is a store without memory.
"""

from collections.abc import Callable
from math import floor

from tests.model.stay import Row, Stay
from tests.model.stored import GAP_MS, STOPPED, StoredRoom
from waitline.kernel.ids import VisitorId
from waitline.queue.model import ACCOUNT_MARK, State
from waitline.queue.settings import ADMITTING, Mode
from waitline.queue.store import StayClaim


class Reference(StoredRoom):
    """One room, and the verbs."""

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
        def turn(stay: Stay, listened_ms: int) -> Row:
            if stay.state is State.READY:
                stay.state = State.ACTIVE
                stay.expires_ms = listened_ms + self.limits.active_ttl_ms
                self.counters["activated"] += 1
            return ()

        return self._turns(now_ms, claims, turn)

    def extend(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        def turn(stay: Stay, listened_ms: int) -> Row:
            if stay.state is State.ACTIVE:
                if stay.extensions >= self.limits.extensions_max:
                    return ("spent",)
                stay.extensions += 1
                stay.expires_ms = listened_ms + self.limits.active_ttl_ms
            return ()

        return self._turns(now_ms, claims, turn)

    def slide(self, now_ms: int, claims: list[StayClaim]) -> list[Row]:
        slides = self.limits.stay_ms > 0 and self.mode is not Mode.CLOSED

        def turn(stay: Stay, listened_ms: int) -> Row:
            if slides and stay.state is State.ACTIVE:
                last_ms = stay.called_ms + self.limits.stay_ms - (now_ms - listened_ms)
                until_ms = min(listened_ms + self.limits.active_ttl_ms, last_ms)
                stay.expires_ms = max(stay.expires_ms, until_ms)
            return ()

        return self._turns(now_ms, claims, turn)

    def _turns(
        self, now_ms: int, claims: list[StayClaim], turn: Callable[[Stay, int], Row]
    ) -> list[Row]:
        """Let stays that are not over take a turn, which may refuse it by a row."""
        rows, listened_ms = list[Row](), self.listened(now_ms)
        for visitor, claim in claims:
            stay = self.stays.get(visitor)
            row = _refusal(stay, claim)
            if stay and not row and stay.serves(listened_ms):
                row = turn(stay, listened_ms)
            if stay and not row:
                row = stay.row(stay.word(listened_ms), now_ms - listened_ms)
            rows.append(row)
        return rows

    def walk_in(self, now_ms: int, visitors: list[str]) -> list[Row]:
        if self.signed or self.mode is not Mode.OPEN or self.line():
            return [("line",)] * len(visitors)
        self.keep_beat(now_ms, now_ms)
        listened_ms = self.listened(now_ms)
        pace, burst = self._pace()
        if pace <= 0:
            return [("line",)] * len(visitors)
        stopped = self.bucket_at_ms == STOPPED
        tokens = self._tokens(listened_ms, pace, burst)
        inside = sum(stay.admitted for stay in self.stays.values())
        free = max(0, self.limits.active_max - inside)
        due = min(len(visitors), free, floor(tokens), self._left())
        if due <= 0:
            if stopped:
                self.empty_bucket(listened_ms)
            return [("line",)] * len(visitors)
        rows = list[Row]()
        for visitor in visitors[:due]:
            self.seq += 1
            stay = Stay(self.seq, now_ms, now_ms, State.ACTIVE, called_ms=now_ms)
            stay.expires_ms = listened_ms + self.limits.active_ttl_ms
            self.stays[VisitorId(visitor)] = stay
            rows.append((*stay.row("active", now_ms - listened_ms), inside))
        for name in ("entered", "admitted", "activated"):
            self.counters[name] += due
        self.tokens, self.bucket_at_ms = tokens - due, listened_ms
        return rows + [("line",)] * (len(visitors) - due)

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
        limits, line = self.limits, self.line()
        pace, burst = self._pace()
        if self._deaf(now_ms) or self.mode not in ADMITTING or pace <= 0:
            self.empty_bucket(STOPPED)
            return [("held", 0)]
        left = self._left()
        inside = sum(stay.admitted for stay in self.stays.values())
        free = max(0, limits.active_max - inside)
        stopped = self.bucket_at_ms == STOPPED
        tokens = self._tokens(listened_ms, pace, burst)
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


def _refusal(stay: Stay | None, claim: str | int) -> Row:
    """Say why a claim comes to nothing; empty if it does not."""
    if stay is None:
        return ("unknown",)
    if stay.waits:
        return ("queued", stay.place)
    return ("stranger",) if claim not in (0, stay.claim) else ()
