"""Publish-subscribe feed of the event streams: one poller per worker, not one per stream.

Once a second it fetches, in batches, the standing of every visitor who is due, and the mode of
each room once. It wakes the streams for which one of them has changed. A subscription holds only
the latest standing and mode: a slow stream may miss steps in between, never the latest one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Never

import structlog

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.kernel.plurals import counted
from waitline.queue import hints
from waitline.queue.model import BATCH_MAX, SOLD_OUT, Standing, Waiting
from waitline.queue.store import Line, StayClaim

TURN_S = 1.0
"""Seconds between two polls: the longest delay before the first in line sees its admission."""

FAR_SHARE = 3
"""Visitors beyond `NEAR_PLACES` are polled this many times as often as they would poll
themselves."""

NEAR_PLACES = 1_000
"""Positions up to this one are polled every time."""

log = structlog.get_logger()


class TooManySubscriptions(Unavailable):
    """This worker holds its maximum of streams."""


class Subscription:
    """The subscription of one stream.

    Attributes:
        claim: The visitor, and the stay that its token proves.
        standing: The visitor's latest standing.
        mode: The room's mode, as visitors see it; empty until it is known.
        changed: Set when the standing has changed, or the room became sold out or stopped being so.
    """

    __slots__ = ("changed", "claim", "due_s", "mode", "room", "standing")

    def __init__(self, room: RoomId, claim: StayClaim, standing: Standing) -> None:
        self.room = room
        self.claim = claim
        self.standing = standing
        self.mode = ""
        self.changed = asyncio.Event()
        self.changed.set()
        self.due_s = 0.0


class Feed:
    """The subscriptions of a worker, and their poller.

    Args:
        line: Source of the standings.
        mode_of: Returns a room's mode; `None` if there is no such room.
        most: Most subscriptions at once.

    Attributes:
        ended: Whether the feed has ended, because the service is stopping.
    """

    def __init__(
        self, line: Line, mode_of: Callable[[RoomId], Awaitable[str | None]], most: int
    ) -> None:
        self._line = line
        self._mode_of = mode_of
        self._most = most
        self._subscriptions: set[Subscription] = set()
        self._opening = 0
        self.ended = False

    @property
    def size(self) -> int:
        """Number of subscriptions."""
        return len(self._subscriptions)

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Reserve room for a stream while its visitor's right to open it is checked.

        Otherwise concurrent checks could exceed the limit together. The caller subscribes before
        the end of the block.

        Raises:
            TooManySubscriptions: The maximum is reached.
        """
        if len(self._subscriptions) + self._opening >= self._most:
            raise TooManySubscriptions(f"this worker already has {counted(self._most, 'stream')}")
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1

    def subscribe(self, room: RoomId, claim: StayClaim, standing: Standing) -> Subscription:
        """Return a new subscription; it starts as changed, with the present standing."""
        subscription = Subscription(room, claim, standing)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; a repeat does nothing."""
        self._subscriptions.discard(subscription)

    def end(self) -> None:
        """End the feed and wake every stream, so that it ends too."""
        self.ended = True
        for subscription in self._subscriptions:
            subscription.changed.set()

    async def run(self) -> Never:
        """Poll once a second until cancelled."""
        await periodic("feed", self._poll_now, TURN_S)

    async def _poll_now(self) -> None:
        await self.poll_once(asyncio.get_running_loop().time())

    async def poll_once(self, now_s: float) -> None:
        """Fetch the standing of every visitor who is due, and each room's mode.

        Args:
            now_s: The loop's time.

        Raises:
            Unavailable: The store does not answer.
        """
        rooms: dict[RoomId, list[Subscription]] = defaultdict(list)
        for subscription in self._subscriptions:
            rooms[subscription.room].append(subscription)
        for room, those in rooms.items():
            try:
                await self._deliver_mode(room, those)
                await self._poll_room(room, [each for each in those if each.due_s <= now_s], now_s)
            except Unavailable:
                raise
            except Exception as error:
                # One broken room must not stop the poller that serves all streams.
                log.exception("feed_room_failed", room=room, reason=repr(error))

    async def _deliver_mode(self, room: RoomId, those: list[Subscription]) -> None:
        mode = await self._mode_of(room) or ""
        for subscription in those:
            if subscription.mode != mode:
                if SOLD_OUT in (mode, subscription.mode):
                    subscription.changed.set()
                subscription.mode = mode

    async def _poll_room(self, room: RoomId, due: list[Subscription], now_s: float) -> None:
        rest = iter(due)
        while batch := list(islice(rest, BATCH_MAX)):
            standings = await self._line.status(room, [each.claim for each in batch])
            for subscription, standing in zip(batch, standings, strict=True):
                _deliver(subscription, standing, now_s)


def _deliver(subscription: Subscription, standing: Standing, now_s: float) -> None:
    subscription.due_s = now_s
    if isinstance(standing, Waiting) and standing.ahead >= NEAR_PLACES:
        after_ms = hints.poll_after_ms(standing.ahead + 1, 0) // FAR_SHARE
        subscription.due_s = now_s + after_ms / 1000
    if standing != subscription.standing:
        subscription.standing = standing
        subscription.changed.set()
