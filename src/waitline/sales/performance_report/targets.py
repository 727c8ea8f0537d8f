"""Targets: which are met, and what the figures say about the others. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from waitline.kernel.plurals import counted
from waitline.sales.performance_report import published
from waitline.sales.performance_report.results import Results, ScaleOutRow, ScenarioCriterion

SCALE_OUT = {2: 1.8, 4: 3.5}
"""Least throughput, as a multiple of one instance's. Source: the wire contract, section 5."""

LEASE_REFUSED_MAX = 0.1
"""Source: as above."""

PRIMARIES_LEAST = {3: 2.7}
"""Least throughput of many rooms, as a multiple of one primary's: 90 % of the primaries."""

OF_EMPTY_LEAST = 0.65
"""Least share of an empty handler's requests/s that entering reaches (docs/performance.md)."""

RUSH_P99_MS = 250.0

USED_LEAST = 0.95
"""Share of its CPU quota from which an instance counts as the limit."""

OTHERS_MAX = 0.3
"""Cores of other work, and taken by the host, from which they explain a slow measurement."""

ROOMS_MANY = 9
"""Rooms of the row that primaries are judged by; one room is on one primary."""

WORKS = {"enter": "enter", "poll": "poll", "journey": "whole journey"}


class MeasuredTarget(NamedTuple):
    """A target.

    Attributes:
        name: What is measured.
        wanted: The target.
        measured: The figure.
        met: Whether it is met.
        why: Why it is not met, as far as the figures say; empty if it is.
    """

    name: str
    wanted: str
    measured: str
    met: bool
    why: str = ""


def targets(results: Results) -> list[MeasuredTarget]:
    """Return the targets that the results say something about."""
    return [*_hot_path(results), *_scale_out(results), *_primaries(results), *_rush(results),
            *_scenarios(results)]  # fmt: skip


def _hot_path(results: Results) -> Iterator[MeasuredTarget]:
    found = results.latest("hot-path")
    for call in found.flat_out if found else ():
        if call.name == "enter":
            met = call.of_empty >= OF_EMPTY_LEAST
            busy = f"the host took up to {found.stolen:.0%} of the CPU time" if found.stolen else ""
            yield MeasuredTarget(
                "enter, one worker", f"≥ {OF_EMPTY_LEAST:.2f} x an empty handler",
                f"{call.of_empty:.2f}", met,
                "" if met else busy or _unknown(),
            )  # fmt: skip


def _scale_out(results: Results) -> Iterator[MeasuredTarget]:
    for work, rows in (results.latest("scale-out") or {}).items():
        name = WORKS.get(work, work)
        for count, least in SCALE_OUT.items():
            row: ScaleOutRow | None = rows.get(str(count))
            if row is None:
                continue
            met = row.times >= least
            yield MeasuredTarget(
                f"{name}, {counted(count, 'instance')}", f"≥ {least} x one",
                f"{row.times:.2f} x", met,
                "" if met else _why_slow(row, least),
            )  # fmt: skip
            refused = row.lease_refused < LEASE_REFUSED_MAX
            yield MeasuredTarget(
                f"{name}, {counted(count, 'instance')}: admissions refused by lease",
                f"< {LEASE_REFUSED_MAX:.0%}", f"{row.lease_refused:.1%}", refused,
                "" if refused else "admitters contend for the same rooms",
            )  # fmt: skip


def _why_slow(row: ScaleOutRow, least: float) -> str:
    reasons = []
    others = row.cores.get("others", 0.0) + row.cores.get("stolen", 0.0)
    if row.quota_used < USED_LEAST:
        reasons.append(
            f"the instances used {row.quota_used:.0%} of their CPU quota, so they were not the "
            "limit"
        )
    if others > OTHERS_MAX:
        reasons.append(_busy(others))
    shares = [one.share for one in row.instances]
    if max(shares) - min(shares) > 0.2 / len(shares):
        reasons.append(f"the instances got {min(shares):.0%} to {max(shares):.0%} of the requests")
    if row.times_most >= least:
        reasons.append(f"a round reached {row.times_most:.2f}")
    return "; ".join(reasons) or _unknown()


def _primaries(results: Results) -> Iterator[MeasuredTarget]:
    found = results.latest("primaries")
    for row in found.rows if found else ():
        least = PRIMARIES_LEAST.get(row.primaries)
        if least is None or row.rooms != ROOMS_MANY:
            continue
        met = row.times >= least
        others = row.others_cores + row.stolen_cores
        busy = _busy(others) if others > OTHERS_MAX else ""
        yield MeasuredTarget(
            f"{row.call}, {row.spread}", f"≥ {least} x one",
            f"{row.times:.2f} x", met,
            "" if met else busy or _unknown(),
        )  # fmt: skip


def _rush(results: Results) -> Iterator[MeasuredTarget]:
    rush = results.latest("rush")
    if rush is None:
        return
    name = f"rush, {counted(rush.visitors, 'visitor')} at {rush.per_s:,.0f}/s"
    others = rush.cores.get("others", 0.0) + rush.cores.get("stolen", 0.0)
    busy = _busy(others) if others > OTHERS_MAX else ""
    none = rush.dropped == 0 and not rush.troubles
    yield MeasuredTarget(
        f"{name}: dropped or refused", "none", f"{rush.dropped:,} dropped", none,
        "" if none else "; ".join([*rush.troubles, *([busy] if busy else [])]) or _unknown(),
    )  # fmt: skip
    for wanted, limit_ms in (
        (f"< {RUSH_P99_MS:.0f} ms", RUSH_P99_MS),
        (f"below the published {published.ENTRIES[0].p99_ms:.0f} ms", published.ENTRIES[0].p99_ms),
    ):
        met = rush.p99_ms < limit_ms
        yield MeasuredTarget(
            f"{name}: p99", wanted, f"{rush.p99_ms:.1f} ms", met,
            "" if met else busy or _unknown(),
        )  # fmt: skip


def _scenarios(results: Results) -> Iterator[MeasuredTarget]:
    for run in results.scenarios():
        reasons = "; ".join(run.verdict.reasons)
        for one in run.thresholds:
            yield MeasuredTarget(
                f"{run.scenario}: {subject(one)}", one.condition, value(one), one.ok,
                "" if one.ok else reasons or _unknown(),
            )  # fmt: skip


def subject(threshold: ScenarioCriterion) -> str:
    """Return what a criterion of k6 is about: `enter`, of `http_req_duration{name:enter}`."""
    tagged = re.search(r"\{\w+:([^}]*)\}", threshold.subject)
    return tagged[1] if tagged else threshold.subject.replace("_", " ")


def value(threshold: ScenarioCriterion) -> str:
    """Return the figure of a criterion; a dash if there is none."""
    return "\u2013" if threshold.value is None else f"{threshold.value:,.4g}"


def _busy(cores: float) -> str:
    return f"other work and the host took {cores:.1f} of the cores"


def _unknown() -> str:
    return "the figures do not say"
