"""Admission decision: rate, total and reason that a room admits by for now. Pure.

`admission/policy.py` decides from the shop's reports, the room stores the decision, and
`lua/admit.lua` applies it within the room's own limits.
"""

from enum import StrEnum
from typing import NamedTuple


class WhenSilent(StrEnum):
    """What a room does when its shop's reports have stopped; an operator chooses."""

    KEEP = "keep"  # goes on with the room's own limits
    SLOW = "slow"  # goes on at a tenth of the room's rate
    HOLD = "hold"  # admits nobody


class Reason(StrEnum):
    """Why a room admits as it does now."""

    FULL = "full"  # the shop takes all that the room's limits allow
    BUSY = "busy"  # the shop is slower than it should be: fewer are let in
    RECOVERING = "recovering"  # the shop is well again: more are let in, step by step
    LAST_SEATS = "last-seats"  # those inside may take all that is free
    SOLD_OUT = "sold-out"  # nothing is free; seats may come back
    SILENT_KEEP = "silent-keep"  # the reports have stopped: the room's own limits
    SILENT_SLOW = "silent-slow"  # the reports have stopped: a tenth of the rate
    SILENT_HOLD = "silent-hold"  # the reports have stopped: nobody is admitted


HOLDING = frozenset((Reason.SOLD_OUT, Reason.SILENT_HOLD))
"""Reasons for which nobody is admitted, however long it takes."""


class ShopReport(NamedTuple):
    """The last report of a shop on a room.

    Attributes:
        free: Seats that may be taken.
        live: Reservations that are held and not paid yet.
        load: What the shop has to do as a share of what it should have to: 1.0 is just right.
        told_ms: When, by the store's clock.
    """

    free: int
    live: int
    load: float
    reported_ms: int


class Memory(NamedTuple):
    """State that one decision hands to the next.

    Attributes:
        share: Of the room's rate that the shop was found to take, 0 to 1.
        recent: Visitors admitted lately, each counting less the longer ago that was.
        ended: Slots that ended, in the same way; of a longer time.
        missed: Those of them whose visitor never came.
        admitted_total: The room's totals when this was decided.
        ended_total: As above.
        missed_total: As above.
    """

    share: float
    recent: float
    ended: float
    missed: float
    admitted_total: int
    ended_total: int
    missed_total: int


class Decision(NamedTuple):
    """How a room admits for now.

    Attributes:
        reason: Why.
        per_s: Admissions per second, at most.
        until: How many may have been admitted in all, since the room was made; `None` for any.
        no_show_share: Share of those admitted who are expected never to come, 0 to 1.
        report: What the shop reported.
        memory: For the next decision.
        at_ms: When it was stored, by the store's clock; 0 before.
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
    """Return a decision as it is stored: reason, rate, total, and what it rests on."""
    until = "" if decision.until is None else str(decision.until)
    basis = (decision.no_show_share, *decision.report, *decision.memory)
    return str(decision.reason), repr(float(decision.per_s)), until, "|".join(map(repr, basis))


def parse(reason: str, per_s: str, until: str, basis: str, at_ms: str) -> Decision:
    """Parse a stored decision; the opposite of `serialize`."""
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
