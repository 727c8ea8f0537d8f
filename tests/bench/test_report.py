"""Reports of scenarios: self-contained pages, warnings first, and comparisons."""

import copy
import io
import re
from pathlib import Path
from typing import Any

import pytest

from waitline.kernel.terminal import Terminal
from waitline.sales.drawing import page, plots
from waitline.sales.drawing.page import Cell, Tile
from waitline.sales.drawing.plots import Axis, Series
from waitline_bench.cli.scenario import show
from waitline_bench.scenario import compare, report, result_text

# Whatever a browser would fetch; anything of ours stays within the page.
FETCHED = re.compile(r"""(?:src|href)\s*=\s*["'](?!\#)|url\((?!\#)|@import|<script|<link|<iframe""")


def figures(**changed: Any) -> dict[str, float | None]:  # noqa: ANN401 - any figure
    return {"count": 10.0, "mean_ms": 2.0, "p50_ms": 1.0, "p95_ms": 4.0, "p99_ms": 8.0, **changed}


RESULT: dict[str, Any] = {
    "scenario": "entry",
    "question": "Can everybody get in?",
    "command": "waitline-bench entry",
    "load": {
        "script": "entry.js",
        "sha256": "0" * 64,
        "variables": {"SIZE": "full", "SCALE": "1"},
        "scale": 1.0,
        "seconds": 3.0,
        "scenarios": {
            "rush": {
                "executor": "constant-arrival-rate",
                "startTime": "0s",
                "rate": 5,
                "timeUnit": "1s",
                "duration": "3s",
            }
        },
    },
    "machine": {
        "processor": "a processor",
        "cores": 2,
        "memory_gb": 8.0,
        "system": "Linux 6",
        "python": "3.11.7",
        "waitline": "0.1.0",
        "commit": "abc1234",
        "at_ms": 1_800_000_000_000,
        "k6": "k6 v1.1.0",
    },
    "settings": {"workers": 2},
    "verdict": {"ok": True, "line": "", "reasons": []},
    "offered": {
        "arrivals": 15,
        "offered_per_s": 5.0,
        "carried_out": 15,
        "achieved_per_s": 5.0,
        "dropped": 0,
        "entries": 15,
    },
    "client": {
        "times": {"all": figures(max_ms=9.0), "enter": figures(max_ms=9.0)},
        "failed": 0.0,
        "rates": {"success": 1.0},
        "trends": {"activation_wait": figures()},
        "checks": [{"name": "entered", "passes": 15, "fails": 0}],
    },
    "thresholds": [
        {
            "subject": "http_req_duration{name:enter}",
            "condition": "p(95)<200",
            "value": 4.0,
            "ok": True,
            "by": "k6",
        }
    ],
    "server": {
        "calls": {"enter": figures()},
        "statuses": {"201": 15.0},
        "scripts": {"join": figures()},
        "statements": {},
        "rounds": figures(),
        "lease_refused": 0.0,
        "store": {
            "version": "9.1.2",
            "memory_peak_mb": 2.0,
            "commands": 100,
            "script_ms": {"p50_ms": 0.1, "p99_ms": 0.5},
        },
        "cpu_s": {"worker": 1.0, "valkey": 0.5, "k6": 1.0},
        "took_s": 5.0,
        "machine_s": 3.0,
        "stolen_s": 0.1,
        "looks_missed": 0,
    },
    "admission": {"per_s": None, "most_waiting": 12, "most_admitted": 3},
    "audit": [
        {
            "room": "sale",
            "waiting": 12,
            "admitted": 3,
            "entered": 15,
            "active_max": 100,
            "admit_per_s": 5.0,
            "findings": [],
        }
    ],
    "box_office": None,
    "samples": {
        "at_s": [1.0, 2.0, 3.0],
        "requests_per_s": [5.0, 5.0, 5.0],
        "enters_per_s": [5.0, 5.0, 5.0],
        "admissions_per_s": [0.0, 1.0, 2.0],
        "exits_per_s": [0.0, 0.0, 0.0],
        "waiting": [5, 9, 12],
        "admitted": [0, 1, 3],
        "p50_ms": [1.0, None, 1.0],
        "p95_ms": [2.0, None, 2.0],
        "p99_ms": [3.0, None, 3.0],
        "p95_ms_by_call": {"enter": [2.0, None, 2.0]},
        "cores": {
            "worker": [0.1] * 3,
            "valkey": [0.1] * 3,
            "k6": [0.2] * 3,
            "others": [0.0] * 3,
            "stolen": [0.1] * 3,
        },
        "memory_mb": {"worker": [50.0] * 3, "valkey": [2.0] * 3, "k6": [90.0] * 3},
        "files": {"worker": [20] * 3, "valkey": [10] * 3, "k6": [90] * 3},
        "store_commands_per_s": [10.0, 20.0, 30.0],
        "store_memory_mb": [1.0, 1.0, 2.0],
    },
}


def changed(**paths: Any) -> dict[str, Any]:  # noqa: ANN401 - any figure
    """The result with some figures changed, their paths written with two underscores."""
    result = copy.deepcopy(RESULT)
    for path, value in paths.items():
        *parents, last = path.split("__")
        inner = result
        for name in parents:
            inner = inner[name]
        inner[last] = value
    return result


def test_a_report_is_one_file() -> None:
    text = report.html(RESULT)
    assert FETCHED.findall(text) == []
    assert text.count("<svg") == len(list(report.drawings(RESULT)))
    for word in ("Passed", "Can everybody get in?", "p95 &lt; 200 ms", "all hold", "abc1234"):
        assert word in text


def test_a_sale_is_reported_with_its_audit() -> None:
    books = {"seats": 10_000, "sold": 7, "findings": []}
    statements = {"reserve": figures(count=7.0)}
    text = report.html(changed(box_office=books, server__statements=statements))
    for word in ("Was the sale right?", "10,000", "Statements, to the database and back"):
        assert word in text
    wrong = [{"invariant": "B2", "text": "1 seats were sold twice: 7", "times": 1}]
    text = report.html(changed(box_office={**books, "findings": wrong}))
    assert 'class="bad">B2: 1 seats were sold twice: 7' in text
    assert "Was the sale right?" not in report.html(RESULT)


def test_a_failure_is_reported_first() -> None:
    result = changed(
        verdict={"ok": False, "line": "x", "reasons": ["<b>7</b> arrivals were dropped"]},
        audit=[{**RESULT["audit"][0], "findings": ["Q3: overtaken"]}],
    )
    text = report.html(result)
    assert "&lt;b&gt;7&lt;/b&gt; arrivals were dropped" in text
    assert 'class="bad">Q3: overtaken' in text
    assert "Passed" not in text


@pytest.mark.parametrize(
    ("result", "note"),
    [
        pytest.param(changed(load__scale=0.1), "Scaled: all rates are 10 %", id="scaled"),
        pytest.param(
            changed(load__variables={"SECONDS": "7"}), "the steady part lasts 7 s", id="shortened"
        ),
        pytest.param(changed(server__machine_s=7.5), "used 1.0 of its 2 cores", id="not alone"),
        pytest.param(changed(server__stolen_s=1.0), "Steal time was 10 %", id="not always there"),
        pytest.param(
            changed(scenario="circulation"), "too short to judge whether as many", id="unjudged"
        ),
    ],
)
def test_what_must_be_known_first(result: dict[str, Any], note: str) -> None:
    assert report.notes(RESULT) == []
    assert note in report.notes(result)[0]


def test_however_narrow_the_terminal_the_figures_are_whole() -> None:
    growth = {
        "subject": "files added per hour, per process, booking workers",
        "condition": "growth<=300",
        "value": 123.0,
        "ok": True,
        "by": "server",
    }
    console = Terminal(width=60, file=io.StringIO())
    show(console, changed(thresholds=[*RESULT["thresholds"], growth]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "123" in text
    assert text.count("holds") == 2
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        pytest.param(changed(settings={"workers": 1}), None, id="other settings"),
        pytest.param(changed(scenario="storm"), "scenarios differ: entry and storm", id="scenario"),
        pytest.param(changed(load__scale=0.5), "the scale differs: 1.0 and 0.5", id="scale"),
        pytest.param(
            changed(load__variables={"SIZE": "10k", "SCALE": "1"}), "SIZE differs: full and 10k",
            id="size",
        ),
        pytest.param(changed(load__scenarios={}), "the arrivals differ", id="arrivals"),
    ],
)  # fmt: skip
def test_only_what_was_offered_the_same_is_compared(
    other: dict[str, Any], difference: str | None
) -> None:
    found = compare.differences(RESULT, other)
    assert found == [] if difference is None else difference in found[0]


def test_a_comparison_is_one_file_and_begins_with_what_differs() -> None:
    text = compare.html(RESULT, changed(load__scale=0.5), ("one", "two"))
    assert FETCHED.findall(text) == []
    assert text.index("were not offered the same: the scale differs") < text.index("<table")


def test_changes_are_in_percent_and_good_or_bad() -> None:
    other = changed(
        offered__achieved_per_s=4.0, client__times__enter__p95_ms=2.0, admission__most_waiting=24
    )
    found = {one.name: (one.shown, one.good) for one in compare.changes(RESULT, other)}
    assert found["carried out, per s"] == ("-20.0 %", False)
    assert found["enter p95, client"] == ("-50.0 %", True)
    assert found["longest line"] == ("+100.0 %", None)
    assert found["enter p99, client"] == ("+0.0 %", None)
    assert found["let in, per s"] == ("", None)


@pytest.mark.parametrize(
    ("subject", "condition", "value", "words_of"),
    [
        pytest.param(
            "http_req_duration{name:enter}", "p(95)<200", 31.25,
            ("enter", "p95 < 200 ms", "31.2 ms"), id="a time",
        ),
        pytest.param(
            "http_req_failed{scenario:at_500}", "rate<0.01", 0.002,
            ("failed calls, at 500/s", "< 1 %", "0.2 %"), id="a rate of a step",
        ),
        pytest.param(
            "dropped_iterations", "count==0", 1_234.0,
            ("dropped arrivals", "= 0", "1,234"), id="a count",
        ),
        pytest.param(
            "activation_wait", "p(95)<30000", 29_876.0,
            ("wait until activation", "p95 < 30.0 s", "29.9 s"), id="seconds",
        ),
        pytest.param(
            "mine", "avg<=3", None, ("mine", "avg ≤ 3", result_text.UNKNOWN), id="somebody else's"
        ),
    ],
)  # fmt: skip
def test_thresholds_have_labels(
    subject: str, condition: str, value: float | None, words_of: tuple[str, str, str]
) -> None:
    assert result_text.subject(subject) == words_of[0]
    assert result_text.condition(subject, condition) == words_of[1]
    assert result_text.measured(subject, condition, value) == words_of[2]


def test_a_drawing_follows_the_theme_and_stands_alone(tmp_path: Path) -> None:
    series = [Series("a & b", [1, 10, 100], [1.0, None, 3.0]), Series("limit", [1, 100], [2, 2])]
    svg = plots.lines(series, "Title <1>", "ms", x=Axis("visitors", "log"), points=True)
    assert FETCHED.findall(svg) == []
    assert 'aria-label="Title &lt;1&gt;: a &amp; b, limit"' in svg
    assert "var(--c1, #" in svg
    assert not re.search(r"#0000[ef]\w", svg)
    # A file of its own must be well formed.
    import xml.etree.ElementTree as ET  # noqa: PLC0415 - for this one

    (tmp_path / "a.svg").write_text(svg, "utf-8")
    ET.parse(tmp_path / "a.svg")  # noqa: S314 - our own text


def test_ids_of_two_drawings_do_not_meet() -> None:
    first = plots.lines([Series("a", [0, 1], [0, 1])], "First", "s")
    second = plots.stacked([Series("a", [0, 1], [0, 1])], "Second", "s", most=2)
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_what_is_no_markup_is_escaped() -> None:
    text = page.page(
        "a < b",
        page.heading("<i>", "<t>", "<p>"),
        page.notice("<n>"),
        page.tiles([Tile("<x>", "<y>", "<z>")]),
        page.table(("<h>",), [("<r>", Cell("<c>", good=True))], caption="<q>"),
    )
    for letter in "itpnxyzhrcq":
        assert f"&lt;{letter}&gt;" in text
    assert "<title>a &lt; b</title>" in text
