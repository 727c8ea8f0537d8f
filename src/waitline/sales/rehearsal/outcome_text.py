"""A rehearsal's figures as people read them. Pure."""

from collections.abc import Iterator
from typing import Any

from waitline.sales.durations import format_duration

CALLS = ("", "asked", "p50 ms", "p95 ms", "below", "p99 ms", "failed")
"""What the columns of `calls` are; the last cell says whether p95 is below what it must be."""


def described(figures: dict[str, Any]) -> str:
    """Say what was played."""
    return (
        f"Rehearsal: {figures['visitors']:,} visitors over {figures['minutes']:g} min, "
        f"{figures['seats']:,} seats ({figures['mode']} mode, payments by {figures['payments']})"
    )


def calls(figures: dict[str, Any]) -> Iterator[tuple[str | bool, ...]]:
    """Yield a row for each call."""
    for call in figures["calls"]:
        limit_ms = call["p95_limit_ms"]
        yield (
            call["call"],
            f"{call['asked']:,}",
            *(f"{call[name]:,.0f}" for name in ("p50_ms", "p95_ms")),
            f"{limit_ms:,.0f}" if limit_ms else "",
            f"{call['p99_ms']:,.0f}",
            f"{call['failed']:,}",
            limit_ms is None or call["p95_ms"] <= limit_ms,
        )


def sections(figures: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the rest, by heading."""
    yield "The line", list(_line(figures))
    yield "The sale", list(_sale(figures))
    made = figures["generator"]
    limit = "the limit" if made["was_the_limit"] else "not the limit"
    text = f"{limit}: 99 of 100 requests left within {made['late_p99_ms']:,.0f} ms of their time"
    yield "This generator", [("", f"{text}, {made['busy']:.0%} of a core")]


def _line(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    waits = figures["wait_ms"]
    yield "entered, admitted", f"{figures['entered']:,}, {figures['admitted']:,}"
    yield "wait, p50 and p95", _pair(waits["p50"], waits["p95"])
    yield "most who waited", f"{figures['most_waiting']:,}"
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
    for how, count in sorted(figures["ends"].items(), key=lambda pair: -pair[1]):
        yield how, f"{count:,}"
    if figures["refusals"]:
        parts = ", ".join(f"{name} {count:,}" for name, count in figures["refusals"].items())
        yield "refusals", parts
    journey, freed = figures["journey_ms"], figures["slot_freed_ms"]
    yield "from entering to gone", _pair(journey["p50"], journey["p95"])
    if freed["p50"] is not None:
        yield "slot freed after paying", _pair(freed["p50"], freed["p95"])


def _pair(p50_ms: float | None, p95_ms: float | None) -> str:
    if p50_ms is None or p95_ms is None:
        return "nobody"
    return f"{format_duration(p50_ms)}, {format_duration(p95_ms)}"


def _limited(samples: dict[str, int]) -> str:
    total = sum(samples.values())
    if not total:
        return "nothing: there was no line"
    names = {"slots": "slots", "rate": "the rate", "shop": "the shop", "other": "none of these"}
    parts = [f"{names[name]} in {count:,}" for name, count in samples.items() if count]
    return f"{', '.join(parts)} of {total:,} s with a line"
