"""Format the figures of a rehearsal for the terminal. Pure."""

from collections.abc import Iterator
from typing import Any

from waitline.kernel.plurals import counted
from waitline.sales.durations import format_duration

CALLS = ("", "calls", "p50 ms", "p95 ms", "limit", "p99 ms", "failed")
"""Headings of the rows of `calls`. A row has one more cell: whether p95 is within the limit."""

OUTCOMES = {
    "left_sold_out": "left when sold out",
    "no_seat": "found no seat",
    "no_show": "no-show",
}
"""Outcomes of visits that are not worded as their key."""


def described(figures: dict[str, Any]) -> str:
    """Return two lines that describe the rehearsal and its room."""
    limits = figures["limits"]
    of = "new rooms" if figures["like"] is None else f"room {figures['like']!r}"
    return (
        f"Rehearsal: {counted(figures['visitors'], 'visitor')} over {figures['minutes']:g} min, "
        f"{counted(figures['seats'], 'seat')} ({figures['mode']} mode, "
        f"payments by {figures['payments']})\n"
        f"Limits of {of}: {limits['admitPerSecond']:,g} admissions per second, "
        f"{counted(limits['activeMax'], 'slot')}"
    )


def calls(figures: dict[str, Any]) -> Iterator[tuple[str | bool, ...]]:
    """Yield a row for each kind of call."""
    for call in figures["calls"]:
        limit_ms = call["p95_limit_ms"]
        yield (
            call["call"],
            f"{call['requests']:,}",
            *(f"{call[name]:,.0f}" for name in ("p50_ms", "p95_ms")),
            f"{limit_ms:,.0f}" if limit_ms else "",
            f"{call['p99_ms']:,.0f}",
            f"{call['failed']:,}",
            limit_ms is None or call["p95_ms"] <= limit_ms,
        )


def sections(figures: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the other figures as sections: a heading, and rows of name and text."""
    yield "The line", list(_line(figures))
    yield "The sale", list(_sale(figures))
    made = figures["generator"]
    limit = "saturated" if made["was_the_limit"] else "not saturated"
    text = f"{limit}: requests sent at most {made['late_p99_ms']:,.0f} ms late (p99)"
    yield "Load generator", [("", f"{text}, {made['busy']:.0%} of a core")]


def _line(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    waits = figures["wait_ms"]
    yield "entered, admitted", f"{figures['entered']:,}, {figures['admitted']:,}"
    yield "wait, p50 and p95", _pair(waits["p50"], waits["p95"])
    yield "most waiting", f"{figures['most_waiting']:,}"
    yield "most slots held", f"{figures['most_inside']:,}"
    drained_s = figures["drained_s"]
    yield (
        "line cleared after",
        "never" if drained_s is None else format_duration(drained_s * 1000),
    )
    yield "limited by", _limited(figures["limited_by_s"])
    yield "admitted out of order", f"{figures['overtaken']:,}"


def _sale(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sold = figures["sold"]
    yield "seats sold", f"{sold['sold']:,} of {sold['seats']:,}"
    yield "seats sold twice", f"{figures['sold_twice']:,}"
    for outcome, count in sorted(figures["outcomes"].items(), key=lambda pair: -pair[1]):
        yield OUTCOMES.get(outcome, outcome.replace("_", " ")), f"{count:,}"
    if figures["refusals"]:
        parts = ", ".join(f"{name} {count:,}" for name, count in figures["refusals"].items())
        yield "refusals", parts
    journey, freed = figures["journey_ms"], figures["slot_freed_ms"]
    yield "from entering to leaving", _pair(journey["p50"], journey["p95"])
    if freed["p50"] is not None:
        yield "slot freed after payment", _pair(freed["p50"], freed["p95"])


def _pair(p50_ms: float | None, p95_ms: float | None) -> str:
    if p50_ms is None or p95_ms is None:
        return "nobody"
    return f"{format_duration(p50_ms)}, {format_duration(p95_ms)}"


def _limited(samples: dict[str, int]) -> str:
    total = sum(samples.values())
    if not total:
        return "nothing: no line formed"
    names = {"slots": "slots", "rate": "the rate", "shop": "the shop", "other": "something else"}
    parts = [f"{names[name]} in {count:,}" for name, count in samples.items() if count]
    return f"{', '.join(parts)} of {total:,} s"
