"""Timing wheel of the visitors' next polls. Pure: the time is an argument.

A heap of 300 000 entries would cost O(log n) and a tuple per insertion. Here an insertion is one
append to a 50 ms bucket, and only the current bucket is sorted.
"""

from array import array
from bisect import insort
from math import floor
from operator import itemgetter

WIDTH_S = 0.05
"""Width of a bucket. Narrower ones would be mostly empty, and wider ones slower to sort."""

BUCKETS = 1_024
"""Number of buckets: one round is longer than the longest hint. Later entries wait in the last
bucket and are moved on."""

_LATEST = itemgetter(0)


class Wheel:
    """Due time of each slot, at most one per slot.

    Args:
        slots: Number of slots.
        start_s: The current time.
    """

    def __init__(self, slots: int, start_s: float) -> None:
        self._due = array("d", bytes(8 * slots))
        self._ring: list[list[int]] = [[] for _ in range(BUCKETS)]
        self._turn = floor(start_s / WIDTH_S)
        # Entries of this and earlier buckets, the next one last; times are negated, so that they
        # ascend.
        self._now: list[tuple[float, int]] = []

    def put(self, slot: int, due_s: float) -> None:
        """Schedule a slot that is not scheduled."""
        self._due[slot] = due_s
        turn = floor(due_s / WIDTH_S)
        if turn > self._turn:
            self._ring[min(turn, self._turn + BUCKETS - 1) % BUCKETS].append(slot)
        else:
            insort(self._now, (-due_s, slot), key=_LATEST)

    def take(self, now_s: float, most: int) -> list[int]:
        """Remove and return the due slots, oldest first, up to a number."""
        last = floor(now_s / WIDTH_S)
        taken: list[int] = []
        now = self._now
        while len(taken) < most:
            if now:
                if -now[-1][0] > now_s:
                    break
                taken.append(now.pop()[1])
            elif self._turn < last:
                self._advance()
            else:
                break
        return taken

    def wait_s(self, now_s: float) -> float:
        """Return a time for which no slot is due, at most until the end of the current bucket."""
        until_s = -self._now[-1][0] if self._now else (self._turn + 1) * WIDTH_S
        return max(0.0, until_s - now_s)

    def _advance(self) -> None:
        self._turn += 1
        place = self._turn % BUCKETS
        slots, self._ring[place] = self._ring[place], []
        until_s = (self._turn + 1) * WIDTH_S
        for slot in slots:
            due_s = self._due[slot]
            if due_s < until_s:
                self._now.append((-due_s, slot))
            else:
                self.put(slot, due_s)
        self._now.sort()
