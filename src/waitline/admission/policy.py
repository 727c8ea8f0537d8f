"""How fast a room admits, up to how many, and how soon to come back to it. Pure.

`decide` answers for a room whose shop reports: a rate, a total, and why. The room's own limits
(`queue/model.py`) stay above whatever it says; `queue/lua/admit.lua` enforces both. A room whose
shop has never reported has its own limits alone.
"""

from math import ceil, exp, inf

from waitline.queue.decision import (
    Decision,
    Memory,
    Reason,
    ShopReport,
    WhenSilent,
)
from waitline.queue.model import CHUNK_MAX, Held, Leased, Moved, Survey

TICK_MS = 100
"""Between two visits to a room that is awake, and between two looks for rooms that woke: the
longest that the first visitor of a quiet room waits. The admission bucket holds a quarter of a
second's worth by default, so a tick may be late by that much and the pace is still kept."""

IDLE_MS = 500
"""Between two visits to a room that admits nobody, by its mode or because its shop is sold out: how
late it may be noticed that it does again."""

SWEEP_MS = 1_000
"""Between two sweeps of a room: how long a slot may stay taken after its time ran out. Source: the
wire contract."""

LINGER_VISITS = 5
"""Visits in a row that find nobody waiting until a room is put to sleep. To fall asleep and be
woken takes five calls, as many as to stay awake for that long, so whatever comes costs at most
twice what it would if the future were known. Source: Karlin et al., "Competitive snoopy caching",
Algorithmica 3 (1988)."""

PATROL_PER_S = 50
"""Sleeping rooms looked into per second, however many there are: a room that should be awake and is
not (its worker died between giving the place and waking the room) is found after as many seconds
as there are rooms, over this. Each takes two calls."""

SILENT_MS = 6_000
"""Age of the last report after which the shop counts as silent. It reports once a second, and
another of its workers takes over within three."""

SLOW_SHARE = 0.1
"""Of the room's rate, for a room that goes on slowly while its shop is silent: what a shop in
trouble can still bear, and a line that visibly moves."""

FLOOR_SHARE = 0.01
FLOOR_PER_S = 1.0
"""Least rate while seats are free: this share of the room's rate, and one a second where the room's
own rate allows that. A shop that is slow for another reason than its visitors would otherwise
never see one again."""

GAIN = 0.1
"""How hard the rate answers to the load, per second: it is multiplied by load ** -GAIN. A visitor's
requests come within some ten seconds of being admitted, and a control of that kind swings without
end if gain times delay is above pi / 2. Source: the stability limit of an integrating control with
dead time; the simulation (decision 0012)."""

FALL_MOST = 0.8
RISE_MOST = 1.05
"""What the rate is multiplied with in a second, at least and at most: down to a half in three
seconds, up from the floor in a minute and a half."""

STEP_S_MAX = 5.0
"""The longest time that one decision answers for: after a pause, what was measured before it says
little."""

HEADROOM = 1.25
"""A shop that has too much to do has it from those who were admitted. The rate begins to fall from
what really came, and this much above, and not from a limit that nobody reached."""

CHOOSING_S = 30.0
"""How long an admitted visitor is expected to take a seat, if it takes one at all: the time in
which the number of those who may still do so falls to a third. A longer time lets seats that came
back wait for visitors who do not want them; a shorter one lets more in than there are seats."""

PAST_S = 600.0
"""The time in which what is known of visitors who never came loses two thirds of its weight: two
lives of an unused slot."""

PRIOR_SLOTS = 20.0
"""Slots that count as used before any has ended: a share measured on a handful says nothing."""

NO_SHOWS_MOST = 0.8
"""Highest share of no-shows that is planned with: five visitors for each free seat."""

LOAD_MOST = 100.0
SEATS_MOST = 10_000_000
"""More than this of either is no report of a shop of ours, and is taken for as much."""


def decide(survey: Survey, report: ShopReport | None) -> Decision | None:
    """Decide how a room admits for now.

    Args:
        survey: The room as it is.
        report: The last report of its shop; `None` if only the decision before is known.

    Returns:
        The decision; `None` for a room whose shop has never reported, which has its own limits.

    Invariant:
        The rate is at most the room's own, and above zero while a seat is free. No more are
        admitted than seats are free, shared among those who are expected to come.
    """
    before = survey.decision
    if before is not None and (report is None or before.report.reported_ms > report.reported_ms):
        report = before.report
    if report is None:
        return None
    report = report._replace(
        free=min(max(report.free, 0), SEATS_MOST),
        live=min(max(report.live, 0), SEATS_MOST),
        load=min(max(report.load, 0.0), LOAD_MOST),
    )
    past = _past(survey)
    no_shows = min(past.missed / (past.ended + PRIOR_SLOTS), NO_SHOWS_MOST)
    if survey.at_ms - report.reported_ms > SILENT_MS:
        return _silent(survey, report, past, no_shows)
    if report.free == 0:
        return Decision(Reason.SOLD_OUT, 0.0, past.admitted_total, no_shows, report, past)
    own = survey.rules.limits.admit_per_s
    past = past._replace(share=_share(survey, report.load, past))
    per_s = own * past.share
    # Visitors who have left, or hold a reservation, want no other seat; the others may.
    choosing = min(max(survey.admitted - report.live, 0), past.recent)
    more = max(round(ceil(report.free / (1 - no_shows)) - choosing), 0)
    if more < per_s:
        reason = Reason.LAST_SEATS
    elif past.share == 1:
        reason = Reason.FULL
    else:
        reason = Reason.BUSY if report.load > 1 else Reason.RECOVERING
    return Decision(reason, per_s, past.admitted_total + more, no_shows, report, past)


def _silent(survey: Survey, report: ShopReport, past: Memory, no_shows: float) -> Decision:
    """Decide as the operator has chosen for a shop that does not report."""
    own = survey.rules.limits.admit_per_s
    reason, per_s = {
        WhenSilent.KEEP: (Reason.SILENT_KEEP, own),
        WhenSilent.SLOW: (Reason.SILENT_SLOW, own * SLOW_SHARE),
        WhenSilent.HOLD: (Reason.SILENT_HOLD, 0.0),
    }[survey.rules.when_shop_silent]
    return Decision(reason, per_s, None, no_shows, report, past)


def _past(survey: Survey) -> Memory:
    """Bring what is remembered of a room up to the present."""
    count, before = survey.counters, survey.decision
    admitted, missed = count["admitted"], count["no_shows"]
    ended = count["left"] + count["lapsed"]
    if before is None:
        # Those who are inside came at some time; to count them as new errs on the safe side.
        return Memory(1.0, float(survey.admitted), 0.0, 0.0, admitted, ended, missed)
    past = before.memory
    gone_s = max(survey.at_ms - before.at_ms, 0) / 1000
    kept, known = exp(-gone_s / CHOOSING_S), exp(-gone_s / PAST_S)
    return Memory(
        share=past.share,
        recent=past.recent * kept + max(admitted - past.admitted_total, 0),
        ended=past.ended * known + max(ended - past.ended_total, 0),
        missed=past.missed * known + max(missed - past.missed_total, 0),
        admitted_total=admitted,
        ended_total=ended,
        missed_total=missed,
    )


def _share(survey: Survey, load: float, past: Memory) -> float:
    """Return the share of the room's own rate that its shop can take, above 0, at most 1."""
    own, before = survey.rules.limits.admit_per_s, survey.decision
    least = max(FLOOR_SHARE, min(1.0, FLOOR_PER_S / own))
    gone_s = 1.0 if before is None else max(survey.at_ms - before.at_ms, 0) / 1000
    step_s = min(gone_s, STEP_S_MAX)
    wanted: float = load**-GAIN if load > 0 else inf
    factor: float = max(FALL_MOST, min(RISE_MOST, wanted)) ** step_s
    share = past.share
    if load > 1:
        came = past.admitted_total - before.memory.admitted_total if before is not None else 0
        pace = max(came / gone_s if gone_s > 0 else 0.0, past.recent / CHOOSING_S)
        share = min(share, HEADROOM * pace / own)
    return min(1.0, max(least, share * factor))


def next_visit_ms(outcome: Moved | Leased | Held) -> int:
    """Return how long to leave a room alone after an admit call, in ms; 0 to go on at once."""
    match outcome:
        case Held():
            return IDLE_MS
        case Leased(remaining_ms):
            return max(remaining_ms, TICK_MS)
        case Moved(admitted, passed, waiting, free=free, due=due):
            # Visitors who were skipped took neither slot nor rate, so the next may have them now.
            more_now = passed > 0 or admitted == CHUNK_MAX
            return 0 if more_now and waiting > 0 and free > 0 and due > 0 else TICK_MS


def may_be_empty(outcome: Moved | Leased | Held) -> bool:
    """Return whether the room may be empty, as far as an admit call shows."""
    match outcome:
        case Held():
            # The call does not say; the script that puts the room to sleep checks.
            return True
        case Moved(waiting=waiting):
            return waiting == 0
        case Leased():
            return False
