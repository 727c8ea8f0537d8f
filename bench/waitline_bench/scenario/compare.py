"""Comparison of two runs, in percent. Pure, except for the drawing library.

Only runs with the same offered load are compared, unless forced; the report then begins with the
differences.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from waitline.sales.drawing import page, plots
from waitline.sales.drawing.page import Cell, Markup
from waitline.sales.drawing.plots import Series
from waitline_bench.scenario import result_text

Result = Mapping[str, Any]
Read = Callable[[Result], Any]
Written = Callable[[float | None], str]
Better = Literal["less", "more", "neither"]

SAME = 0.05
"""Noise threshold: runs of the same code differ by this share."""

SERVERS = ("worker", "booking", "parent", "admitter", "valkey", "postgres", "supervisor")
"""Processes of Waitline and its stores, without the load generator."""


class Change(NamedTuple):
    """One figure of both runs.

    Attributes:
        name: Its label.
        a: Value of the first run; `None` if it has none.
        b: Value of the second run.
        written: Formats it.
        better: Direction of an improvement.
    """

    name: str
    a: float | None
    b: float | None
    written: Written
    better: Better

    @property
    def share(self) -> float | None:
        """The change as a share of the first figure; `None` if the first is 0 or missing."""
        if self.a is None or self.b is None or not self.a:
            return None
        return self.b / self.a - 1

    @property
    def good(self) -> bool | None:
        """Whether the change is an improvement; `None` if it is neither better nor worse."""
        share = self.share
        if share is None or self.better == "neither" or abs(share) < SAME:
            return None
        return (share < 0) is (self.better == "less")

    @property
    def shown(self) -> str:
        """The change, in percent."""
        share = self.share
        if share is None:
            return "" if self.a == self.b else result_text.UNKNOWN
        return f"{100 * share:+.1f} %"


def differences(a: Result, b: Result) -> list[str]:
    """Return the differences of the offered load, one per line; empty if comparable."""
    if a["scenario"] != b["scenario"]:
        return [f"the scenarios differ: {a['scenario']} and {b['scenario']}"]
    load_a, load_b = a["load"], b["load"]
    found = [
        f"{name} differs: {load_a[key]} and {load_b[key]}"
        for key, name in (("scale", "the scale"), ("seconds", "the length in s"))
        if load_a[key] != load_b[key]
    ]
    variables = {**load_a["variables"], **load_b["variables"]}
    # The scale is named above.
    found += [
        f"{name} differs: {load_a['variables'].get(name)} and {load_b['variables'].get(name)}"
        for name in variables
        if name not in {"SCALE", "SECONDS"}
        and load_a["variables"].get(name) != load_b["variables"].get(name)
    ]
    if not found and load_a["scenarios"] != load_b["scenarios"]:
        found.append("the arrivals differ")
    if load_a["sha256"] != load_b["sha256"] and a["scenario"] == "run":
        found.append(f"the scripts differ: {load_a['script']} and {load_b['script']}")
    return found


def changes(a: Result, b: Result) -> Iterator[Change]:
    """Return the change of every figure that both runs have, in the order of interest."""

    def pair(name: str, read: Read, written: Written, better: Better) -> Change:
        return Change(name, _read(read, a), _read(read, b), written, better)

    def times(side: str, kind: str, *quantiles: str) -> Iterator[Change]:
        for name in _both(a[side][kind], b[side][kind]):
            for quantile in quantiles:
                called = f"{result_text.subject(name)} {quantile}, {side}"
                yield pair(called, _time(side, kind, name, quantile), ms, "less")

    count, ms, share = result_text.amount, result_text.milliseconds, result_text.percent
    yield pair("offered, per s", lambda r: r["offered"]["offered_per_s"], count, "neither")
    yield pair("carried out, per s", lambda r: r["offered"]["achieved_per_s"], count, "more")
    yield pair("dropped arrivals", lambda r: r["offered"]["dropped"], count, "less")
    yield pair("failed calls", lambda r: r["client"]["failed"], share, "less")
    for name in _both(a["client"]["rates"], b["client"]["rates"]):
        yield pair(result_text.subject(name), _rate(name), share, "more")
    yield from times("client", "times", "p50", "p95", "p99")
    yield from times("client", "trends", "p95")
    yield from times("server", "calls", "p50", "p99")
    inside = "script p99, inside the store"
    yield pair(inside, lambda r: r["server"]["store"]["script_ms"]["p99_ms"], ms, "less")
    yield pair("let in, per s", lambda r: r["admission"]["per_s"], count, "neither")
    yield pair("longest line", lambda r: r["admission"]["most_waiting"], count, "neither")
    yield pair("CPU per call of all servers, µs", _cpu_us(SERVERS), count, "less")
    yield pair("CPU per call of the workers, µs", _cpu_us(("worker",)), count, "less")
    yield pair("CPU per call of Valkey, µs", _cpu_us(("valkey",)), count, "less")
    yield pair("CPU per call of k6, µs", _cpu_us(("k6",)), count, "neither")
    yield pair("cores that others kept busy", _others, count, "neither")
    yield pair("cores that the host took", _stolen, count, "neither")
    yield pair("Valkey, most MB", lambda r: r["server"]["store"]["memory_peak_mb"], count, "less")


def html(a: Result, b: Result, names: tuple[str, str]) -> str:
    """Return the report of a comparison.

    Args:
        a: The first run.
        b: The second.
        names: Labels of the runs.
    """
    differing = differences(a, b)
    title = result_text.title(a) if a["scenario"] == b["scenario"] else "Two scenarios"
    rows = [
        (one.name, one.written(one.a), one.written(one.b), Cell(one.shown, one.good))
        for one in changes(a, b)
    ]
    return page.page(
        f"{title}: {names[0]} and {names[1]}",
        page.heading(
            "Waitline benchmark · comparison", title, f"A is {names[0]}, B is {names[1]}."
        ),
        page.notice(*_warnings(differing, a, b)),
        page.section(
            "What changed",
            page.table(("", "A", "B", "change"), rows),
            about=f"From A to B. A change of less than {100 * SAME:.0f} % is not coloured: "
            "runs of the same code differ by as much.",
        ),
        page.section("As it went", page.plots(drawings(a, b))),
        page.section("What they ran on", _conditions(a, b)),
    )


def drawings(a: Result, b: Result) -> Iterator[str]:
    """Plot both runs together."""
    for key, title, unit in (
        ("enters_per_s", "Entered", "visitors/s"),
        ("requests_per_s", "Answers", "per s"),
        ("p95_ms", "p95 in the server", "ms"),
        ("p99_ms", "p99 in the server", "ms"),
        ("waiting", "Waiting", "visitors"),
        ("admitted", "Let in and not gone", "visitors"),
    ):
        yield plots.lines([_line(a, "A", key, 0), _line(b, "B", key, 1)], title, unit)
    yield plots.lines([_busy(a, "A", 0), _busy(b, "B", 1)], "Servers' CPU time", "cores")


def _line(result: Result, name: str, key: str, colour: int) -> Series:
    seen = result["samples"]
    return Series(name, seen["at_s"], seen[key], colour=colour)


def _busy(result: Result, name: str, colour: int) -> Series:
    seen = result["samples"]
    roles = [seen["cores"][role] for role in SERVERS if role in seen["cores"]]
    return Series(
        name, seen["at_s"], [sum(column) for column in zip(*roles, strict=True)], colour=colour
    )


def _warnings(differing: list[str], a: Result, b: Result) -> Iterator[str]:
    if differing:
        yield f"These runs were not offered the same: {'; '.join(differing)}."
    machines = [(one["machine"]["processor"], one["machine"]["cores"]) for one in (a, b)]
    if machines[0] != machines[1]:
        yield "They ran on different machines."
    failed = [name for name, one in (("A", a), ("B", b)) if not one["verdict"]["ok"]]
    if failed:
        yield f"{' and '.join(failed)} did not pass."


def _conditions(a: Result, b: Result) -> Markup:
    def row(name: str, read: Callable[[Result], str]) -> tuple[str, str, str]:
        return name, read(a), read(b)

    def machine(key: str) -> Callable[[Result], str]:
        return lambda result: str(result["machine"][key])

    def settings(result: Result) -> str:
        return ", ".join(f"{name} {value}" for name, value in result["settings"].items())

    rows = [
        row("made", result_text.when),
        row("passed", lambda r: "yes" if r["verdict"]["ok"] else str(r["verdict"]["line"])),
        row("settings", settings),
        *(row(key, machine(key)) for key in ("commit", "processor", "cores", "system", "python")),
        row("Valkey", lambda r: str(r["server"]["store"]["version"])),
        row("k6", machine("k6")),
    ]
    return page.table(("", "A", "B"), rows, words=True)


def _both(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [name for name in a if name in b]


def _time(side: str, kind: str, name: str, quantile: str) -> Read:
    return lambda result: result[side][kind][name][f"{quantile}_ms"]


def _rate(name: str) -> Read:
    return lambda result: result["client"]["rates"][name]


def _cpu_us(roles: tuple[str, ...]) -> Read:
    def value(result: Result) -> float | None:
        answered = sum(call["count"] for call in result["server"]["calls"].values())
        used_s = sum(result["server"]["cpu_s"].get(role, 0.0) for role in roles)
        return used_s / answered * 1e6 if answered else None

    return value


def _others(result: Result) -> float:
    server = result["server"]
    return float(server["machine_s"] - sum(server["cpu_s"].values())) / float(server["took_s"])


def _stolen(result: Result) -> float:
    return float(result["server"]["stolen_s"]) / float(result["server"]["took_s"])


def _read(read: Read, result: Result) -> float | None:
    # Other scripts may lack some of these figures.
    try:
        value = read(result)
    except KeyError:
        return None
    return None if value is None else float(value)
