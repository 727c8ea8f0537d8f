"""What a worker knows for the gate: rules and departed places, a second old at most.

While the store does not answer, the last that was fetched counts.
"""

import asyncio
from typing import Final

from waitline.gate.model import CompiledRules
from waitline.gate.store import Protection
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.single_flight import SingleFlightCache
from waitline.queue.departed import Departed
from waitline.services.identity import Presented

FRESH_S: Final = 1.0
"""How long a worker uses rules and departed places before it fetches them again."""

ROOMS_MAX: Final = 100
"""Rooms whose departed places are cached: as many as rules can name."""


SLIDE_S: Final = 60.0
"""Shortest time between two attempts to slide a stay by the same pass, in s: a pass that cannot be
renewed costs one call a minute. A new pass is half over later."""

SLIDES_MAX: Final = 16_384
"""Passes whose last attempt is remembered, the oldest forgotten first; a forgotten one costs one
call more."""


class GateState:
    """The rules, and the places that were left before their passes ended.

    Args:
        protection: The store of the rules.
        departed: The store of departed places.
    """

    def __init__(self, protection: Protection, departed: Departed) -> None:
        self._protection = protection
        self._store = departed
        clock = asyncio.get_running_loop().time
        self._rules: SingleFlightCache[None, CompiledRules] = SingleFlightCache(
            self._load_rules, ttl_s=FRESH_S, entries_max=1, now_s=clock
        )
        self._departed: SingleFlightCache[RoomId, frozenset[int]] = SingleFlightCache(
            self._load_departed, ttl_s=FRESH_S, entries_max=ROOMS_MAX, now_s=clock
        )
        self._last_rules: CompiledRules | None = None
        self._now_s = clock
        self._slides: dict[tuple[RoomId, Presented], float] = {}
        # On the hot path: no wrapper around it.
        self.cached_rules = self._rules.cached

    async def rules(self) -> CompiledRules:
        """Return the rules.

        Raises:
            Unavailable: The store does not answer, and has not since the worker began.
        """
        cached = self.cached_rules(None)
        if cached is not None:
            return cached
        try:
            return await self._rules.fetch(None)
        except Unavailable:
            if self._last_rules is None:
                raise
            return self._last_rules

    async def has_departed(self, room: RoomId, place: int) -> bool:
        """Return whether a place was left before its pass ended; no, if the store is silent."""
        places = self._departed.cached(room)
        if places is None:
            try:
                places = await self._departed.fetch(room)
            except Unavailable:
                return False
        return place in places

    def begin_slide(self, room: RoomId, shown: Presented) -> bool:
        """Return whether a stay may slide by a pass now; if so, not again for `SLIDE_S`."""
        now_s, slides, key = self._now_s(), self._slides, (room, shown)
        if now_s - slides.get(key, float("-inf")) < SLIDE_S:
            return False
        slides.pop(key, None)
        if len(slides) >= SLIDES_MAX:
            del slides[next(iter(slides))]
        slides[key] = now_s
        return True

    async def _load_rules(self, _: None) -> CompiledRules:
        document = await self._protection.fetch()
        last = self._last_rules
        if last is None or last.document != document:
            last = self._last_rules = CompiledRules(document)
        return last

    async def _load_departed(self, room: RoomId) -> frozenset[int]:
        return frozenset(await self._store.places(room))
