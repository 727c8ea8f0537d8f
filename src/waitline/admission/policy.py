"""Admission policy: control law for a room's rate and total, and schedule of its visits. Pure.

For a room whose shop reports, `decide` returns a rate, a total and a reason. They can only lower
the room's own limits (`queue/limits.py`); `queue/lua/admit.lua` enforces both. A room whose shop
has never reported has only its own limits.
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
"""Interval, in ms, of visits to an awake room and of checks for rooms that woke: the longest wait
of the first visitor of a quiet room. The token bucket holds a quarter of a second's admissions by
default, so a tick that is late by that much does not lower the rate."""

IDLE_MS = 500
"""Interval, in ms, of visits to a room that admits nobody, by its mode or because its shop is sold
out: the longest delay until it admits again."""

HANDOVER_MS = 500
"""Longest interval, in ms, of visits to a room whose lease another admitter holds. The room is this
one's share, so the other releases the lease at its next heartbeat (`ENLIST_S`), or has died; then
the next visit is when the lease ends."""

SWEEP_MS = 1_000
"""Interval, in ms, of a room's sweeps: how long an expired slot may stay taken. Source: the wire
contract."""

LINGER_VISITS = 5
"""Consecutive visits that find nobody waiting before a room is put to sleep. Falling asleep and
waking takes five calls, as many as these visits, so the cost is at most twice the optimum with
knowledge of the future. Source: Karlin et al., "Competitive snoopy caching", Algorithmica 3
(1988)."""

PATROL_PER_S = 50
"""Sleeping rooms checked per second, two calls each. A room that should be awake and is not (its
worker died between the join and waking the room) is found within (number of rooms) / 50 s."""

SILENT_MS = 6_000
"""Age of the latest report, in ms, after which the shop counts as silent. Reports come once a
second, and if the reporting worker dies another takes over within three."""

SLOW_SHARE = 0.1
"""Share of the room's rate while its shop is silent, with the setting `slow`: little enough for a
shop in trouble, and enough for the line to move visibly."""

FLOOR_SHARE = 0.01
FLOOR_PER_S = 1.0
"""Lowest rate while seats are free: this share of the room's rate, but one per second if the room's
own rate allows. Otherwise a shop that is slow for a reason other than its visitors would get no
visitors at all."""

GAIN = 0.1
"""Gain of the integral controller, per second: the rate is multiplied by load ** -GAIN. A visitor's
requests come within about ten seconds of admission, and such a control loop oscillates if gain
times delay exceeds pi / 2. Source: stability limit of an integral controller with dead time; the
simulation (decision 0012)."""

FALL_MOST = 0.8
RISE_MOST = 1.2
"""Limits of the factor applied to the rate per second: it can halve in about three seconds, and
rise from a twentieth of the full rate to all of it in sixteen, once the cause is gone. A shop whose
load is a sixth of its target or more rises by the gain alone."""

STEP_S_MAX = 5.0
"""Longest time step of one decision, in s: after a longer pause, the earlier state means little."""

HEADROOM = 1.25
"""Anti-windup: the load of a shop comes from visitors who were actually admitted. So the rate falls
from the actual rate times this, not from a limit that was never reached."""

CHOOSING_S = 30.0
"""Time constant, in s, of taking a seat after admission: the number of visitors who may still take
one falls to 1/e. If it is too long, seats that became free again are kept for visitors who do not
want them; if it is too short, more visitors are admitted than there are seats."""

PAST_S = 600.0
"""Time constant, in s, of the no-show statistics: two lifetimes of an unused slot."""

PRIOR_SLOTS = 20.0
"""Prior of the no-show share: this many slots count as used, so that a few slots do not decide."""

NO_SHOWS_MOST = 0.8
"""Highest no-show share that is assumed: five visitors per free seat."""

LOAD_MOST = 100.0
SEATS_MOST = 10_000_000
"""Values are clamped to these; a higher one cannot be from a working shop."""


def decide(survey: Survey, report: ShopReport | None) -> Decision | None:
    """Decide the present rate and total of a room.

    Args:
        survey: The present state of the room.
        report: The latest report of its shop; `None` if only the previous decision is known.

    Returns:
        The decision; `None` for a room whose shop has never reported, which has only its own
        limits.

    Invariant:
        The rate is at most the room's own, and above zero while a seat is free. The expected
        number of visitors who will take a seat never exceeds the free seats.
    """
    before = survey.decision
    if before is not None and (
        report is None or report.reported_ms < before.report.reported_ms <= survey.at_ms
    ):
        report = before.report
    if report is None:
        return None
    report = report._replace(
        # A report from the future was made before the store's clock was set back; from now on it
        # ages.
        reported_ms=min(report.reported_ms, survey.at_ms),
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
    # Admitted visitors may still take a seat, except those who have left or hold a reservation.
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
    """Decide by the room's setting for a silent shop."""
    own = survey.rules.limits.admit_per_s
    reason, per_s = {
        WhenSilent.KEEP: (Reason.SILENT_KEEP, own),
        WhenSilent.SLOW: (Reason.SILENT_SLOW, own * SLOW_SHARE),
        WhenSilent.HOLD: (Reason.SILENT_HOLD, 0.0),
    }[survey.rules.when_shop_silent]
    return Decision(reason, per_s, None, no_shows, report, past)


def _past(survey: Survey) -> Memory:
    """Return the carried state, aged to the present."""
    count, before = survey.counters, survey.decision
    admitted, missed = count["admitted"], count["no_shows"]
    ended = count["left"] + count["lapsed"]
    if before is None:
        # When the visitors inside were admitted is unknown; counting them as new is the safe side.
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
    """Return the share of the room's own rate that its shop can handle, above 0, at most 1."""
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
    """Return the time until the next admit call in a room, in ms; 0 for at once."""
    match outcome:
        case Held(opens_in_ms):
            # A room opens within a tick of its time.
            return min(opens_in_ms, IDLE_MS) if opens_in_ms > 0 else IDLE_MS
        case Leased(remaining_ms):
            return max(min(remaining_ms, HANDOVER_MS), TICK_MS)
        case Moved(admitted, passed, waiting, free=free, due=due):
            # Visitors who were passed over took neither slot nor token, so admit the next ones now.
            more_now = passed > 0 or admitted == CHUNK_MAX
            return 0 if more_now and waiting > 0 and free > 0 and due > 0 else TICK_MS


def may_be_empty(outcome: Moved | Leased | Held) -> bool:
    """Return whether the room may be empty, judged by an admit call."""
    match outcome:
        case Held():
            # The call does not show it; `Rooms.let_sleep` checks it.
            return True
        case Moved(waiting=waiting):
            return waiting == 0
        case Leased():
            return False
