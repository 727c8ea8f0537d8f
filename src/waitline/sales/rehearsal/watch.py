"""The room while a rehearsal goes on: how long the line is, and what limits who gets in."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.decision import Reason
from waitline.queue.settings import Limits
from waitline.sales.rehearsal.stage import Stage
from waitline.sales.rehearsal.tally import VisitorTally

LOOK_S = 1.0
"""Between two samples of the room: each is a call that costs the store microseconds."""

FULL = 0.99
"""Share of the slots that must be held for them to be what limits: a look falls between a departure
and the admission that makes up for it."""

AT_PACE = 0.8
"""Share of the rate that must be admitted for the rate to be what limits: the smoothed figure of a
second is not exact."""


LINE_S = 0.25
"""Visitors whom the rate would let in within this are no line: they have come since the admitter's
last visit."""


class RoomSample(NamedTuple):
    """The room at one moment.

    Attributes:
        at_s: Since the beginning.
        waiting: Visitors who waited.
        inside: Slots that were held.
        admitted: Visitors who had been admitted.
        done: Visitors who had gone, as they say.
        shop: Whether the shop had fewer admitted than the room's limits allow.
    """

    at_s: float
    waiting: int
    inside: int
    admitted: int
    done: int
    shop: bool


class Watch:
    """Looks at a room again and again.

    Args:
        stage: Where it is.
        room: Its name.
        tally: What its visitors say.
        on_progress: Receives each sample.
    """

    def __init__(
        self,
        stage: Stage,
        room: RoomId,
        tally: VisitorTally,
        on_progress: Callable[[RoomSample], None],
    ) -> None:
        self._stage = stage
        self._room = room
        self._tally = tally
        self._on_progress = on_progress
        self.samples: list[RoomSample] = []
        self.silences = 0

    async def run(self) -> None:
        """RoomSample until cancelled."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while True:
            try:
                seen = await self._stage.survey(self._room)
            except Unavailable:
                self.silences += 1
            else:
                reason = Reason.FULL if seen.decision is None else seen.decision.reason
                self._tally.sold_out = reason is Reason.SOLD_OUT
                sample = RoomSample(
                    loop.time() - started_s,
                    seen.waiting,
                    seen.admitted,
                    seen.counters["admitted"],
                    self._tally.done,
                    reason is not Reason.FULL,
                )
                self.samples.append(sample)
                self._on_progress(sample)
            await asyncio.sleep(LOOK_S)


def drained_s(samples: Sequence[RoomSample], limits: Limits) -> float | None:
    """Return after how long there was no line any more; `None` if there was one at the end."""
    if not samples or _line(samples[-1], limits):
        return None
    lines = [number for number, sample in enumerate(samples) if _line(sample, limits)]
    return samples[lines[-1] + 1].at_s if lines else 0.0


def limited(samples: Sequence[RoomSample], limits: Limits) -> dict[str, int]:
    """Say what kept a line standing, and in how many of the samples that found one.

    Returns:
        By slots, rate, the shop or other; other is what should not be: an admitter or a store that
        could not keep up.
    """
    found = {"slots": 0, "rate": 0, "shop": 0, "other": 0}
    for before, sample in pairwise(samples):
        if not (_line(before, limits) and _line(sample, limits)):
            continue
        pace = (sample.admitted - before.admitted) / (sample.at_s - before.at_s)
        if sample.inside >= FULL * limits.active_max:
            found["slots"] += 1
        elif pace >= AT_PACE * limits.admit_per_s:
            found["rate"] += 1
        elif sample.shop:
            found["shop"] += 1
        else:
            found["other"] += 1
    return found


def _line(sample: RoomSample, limits: Limits) -> bool:
    """Say whether more wait than those who have come since the admitter was here last."""
    return sample.waiting > LINE_S * limits.admit_per_s
