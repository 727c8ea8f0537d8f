"""One poller for all the event streams of a worker, instead of one per stream.

Once a second it fetches, in batches, the standing of every visitor who is due, and each room's mode
once. It wakes the streams for which one of them has changed. A subscription holds the last standing
and mode only: a slow stream misses steps in between, never the last one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Never

import structlog

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.periodic import periodic
from waitline.queue import hints
from waitline.queue.model import BATCH_MAX, SOLD_OUT, Standing, Waiting
from waitline.queue.store import Line

TURN_S = 1.0
"""Seconds between two polls: the longest delay before the first in line sees its admission."""

FAR_SHARE = 3
"""Those far from their turn are asked for this many times as often as they would ask
themselves."""

NEAR_PLACES = 1_000
"""Positions up to this one are asked for at every turn."""

log = structlog.get_logger()


class TooManySubscriptions(Unavailable):
    """This worker holds as many streams as it may."""


class Subscription:
    """One stream's share of the feed.

    Attributes:
        standing: Where its visitor stands.
        mode: The room's mode, as visitors see it; empty until it is known.
        changed: Set when the standing is news, or that there is nothing to sell, or is again.
    """

    __slots__ = ("changed", "due_s", "mode", "room", "standing", "visitor")

    def __init__(self, room: RoomId, visitor: VisitorId, standing: Standing) -> None:
        self.room = room
        self.visitor = visitor
        self.standing = standing
        self.mode = ""
        self.changed = asyncio.Event()
        self.changed.set()
        self.due_s = 0.0


class Feed:
    """The subscriptions of a worker, and their reader.

    Args:
        line: Asked where visitors stand.
        mode_of: Asked for a room's mode; answers `None` if there is no such room.
        most: Subscriptions at once.

    Attributes:
        ended: Whether there is no more news, because the service is stopping.
    """

    def __init__(
        self, line: Line, mode_of: Callable[[RoomId], Awaitable[str | None]], most: int
    ) -> None:
        self._line = line
        self._mode_of = mode_of
        self._most = most
        self._subscriptions: set[Subscription] = set()
        self.ended = False

    @property
    def size(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def require_room(self) -> None:
        """Check that one more stream may be opened.

        Raises:
            TooManySubscriptions: There are as many as may be.
        """
        if len(self._subscriptions) >= self._most:
            raise TooManySubscriptions(f"this worker holds {self._most} streams already")

    @contextmanager
    def subscribed(
        self, room: RoomId, visitor: VisitorId, standing: Standing
    ) -> Iterator[Subscription]:
        """Hold a subscription; where the visitor stands now is its first news."""
        subscription = Subscription(room, visitor, standing)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def end(self) -> None:
        """Wake every stream, now and from now on, so that it sees the end."""
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
                # A broken room must not end the reader that all streams rely on.
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
            standings = await self._line.status(room, [each.visitor for each in batch])
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
