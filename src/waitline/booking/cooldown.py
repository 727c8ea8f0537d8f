"""Cool-down: a block, growing exponentially, of holders who repeatedly let seats go.

A reservation that is cancelled, or that expires without an attempt to pay, has kept its seats from
others. It counts as a drop. After `drops` of them within `window_s` the holder reserves nothing for
`first_s`; each further one doubles that, up to `most_s`. The statements that cancel and expire
count (`cooled` in migrations/0010_rules_of_sale.sql); the one that reserves refuses.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any, Never

from waitline.kernel.errors import Refused
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database

FORGET_EVERY_S = 60.0
"""Interval between deletions of drops that no longer count."""

CHUNK_MAX = 1_000
"""Rows deleted in one statement, which then takes a few milliseconds."""


class CoolingDown(Refused):
    """The holder has let seats go too often, and cannot reserve for a while.

    Attributes:
        retry_after_s: For how long, in whole seconds; 1 or more.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.retry_after_s = max(1, ceil(wait_s))


@dataclass(frozen=True, slots=True)
class CooldownRule:
    """When a cool-down begins, and how long it lasts.

    Attributes:
        drops: Number within the window that starts one, all kept in one row; 0 for never.
        window_s: For how long a drop counts, in s.
        first_s: Length of the first one, in s.
        most_s: Length at most, in s.
    """

    drops: int = 5
    window_s: float = 600.0
    first_s: float = 60.0
    most_s: float = 600.0

    def columns(self) -> dict[str, Any]:
        """Return the rule as the statements take it."""
        return {
            "drops_max": self.drops,
            "window_s": self.window_s,
            "first_s": self.first_s,
            "most_s": self.most_s,
        }


NO_COOLDOWN = CooldownRule(drops=0)
"""No cool-downs."""


class Cooldowns:
    """Deletes drops that no longer count.

    Args:
        database: Holds them.
        rule: How long they count.
    """

    def __init__(self, database: Database, rule: CooldownRule) -> None:
        self._database = database
        self._rule = rule

    async def run(self) -> Never:
        """Delete until cancelled, a chunk at a time."""
        await periodic("cooldown_purge", self.purge, FORGET_EVERY_S)

    async def purge(self) -> bool:
        """Delete a chunk; return whether there may be more."""
        row = await self._database.fetch_one(
            "forget_drops",
            kept_s=self._rule.window_s + self._rule.most_s,
            chunk_max=CHUNK_MAX,
        )
        return row is not None and row["holders"] == CHUNK_MAX
