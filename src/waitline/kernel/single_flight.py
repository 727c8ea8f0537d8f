"""Single-flight cache with expiry: concurrent callers of a key share one load.

A failed load raises in all callers that wait for it and is not cached: the next caller loads again.
Expired values are never served. A cancelled caller does not cancel the load for the others.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Entry(Generic[Value]):
    __slots__ = ("load", "until_s", "value")

    def __init__(self) -> None:
        self.value: Value | None = None
        self.until_s = float("-inf")
        self.load: asyncio.Task[Value] | None = None


class SingleFlightCache(Generic[Key, Value]):
    """Cached values by key. It belongs to one event loop.

    Args:
        load: Loads the value of a key; it must have a timeout, and never return `None`.
        ttl_s: Lifetime of a value, in s.
        entries_max: Most keys; the one loaded longest ago is evicted first.
        now_s: A monotonic clock.
    """

    def __init__(
        self,
        load: Callable[[Key], Awaitable[Value]],
        *,
        ttl_s: float,
        entries_max: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._entries_max = entries_max
        self._now_s = now_s
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()

    def cached(self, key: Key) -> Value | None:
        """Return the value if it is cached and fresh, or `None`."""
        entry = self._entries.get(key)
        if entry is None or self._now_s() >= entry.until_s:
            return None
        return entry.value

    def loaded(self, key: Key) -> bool:
        """Return whether the last load of a key brought a value, fresh or not."""
        entry = self._entries.get(key)
        return entry is not None and entry.value is not None

    async def fetch(self, key: Key) -> Value:
        """Return the value; load it unless it is cached and fresh.

        Raises:
            Exception: Any that `load` raises.
        """
        value = self.cached(key)
        if value is not None:
            return value
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        if entry.load is None:
            entry.load = asyncio.get_running_loop().create_task(self._refresh(key, entry))
            entry.load.add_done_callback(_retrieve)
        # A caller that gives up must not cancel the load that others wait for.
        return await asyncio.shield(entry.load)

    async def _refresh(self, key: Key, entry: _Entry[Value]) -> Value:
        try:
            value = entry.value = await self._load(key)
        except BaseException:
            if self._entries.get(key) is entry:
                del self._entries[key]
            raise
        else:
            entry.until_s = self._now_s() + self._ttl_s
            return value
        finally:
            entry.load = None


def _retrieve(load: asyncio.Task[Value]) -> None:
    """Retrieve the exception, or asyncio logs it as never retrieved when all callers are gone."""
    if not load.cancelled():
        load.exception()
