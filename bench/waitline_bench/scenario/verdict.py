"""Decide whether a run passed. Pure.

k6 checks its own thresholds. This checks what k6 cannot see: the server's figures, the rooms after
the run, and that every acknowledged entry has a place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from waitline.kernel.plurals import counted
from waitline_bench.scenario import result_text
from waitline_bench.scenario.summary import Summary, Threshold

SCRIPT_MS_MAX = 10.0
"""p99 of one script call inside the store. Source: the wire contract, section 5."""

ROUND_MS_MAX = 2_000.0
"""p99 of one round of the admitter. Source: the wire contract, section 5."""

FULL = 0.99
"""Share of the slots at which a room counts as full. Below 1, because a sample may fall between a
departure and the next admission."""

SETTLED_S = 10.0
"""Time beyond the longest stay after which a room that never fills is in balance: its first
visitors have left."""

FLOW_S_MIN = 10.0
"""Least length of the judged part: a shorter one says nothing about stays of up to 30 s."""

FLOW_MIN = 0.98
"""Least departures per admission. Stays are random, so the two differ by a fraction of a percent
over a minute."""

UNOFFERED_MAX = 0.001
UNOFFERED_LEAST = 5
"""Tolerated shortfall of arrivals, as a share and as a number. A saturated load generator starts
some late and skips some at the end without reporting them as dropped."""

LASTING = frozenset(("worker", "booking", "admitter", "sandbox", "valkey"))
"""Roles whose processes must survive the run."""

REASONS_MAX = 4
"""Reasons in the line that ends a run; the report has all of them."""


@dataclass(frozen=True, slots=True)
class RoomFound:
    """A room after the run.

    Attributes:
        room: Name of the room.
        waiting: Visitors waiting.
        admitted: Visitors holding a slot.
        entered: Visitors who joined, in total.
        active_max: Slots of the room.
        admit_per_s: Rate of the room.
        findings: Findings of the audit, one line each.
    """

    room: str
    waiting: int
    admitted: int
    entered: int
    active_max: int
    admit_per_s: float
    findings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run passed, and if not, why."""

    ok: bool
    reasons: Sequence[str]

    @property
    def line(self) -> str:
        """The reasons in one line."""
        more = len(self.reasons) - REASONS_MAX
        shown = "; ".join(self.reasons[:REASONS_MAX])
        return f"{shown}; and {more} more in the report" if more > 0 else shown


def judge(
    found: Summary,
    served: Sequence[Threshold],
    rooms: Sequence[RoomFound],
    reckoning: Sequence[str] = (),
    books: Sequence[str] = (),
) -> Verdict:
    """Combine all criteria into a verdict.

    Args:
        found: The result of k6.
        served: The server's thresholds.
        rooms: The rooms after the run.
        reckoning: Results of `reckoned`, `underfed`, `drained` and `survived`.
        books: Findings of the box office's audit, one line each.
    """
    reasons = [
        f"{result_text.subject(one.subject)}: "
        f"{result_text.measured(one.subject, one.condition, one.value)}, "
        f"must be {result_text.condition(one.subject, one.condition)}"
        for one in (*found.thresholds, *served)
        if not one.ok and one.subject != "dropped_iterations"
    ]
    if found.dropped:
        reasons.append(f"{counted(found.dropped, 'arrival was', 'arrivals were')} dropped")
    # A script with a threshold on checks is handled above.
    if found.checks_failed and not found.tolerates:
        failed = [check for check in found.checks if check.fails]
        names = ", ".join(f"{check.name!r}" for check in failed)
        wrong = counted(found.checks_failed, "answer was", "answers were")
        reasons.append(f"{wrong} wrong: {names}")
    if found.errors:
        times = counted(len(found.errors), "time")
        reasons.append(f"the script failed {times}: {found.errors[0][:200]}")
    if not found.iterations:
        reasons.append("nothing was carried out to the end")
    reasons += [f"room {room.room}: {text}" for room in rooms for text in room.findings]
    reasons += [f"box office: {text}" for text in books]
    reasons += filter(None, reckoning)
    return Verdict(not reasons, reasons)


def reckoned(found: Summary, rooms: Sequence[RoomFound]) -> str:
    """Compare acknowledged entries with places; return the difference as text, or an empty text.

    Only for scripts without repeated entries that check every entry as `entered`.

    Invariant:
        Q1, Q7.
    """
    entries = next((check for check in found.checks if check.name == "entered"), None)
    if entries is None:
        return ""
    entered = sum(room.entered for room in rooms)
    if entered < entries.passes:
        acknowledged = counted(entries.passes, "entry was", "entries were")
        return f"{acknowledged} acknowledged, but {_places(entered)}"
    # A visitor may have entered even if the answer failed the check.
    most = entries.passes + entries.fails
    if entered > most:
        return f"{counted(most, 'visitor')} came, but {_places(entered)}"
    return ""


def _places(entered: int) -> str:
    return f"{counted(entered, 'place was', 'places were')} given"


def underfed(arrivals: int, planned: int) -> str:
    """Compare the offered with the planned load; return the shortfall as text, or an empty text."""
    if arrivals >= planned - max(UNOFFERED_LEAST, UNOFFERED_MAX * planned):
        return ""
    return f"k6 offered {arrivals:,} of {counted(planned, 'arrival')}: it could not keep up"


def drained(found: Summary, rooms: Sequence[RoomFound]) -> str:
    """Return the visitors left in a room after all have left as text, or an empty text.

    Only for scripts in which every visitor leaves or pays, and that check every entry as `entered`.

    Invariant:
        B5, and no slot is leaked.
    """
    # A visitor may have entered even if the answer failed the check.
    unaware = sum(check.fails for check in found.checks if check.name == "entered")
    if sum(room.waiting + room.admitted for room in rooms) <= unaware:
        return ""
    return "; ".join(
        f"everybody has left, and in room {room.room} {room.waiting:,} wait and "
        f"{room.admitted:,} hold a slot"
        for room in rooms
        if room.waiting or room.admitted
    )


def survived(first: Mapping[str, Sequence[int]], last: Mapping[str, Sequence[int]]) -> list[str]:
    """Compare the process ids before and after a run; return the roles with an ended process.

    PostgreSQL is left out: it has a process per connection.
    """
    return [
        f"{result_text.ROLES[role]}: a process ended during the run"
        for role, pids in first.items()
        if role in LASTING and not set(pids) <= set(last.get(role, ()))
    ]


def served(script_p99_ms: float | None, round_p99_ms: float | None) -> list[Threshold]:
    """Return the criteria measured at the server; a missing figure fails."""
    rows = (
        ("one script in the store", f"p(99)<{SCRIPT_MS_MAX:g}", script_p99_ms, SCRIPT_MS_MAX),
        ("one round of the admitter", f"p(99)<{ROUND_MS_MAX:g}", round_p99_ms, ROUND_MS_MAX),
    )
    return [
        Threshold(subject, condition, value, value is not None and value < limit, "server")
        for subject, condition, value, limit in rows
    ]


def flow(
    at_s: Sequence[float],
    columns: Mapping[str, Sequence[float]],
    slots: int,
    *,
    stay_s: float,
    until_s: float,
) -> Threshold | None:
    """Check that departures keep up with admissions, once the room is full or in balance.

    Args:
        at_s: Time of each sample since the first arrival.
        columns: `admitted`, `admissions_per_s` and `exits_per_s` of each.
        slots: Slots of all rooms.
        stay_s: Longest stay of a visitor.
        until_s: End of the arrivals.

    Returns:
        `None` if the run was too short to decide.
    """
    names = ("admitted", "admissions_per_s", "exits_per_s")
    looks = zip(at_s, *(columns[name] for name in names), strict=True)
    rows = [row for row in looks if row[0] <= until_s]
    full_s = next((at for at, held, _, _ in rows if held >= FULL * slots), None)
    steady_s = stay_s + SETTLED_S
    since_s = steady_s if full_s is None else full_s
    judged = [(into, out) for at, _, into, out in rows if at > since_s]
    admitted, left = sum(into for into, _ in judged), sum(out for _, out in judged)
    if len(judged) < FLOW_S_MIN or not admitted:
        return None
    when = f"full from {full_s:.0f} s on" if full_s is not None else f"after {steady_s:.0f} s"
    share = left / admitted
    subject = f"departures per admission, {when}"
    return Threshold(subject, f"rate>={FLOW_MIN:g}", share, share >= FLOW_MIN, "server")
