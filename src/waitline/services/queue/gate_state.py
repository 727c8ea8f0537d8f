"""What a worker knows for the gate: rules and departed places, a second old at most.

While the store does not answer, the last that was fetched counts.
"""

import asyncio
from contextlib import suppress
from typing import Final, NamedTuple

from waitline.gate.matching import CompiledRules, SiteRequest
from waitline.gate.model import Rule
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

NOBODY: Final[frozenset[int]] = frozenset()


class Known(NamedTuple):
    """What decides about a request.

    Attributes:
        rules: The rules.
        rule: The one that matches the request, or `None`.
        departed: The places that were left before their passes ended, in the rule's room.
    """

    rules: CompiledRules
    rule: Rule | None
    departed: frozenset[int]


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

    def known(self, site: SiteRequest) -> Known | None:
        """Return what decides about a request, or `None` if it has to be fetched."""
        rules = self._rules.cached(None)
        if rules is None:
            return None
        rule = rules.match(site)
        # A bypass rule has no room.
        if rule is None or not rule.room:
            return Known(rules, rule, NOBODY)
        departed = self._departed.cached(rule.room)
        return None if departed is None else Known(rules, rule, departed)

    async def fetch(self, site: SiteRequest) -> Known:
        """Return what decides about a request; nobody has departed if the store does not answer.

        Raises:
            Unavailable: The store does not answer, and has not since the worker began.
        """
        try:
            rules = await self._rules.fetch(None)
        except Unavailable:
            if self._last_rules is None:
                raise
            rules = self._last_rules
        rule = rules.match(site)
        departed = NOBODY
        if rule is not None and rule.room:
            with suppress(Unavailable):
                departed = await self._departed.fetch(rule.room)
        return Known(rules, rule, departed)

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
