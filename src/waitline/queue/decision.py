"""Admission decision of a room: present rate, total and reason. Pure.

`admission/policy.py` derives it from the shop's reports, the room stores it, and `lua/admit.lua`
applies it within the room's own limits.
"""

from enum import StrEnum
from typing import NamedTuple


class WhenSilent(StrEnum):
    """Fallback of a room when its shop's reports stop; a room setting."""

    KEEP = "keep"  # admits at the room's own limits
    SLOW = "slow"  # admits at a tenth of the room's rate
    HOLD = "hold"  # admits nobody


class Reason(StrEnum):
    """Reason of a decision."""

    FULL = "full"  # full rate: the shop can handle all that the room's limits allow
    BUSY = "busy"  # the shop is overloaded: the rate is reduced
    RECOVERING = "recovering"  # the shop is no longer overloaded: the rate rises step by step
    LAST_SEATS = "last-seats"  # admitted visitors may take all free seats
    SOLD_OUT = "sold-out"  # no seat is free; seats may come back
    SILENT_KEEP = "silent-keep"  # the reports have stopped: the room's own limits
    SILENT_SLOW = "silent-slow"  # the reports have stopped: a tenth of the rate
    SILENT_HOLD = "silent-hold"  # the reports have stopped: nobody is admitted


HOLDING = frozenset((Reason.SOLD_OUT, Reason.SILENT_HOLD))
"""Reasons for which nobody is admitted."""


class ShopReport(NamedTuple):
    """The latest report of a shop on a room.

    Attributes:
        free: Free seats.
        live: Reservations that are held and not paid yet.
        load: Work of the shop as a share of its target; 1.0 is on target.
        reported_ms: Time of the report, on the store's clock.
    """

    free: int
    live: int
    load: float
    reported_ms: int


class Memory(NamedTuple):
    """State carried from one decision to the next.

    Attributes:
        share: Share of the room's rate that the shop can handle, 0 to 1.
        recent: Recent admissions, exponentially weighted.
        ended: Ended slots, exponentially weighted over a longer time.
        missed: No-shows among them, weighted the same way.
        admitted_total: The room's total of admissions at this decision.
        ended_total: Its total of ended slots.
        missed_total: Its total of no-shows.
    """

    share: float
    recent: float
    ended: float
    missed: float
    admitted_total: int
    ended_total: int
    missed_total: int


class Decision(NamedTuple):
    """The current admission decision of a room.

    Attributes:
        reason: Its reason.
        per_s: Most admissions per second.
        until: Total of admissions, since the room was created, at which admission stops; `None`
            for no limit.
        no_show_share: Share of the admitted who are expected not to activate, 0 to 1.
        report: The shop's report that it is based on.
        memory: State for the next decision.
        at_ms: When it was stored, on the store's clock; 0 if it is not stored yet.
    """

    reason: Reason
    per_s: float
    until: int | None
    no_show_share: float
    report: ShopReport
    memory: Memory
    at_ms: int = 0

    @property
    def holds(self) -> bool:
        """Whether nobody is admitted."""
        return self.reason in HOLDING


def serialize(decision: Decision) -> tuple[str, str, str, str]:
    """Return a decision as it is stored: reason, rate, total, and its basis."""
    until = "" if decision.until is None else str(decision.until)
    basis = (decision.no_show_share, *decision.report, *decision.memory)
    return str(decision.reason), repr(float(decision.per_s)), until, "|".join(map(repr, basis))


def parse(reason: str, per_s: str, until: str, basis: str, at_ms: str) -> Decision:
    """Parse a stored decision; the inverse of `serialize`."""
    words = basis.split("|")
    free, live, load, reported_ms = words[1:5]
    share, recent, ended, missed, *totals = words[5:]
    return Decision(
        reason=Reason(reason),
        per_s=float(per_s),
        until=int(until) if until else None,
        no_show_share=float(words[0]),
        report=ShopReport(int(free), int(live), float(load), int(reported_ms)),
        memory=Memory(float(share), float(recent), float(ended), float(missed), *map(int, totals)),
        at_ms=int(at_ms),
    )
