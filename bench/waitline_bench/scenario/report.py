"""Report of a run for display: report.html. Pure, except for the drawing library.

Client latencies (k6, whole run) and server latencies (every second) are shown separately.
"""

from collections.abc import Iterator, Mapping
from itertools import compress
from statistics import fmean
from typing import Any

from waitline.kernel.plurals import counted
from waitline.sales.drawing import page, plots
from waitline.sales.drawing.page import Cell, Markup, Tile
from waitline.sales.drawing.plots import Series
from waitline_bench.host_steal import STOLEN_MOST
from waitline_bench.scenario import result_text
from waitline_bench.scenario.offer import steps

Result = Mapping[str, Any]

OTHERS_CORES = 0.2
"""CPU use of other processes, in cores, above which the figures are disturbed."""

STACKED = (
    "worker", "valkey", "admitter", "booking", "postgres", "sandbox", "k6", "runner", "others",
    "stolen",
)  # fmt: skip
HEADLINES = ("enter", "validate")
"""Calls whose latencies are key figures, in runs that are about them."""

LATE = {
    "circulation": {"departures per admission": "whether as many leave as come in"},
    "soak": {
        "departures per admission": "whether as many leave as come in",
        "added per hour": "whether memory and open files stay flat",
    },
}
"""Criteria of long runs: a word of the threshold, and its subject."""

CLIENT_KEYS = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
COLOURS = {
    "worker": 0,
    "valkey": 2,
    "admitter": 5,
    "booking": 3,
    "postgres": 4,
    "k6": 1,
    "sandbox": 8,
    "runner": 6,
    "others": plots.GREY,
    "stolen": plots.PALE,
}
"""One colour per process, in every plot."""


def html(result: Result) -> str:
    """Return the report of a run."""
    return page.page(
        f"{result_text.title(result)}: {'passed' if result['verdict']['ok'] else 'failed'}",
        page.heading(
            f"Waitline benchmark · {result_text.when(result)}",
            result_text.title(result),
            result["question"],
        ),
        _verdict(result),
        page.notice(*notes(result)),
        page.tiles(_tiles(result)),
        page.section("What had to hold", _thresholds(result)),
        page.section(
            "As it went",
            page.plots(drawings(result)),
            about="Times here are the server's, from a request's arrival in the worker to its "
            "answer, estimated within the buckets of its histograms.",
        ),
        page.section(
            "How long calls took",
            _calls(result),
            about="k6 measures at the client, with the network and its own wait for a processor; "
            "the server from the arrival of the request to its answer.",
        ),
        page.section(
            "Inside the server",
            page.halves(_scripts(result), _processes(result)),
            *_statements(result),
        ),
        page.section("Was the line right?", _audit(result), about=_audited(result)),
        *_sale(result),
        page.section("What it ran on", _machine(result)),
        page.footer(
            "k6 judges times and answers; the audit reads the whole room afterwards and judges "
            "order, capacity and duplicates. All figures are in result.json beside this page.",
            Markup(f"Made with {page.code(result['command'])}"),
        ),
    )  # fmt: skip


def notes(result: Result) -> list[str]:
    """Return the remarks that precede the figures."""
    load, said = result["load"], []
    if load["scale"] != 1:
        said.append(
            f"Scaled: all rates are {result_text.percent(load['scale'])} of the scenario's. These "
            "are not the figures of the full load."
        )
    if "SECONDS" in load["variables"]:
        seconds = load["variables"]["SECONDS"]
        said.append(f"Shortened: the steady part lasts {seconds} s.")
    subjects = [one["subject"] for one in result["thresholds"]]
    said += [
        f"It was too short to judge {about}."
        for word, about in LATE.get(result["scenario"], {}).items()
        if not any(word in subject for subject in subjects)
    ]
    server = result["server"]
    others = max(0.0, server["machine_s"] - sum(server["cpu_s"].values())) / server["took_s"]
    if others > OTHERS_CORES:
        said.append(
            f"Other processes on this machine used {others:.1f} of its "
            f"{counted(result['machine']['cores'], 'core')}: results would otherwise be better."
        )
    stolen = server["stolen_s"] / server["took_s"] / result["machine"]["cores"]
    if stolen > STOLEN_MOST:
        said.append(
            f"Steal time was {result_text.percent(round(stolen, 2))} of the CPU time: results "
            "would otherwise be better."
        )
    return said


def drawings(result: Result) -> Iterator[str]:
    """Plot the run over time."""
    seen = result["samples"]
    at_s = seen["at_s"]

    def series(key: str, name: str, colour: int) -> Series:
        return Series(name, at_s, seen[key], colour=colour)

    arrivals = [
        series("enters_per_s", "entered", 0),
        series("admissions_per_s", "let in", 2),
        series("exits_per_s", "left", 3),
    ]
    answers = [series("requests_per_s", "answered", 0)]
    if drawn := offered(result):
        # If the visitors have entered before, the offered load is their other calls.
        enter = result["offered"]["entries"] >= result["offered"]["carried_out"]
        (arrivals if enter else answers).append(drawn)
    yield plots.lines(arrivals, "Arrivals and admissions", "visitors/s")
    yield plots.lines(
        [series("p50_ms", "p50", 2), series("p95_ms", "p95", 0), series("p99_ms", "p99", 4)],
        "Answer times in the server", "ms",
    )  # fmt: skip
    yield plots.lines(
        [series("waiting", "waiting", 0), series("admitted", "let in and not gone", 2)],
        "Length of the line", "visitors",
    )  # fmt: skip
    yield plots.stacked(
        [
            Series(result_text.ROLES[role], at_s, seen["cores"][role], colour=COLOURS[role])
            for role in STACKED
            if role in seen["cores"]
        ],
        "CPU time", "cores", most=result["machine"]["cores"],
    )  # fmt: skip
    calls = seen["p95_ms_by_call"]
    if len(calls) > 1:
        yield plots.lines(answers, "Calls", "per s")
        yield plots.lines(
            [Series(name, at_s, ys) for name, ys in calls.items()],
            "p95 in the server, by call",
            "ms",
        )
    yield plots.lines([series("store_commands_per_s", "", 2)], "Commands in Valkey", "per s")
    yield plots.stacked(
        [
            Series(result_text.ROLES[role], at_s, seen["memory_mb"][role], colour=COLOURS[role])
            for role in STACKED
            if role in seen["memory_mb"]
        ],
        "Memory of their own", "MB",
    )  # fmt: skip
    yield plots.lines(
        [
            Series(result_text.ROLES[role], at_s, seen["files"][role], colour=COLOURS[role])
            for role in STACKED
            if role in seen["files"]
        ],
        "Open files and sockets", "number",
    )  # fmt: skip


def offered(result: Result) -> Series | None:
    """Return the offered rate over time, if every part has a constant rate."""
    corners = steps(result["load"]["scenarios"])
    if not corners:
        return None
    xs, rates = zip(*corners, strict=True)
    return Series("offered", xs, rates, dashed=True, colour=plots.GREY)


def _verdict(result: Result) -> Markup:
    judged = result["verdict"]
    if judged["ok"]:
        return page.verdict("Passed: everything that had to hold did.", (), good=True)
    return page.verdict("Failed.", judged["reasons"], good=False)


def _tiles(result: Result) -> Iterator[Tile]:
    offer, client = result["offered"], result["client"]
    call = next((name for name in HEADLINES if name in client["times"]), "all")
    times, of = client["times"][call], f"of {call} calls, at the client"
    arrivals = counted(offer["arrivals"], "arrival")
    yield Tile("Offered", f"{result_text.amount(offer['offered_per_s'])}/s", arrivals)
    share = offer["carried_out"] / offer["arrivals"] if offer["arrivals"] else None
    yield Tile(
        "Carried out",
        f"{result_text.amount(offer['achieved_per_s'])}/s",
        result_text.percent(share),
    )
    yield Tile("Dropped", f"{offer['dropped']:,}", "found no one free at the client")
    checked = sum(check["passes"] + check["fails"] for check in client["checks"])
    right = sum(check["passes"] for check in client["checks"])
    answers = result_text.percent(right / checked if checked else None)
    yield Tile("Right answers", answers, f"of {checked:,}")
    yield Tile("p95", result_text.milliseconds(times.get("p95_ms")), of)
    yield Tile("p99", result_text.milliseconds(times.get("p99_ms")), of)
    yield Tile("Longest line", f"{result['admission']['most_waiting']:,.0f}", "visitors waiting")
    let_in = result["admission"]["per_s"]
    rate = result_text.UNKNOWN if let_in is None else f"{result_text.amount(let_in)}/s"
    yield Tile("Let in", rate, "while somebody waited")


def _thresholds(result: Result) -> Markup:
    rows = [
        (
            result_text.subject(one["subject"]),
            _held(holds=one["ok"]),
            result_text.measured(one["subject"], one["condition"], one["value"]),
            result_text.condition(one["subject"], one["condition"]),
            one["by"],
        )
        for one in result["thresholds"]
    ]
    for check in result["client"]["checks"]:
        total = check["passes"] + check["fails"]
        held = _held(holds=not check["fails"])
        passes = f"{check['passes']:,} of {total:,}"
        rows.append((f"answers {check['name']}", held, passes, "all", "k6"))
    return page.table(("", "", "measured", "must be", "by"), rows)


def _held(*, holds: bool) -> Cell:
    return Cell("holds" if holds else "fails", holds)


def _calls(result: Result) -> Markup:
    client, server = result["client"]["times"], result["server"]["calls"]
    # The names of calls in a k6 script differ from our routes.
    names = {"poll": "status"}
    others = client.keys() - {"all"}
    rows = []
    for name, times in client.items():
        # A single call has a row of its own.
        if name == "all" and any(client[one] == times for one in others):
            continue
        there = server.get(names.get(name, name), {})
        rows.append((
            "all calls" if name == "all" else name,
            result_text.amount(times.get("count")),
            *(result_text.milliseconds(times.get(key)) for key in CLIENT_KEYS),
            *(result_text.milliseconds(there.get(key)) for key in ("p50_ms", "p95_ms", "p99_ms")),
        ))  # fmt: skip
    rows += [
        (
            name,
            result_text.amount(there["count"]),
            *(result_text.UNKNOWN,) * 4,
            *(result_text.milliseconds(there[key]) for key in ("p50_ms", "p95_ms", "p99_ms")),
        )
        for name, there in server.items()
        if name not in {names.get(name, name) for name in others}
    ]
    client_heads = ("client p50", "p95", "p99", "longest")
    return page.table(("", "calls", *client_heads, "server p50", "p95", "p99"), rows)


def _scripts(result: Result) -> Markup:
    rows = [
        (
            name,
            result_text.amount(figures["count"]),
            *(result_text.milliseconds(figures[key]) for key in ("mean_ms", "p50_ms", "p99_ms")),
        )
        for name, figures in result["server"]["scripts"].items()
    ]
    rounds = result["server"]["rounds"]
    times = [result_text.milliseconds(rounds[key]) for key in ("mean_ms", "p50_ms", "p99_ms")]
    rows.append(("rounds of the admitter", result_text.amount(rounds["count"]), *times))
    inside = result["server"]["store"]["script_ms"]
    if inside:
        times = [result_text.milliseconds(inside.get(key)) for key in ("p50_ms", "p99_ms")]
        rows.append(("any script, inside the store", "", result_text.UNKNOWN, *times))
    caption = "Scripts, to the store and back"
    return page.table(("", "calls", "mean", "p50", "p99"), rows, caption=caption)


def _processes(result: Result) -> Markup:
    seen, cpu_s = result["samples"], result["server"]["cpu_s"]
    answered = sum(call["count"] for call in result["server"]["calls"].values())
    loaded = [at_s <= result["load"]["seconds"] for at_s in seen["at_s"]]
    files = seen["files"]
    rows = [
        (
            result_text.ROLES.get(role, role),
            f"{fmean(compress(seen['cores'][role], loaded)) if any(loaded) else 0:.2f}",
            f"{cpu_s[role] / answered * 1e6:,.0f} µs" if answered else result_text.UNKNOWN,
            f"{max(seen['memory_mb'][role]):,.0f} MB",
            f"{max(files[role]):,}",
        )
        for role in sorted(cpu_s, key=lambda role: -cpu_s[role])
    ]
    heads = ("", "cores", "per call", "memory, most", "open files, most")
    return page.table(heads, rows, caption="Processes, while visitors came")


def _audited(result: Result) -> str:
    return (
        "Every room was read whole, in one step, after the run: places in the order of joining, "
        "nobody let in before a lower place, capacity and rate kept, nobody twice, nobody lost."
        if result["audit"]
        else "No room was there to be read."
    )


def _audit(result: Result) -> Markup:
    rows = [
        (
            room["room"],
            f"{room['entered']:,}",
            f"{room['waiting']:,}",
            f"{room['admitted']:,}",
            f"{room['active_max']:,} at {result_text.amount(room['admit_per_s'])}/s",
            Cell("; ".join(room["findings"]) or "all hold", not room["findings"]),
        )
        for room in result["audit"]
    ]
    heads = ("room", "entered", "wait still", "let in still", "it may let in", "Q1 to Q9")
    return page.table(heads, rows)


def _sale(result: Result) -> Iterator[Markup]:
    books = result["box_office"]
    if books is None:
        return
    counts = [(name, f"{count:,}") for name, count in books.items() if isinstance(count, int)]
    found = [f"{one['invariant']}: {one['text']}" for one in books["findings"]]
    rows: list[tuple[str, str | Cell]] = [
        *counts,
        ("B1 to B10", Cell("; ".join(found) or "all hold", not found)),
    ]
    yield page.section(
        "Was the sale right?",
        page.table(("", ""), rows),
        about="The whole database was read after the run: no seat is sold twice, what is paid is "
        "confirmed, and every visitor who has paid has freed the slot.",
    )


def _statements(result: Result) -> Iterator[Markup]:
    rows = [
        (
            name,
            result_text.amount(figures["count"]),
            *(result_text.milliseconds(figures[key]) for key in ("mean_ms", "p50_ms", "p99_ms")),
        )
        for name, figures in result["server"]["statements"].items()
    ]
    if rows:
        caption = "Statements, to the database and back"
        yield page.table(("", "calls", "mean", "p50", "p99"), rows, caption=caption)


def _machine(result: Result) -> Markup:
    machine, store = result["machine"], result["server"]["store"]
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    others = ", ".join(f"{name}={value}" for name, value in result["load"]["variables"].items())
    cores = f"{counted(machine['cores'], 'core')}, {machine['memory_gb']:.0f} GB"
    used = f"at most {store['memory_peak_mb']:,.0f} MB, {counted(store['commands'], 'command')}"
    rows = [
        ("Machine", f"{machine['processor']}, {cores}"),
        ("System", f"{machine['system']}, Python {machine['python']}"),
        ("Waitline", f"{machine['waitline']}, commit {machine['commit']}"),
        ("Valkey", f"{store['version']}, {used}"),
        ("k6", machine["k6"]),
        ("Settings", settings),
        ("Script", f"{result['load']['script']} {others}".strip()),
    ]
    return page.table(("", ""), rows, words=True)
