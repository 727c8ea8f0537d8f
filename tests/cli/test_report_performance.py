"""`waitline report performance`: results as waitline-bench writes them, and damaged ones."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.stack import waitline
from waitline.kernel.errors import Misconfigured
from waitline.sales.performance_report import content, markdown, page, results
from waitline.sales.performance_report.results import load_results

MACHINE = {
    "processor": "A <CPU> | 2", "cores": 2, "system": "Linux 6", "python": "3.11", "commit": "abc",
    "waitline": "1", "at_ms": 1_796_000_000_000,
}  # fmt: skip


def hot_call(name: str, per_s: float, cpu_us: float, of_naive: float | None = None) -> Any:  # noqa: ANN401 - JSON
    return {
        "name": name, "per_s": per_s, "least_per_s": per_s - 9, "most_per_s": per_s + 9,
        "of_empty": per_s / 30_000, "of_naive": of_naive, "cpu_us": cpu_us,
    }  # fmt: skip


def instances(count: int, times: float, **more: Any) -> Any:  # noqa: ANN401 - JSON
    latency = {"p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0}
    return {
        "per_s": 1_000 * times, "times": times, "times_least": times - 0.1,
        "times_most": times + 0.1, "efficiency": times / count, "steps": {"enter": latency},
        "quota_used": 1.0, "lease_refused": 0.01, "cores": {"others": 0.1, "stolen": 0.0},
        "instances": [{"instance": f"q{one}", "share": 1 / count} for one in range(count)],
        "troubles": [], **more,
    }  # fmt: skip


def primaries(count: int, rooms: int, times: float) -> Any:  # noqa: ANN401 - JSON
    return {
        "call": "join", "primaries": count, "rooms": rooms, "per_s": 10_000 * times,
        "times": times, "times_least": times, "times_most": times, "p50_ms": 3, "p99_ms": 7,
        "others_cores": 0.0, "stolen_cores": 0.0,
    }  # fmt: skip


RUSH = {
    "visitors": 300_000, "per_s": 10_000.0, "workers": 1, "dropped": 0, "p50_ms": 4.0,
    "p95_ms": 8.0, "p99_ms": 12.0, "cores": {"others": 0.0}, "cpu_us": {"worker": 34.0},
    "troubles": [],
}  # fmt: skip

FIGURES: dict[str, Any] = {
    "hot-path": {
        "flat_out": [
            hot_call("empty handler", 30_000, 29),
            hot_call("naive enter", 1_500, 600),
            hot_call("enter", 24_000, 30, 16.0),
        ],
        "paced": [
            {"name": "enter", "per_s": rate, "cpu_us": 9, "store_us": 9, "p50_ms": 1, "p99_ms": 2}
            for rate in (1_000, 5_000)
        ],
        "stolen": 0.0,
    },
    "scale-out": {"enter": {str(n): instances(n, t) for n, t in ((1, 1.0), (2, 1.9), (4, 3.8))}},
    "primaries": {"rows": [primaries(n, 9, n * 0.95 if n > 1 else 1.0) for n in (1, 3)]},
    "rush": RUSH,
}

SCENARIO = {
    "scenario": "entry", "machine": MACHINE, "command": "waitline-bench entry",
    "verdict": {"ok": False, "line": "Failed", "reasons": ["120 arrivals were dropped"]},
    "offered": {"arrivals": 310_000, "offered_per_s": 4_429.0, "achieved_per_s": 4_400.0,
                "dropped": 120},
    "thresholds": [
        {"subject": "http_req_duration{name:enter}", "condition": "p(95)<200", "value": 5.5,
         "ok": True},
        {"subject": "dropped_iterations", "condition": "count==0", "value": 120, "ok": False},
        {"subject": "success", "condition": "rate>0.95", "value": None, "ok": True},
    ],
}  # fmt: skip


def keep(folder: Path, at_ms: int = MACHINE["at_ms"], **figures: Any) -> Path:  # type: ignore[assignment]  # noqa: ANN401
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in (figures or FIGURES).items():
        document = {"machine": {**MACHINE, "at_ms": at_ms}, "seconds": 1.5, "figures": found}
        path = folder / f"{name.replace('_', '-')}.json"
        path.write_text(json.dumps(document), "utf-8")
    return folder


def both(*folders: Path) -> tuple[content.PerformanceReport, str, str]:
    found = content.report(load_results(folders))
    return found, page.html(found), markdown.markdown(found, "plot")


def test_a_whole_report(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "entry-1").mkdir()
    (tmp_path / "entry-1" / "result.json").write_text(json.dumps(SCENARIO), "utf-8")
    (tmp_path / "memory.json").write_text("{}", "utf-8")
    out = tmp_path / "report"
    done = waitline("report", "performance", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    text = (out / "performance-report.md").read_text("utf-8")
    html = (out / "performance-report.html").read_text("utf-8")
    for row in (
        "batched, instead of a naive server | requests/s | 1,500 | 24,000 | +1500% |",
        "| enter: the same | CPU µs | 600 | 30 | -95% |",
        "| enter: 2 instances instead of 1 | visits/s | 1,000 | 1,900 | +90% |",
        "| enter: 4 instances instead of 2 | visits/s | 1,900 | 3,800 | +100% |",
        "| join: 9 rooms on 3 primaries instead of one | visitors/s | 10,000 | 28,500 | +185% |",
        "| 3.80 (3.70 to 3.90) | 95% | 25.0% to 25.0% | 1.0% | 30 | 100% | 0.10 |",
        "| published: Java, 4 instances, a cluster of 6 nodes | 4,406 | 131 | 356 | 0.35% |",
        "| ours: rush, 1 worker, 1 Valkey | 10,000 | 8.0 | 12.0 | 0.00% |",
        "| ours: entry, by k6 | 4,400 | 5.5 | \u2013 | 0.04% |",
        "- entry: dropped iterations: 120, target count==0; 120 arrivals were dropped",
    ):
        assert row in text
    assert "waitline-bench scale-out --seconds 1.5" in text
    assert "Not part of this report: memory.json." in text
    assert "A &lt;CPU&gt; | 2, 2 cores" in html
    assert "A \\<CPU> \\| 2, 2 cores" in text
    plots = re.findall(r"\((performance-report-\w+(?:-\w+)*\.svg)\)", text)
    assert len(plots) == html.count("<svg") == 4
    for plot in plots:
        assert (out / plot).read_text("utf-8").startswith("<svg ")


def test_each_result_makes_a_report_of_its_own(tmp_path: Path) -> None:
    for kind, figures in FIGURES.items():
        found, html, text = both(keep(tmp_path / kind, **{kind: figures}))
        assert found.good, found.missed
        assert "nan" not in html + text


@pytest.mark.parametrize(
    ("row", "why"),
    [
        pytest.param({"quota_used": 0.8}, "used 80% of their CPU quota", id="idle"),
        pytest.param({"cores": {"others": 1.2, "stolen": 0.3}}, "took 1.5 of the cores", id="busy"),
        pytest.param(
            {"instances": [{"instance": "a", "share": 0.9}, {"instance": "b", "share": 0.1}]},
            "10% to 90% of the requests",
            id="uneven",
        ),
        pytest.param({"times_most": 1.85}, "a round reached 1.85", id="by a little"),
        pytest.param({}, "the figures do not say", id="unknown"),
    ],
)
def test_why_a_target_is_missed(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    rows = {"enter": {"1": instances(1, 1.0), "2": instances(2, 1.5, **row)}}
    found, _, text = both(keep(tmp_path, scale_out=rows))
    (missed,) = found.missed
    assert missed.startswith("enter, 2 instances: 1.50 x, target ≥ 1.8 x one; ")
    assert why in missed
    assert f"| **{rows['enter']['2']['times']:.2f} x (missed)** |" in text


def test_a_later_result_is_compared_with_the_first(tmp_path: Path) -> None:
    faster = {**RUSH, "p99_ms": 6.0}
    first = keep(tmp_path / "a", rush=RUSH)
    last = keep(tmp_path / "b", at_ms=MACHINE["at_ms"] + 5, rush=faster)  # type: ignore[operator]
    for folders in ((first, last), (last, first)):
        _, _, text = both(*folders)
        assert "| rush, p99 | ms | 12 | 6 | -50% |" in text
        assert "p99 | \\< 250 ms | **6.0 ms (met)** |" in text


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param("rush", "{", "is not a result of `waitline-bench rush`", id="no JSON"),
        pytest.param("rush", "", "is not a result of", id="empty"),
        pytest.param("rush", "[1]", "is not a result of", id="a list"),
        pytest.param("rush", '{"figures": {}}', "missing required field `machine`", id="bare"),
        pytest.param(
            "scale-out",
            json.dumps({"machine": MACHINE, "figures": {"enter": {"1": {"per_s": "many"}}}}),
            r"Expected `float`, got `str` - at `\$\[...\]\[...\].per_s`",
            id="text for a number",
        ),
        pytest.param("result", "{}", "is not a result of `waitline-bench a load", id="scenario"),
    ],
)
def test_a_damaged_result(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / f"{name}.json").write_text(text, "utf-8")
    with pytest.raises(Misconfigured, match=reason) as caught:
        load_results([tmp_path])
    assert "Delete it, or measure again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_without_results(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text("{}", "utf-8")
    for folder, reason in (
        (tmp_path, "has no results of waitline-bench; make some with"),
        (tmp_path / "missing", "cannot read the results in .*Not a directory"),
        (tmp_path / "memory.json", "cannot read the results in .*Not a directory"),
    ):
        with pytest.raises(Misconfigured, match=reason):
            load_results([folder])


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FILES_MAX", 3)
    with pytest.raises(Misconfigured, match="more than 3 JSON files"):
        load_results([keep(tmp_path)])
    monkeypatch.setattr(results, "FILE_BYTES_MAX", 100)
    monkeypatch.setattr(results, "FILES_MAX", 9)
    with pytest.raises(Misconfigured, match="is not a result"):
        load_results([tmp_path])
