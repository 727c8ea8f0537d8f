"""Parsing of k6's summary and of scraped metrics."""

import json
from math import inf
from typing import Any

import pytest

from waitline.kernel import process_metrics
from waitline.sales.buckets import NOTHING, Buckets
from waitline_bench.scenario import (
    offer,
    samples,
    scrape,
    series,
    summary,
)

EXPOSED = """\
# HELP http_server_requests_seconds Time
# TYPE http_server_requests_seconds histogram
http_server_requests_seconds_bucket{le="0.01",method="POST",uri="/enter"} 8.0
http_server_requests_seconds_bucket{le="0.1",method="POST",uri="/enter"} 9.0
http_server_requests_seconds_bucket{le="+Inf",method="POST",uri="/enter"} 10.0
http_server_requests_seconds_count{method="POST",uri="/enter"} 10.0
http_server_requests_seconds_sum{method="POST",uri="/enter"} 1.5
http_server_requests_seconds_bucket{le="0.01",method="GET",uri="/status"} 1.0
http_server_requests_seconds_bucket{le="0.1",method="GET",uri="/status"} 1.0
http_server_requests_seconds_bucket{le="+Inf",method="GET",uri="/status"} 1.0
http_server_requests_seconds_count{method="GET",uri="/status"} 1.0
http_server_requests_seconds_sum{method="GET",uri="/status"} 0.005
queue_wait_size{concert_id="a \\"b\\" {c}, \\\\ d"} 3
queue_wait_size{concert_id="other"} 4e+02
event_loop_lag_seconds 0.25
"""


@pytest.mark.parametrize(
    ("name", "labels", "total"),
    [
        pytest.param("event_loop_lag_seconds", {}, 0.25, id="no labels"),
        pytest.param("queue_wait_size", {}, 403, id="all series together"),
        pytest.param("queue_wait_size", {"concert_id": 'a "b" {c}, \\ d'}, 3, id="escaped"),
        pytest.param("queue_wait_size", {"concert_id": "nobody"}, 0, id="no such label"),
        pytest.param("nothing", {}, 0, id="no such name"),
    ],
)
def test_an_exposition_is_read(name: str, labels: dict[str, str], total: float) -> None:
    assert scrape.Metrics(EXPOSED).total(name, **labels) == total


def test_a_histogram_is_summed_over_what_has_its_labels() -> None:
    metrics = scrape.Metrics(EXPOSED)
    name = "http_server_requests_seconds"
    assert metrics.buckets(name) == Buckets((0.01, 0.1, inf), (9, 10, 11), 1.505)
    assert metrics.buckets(name, uri="/status").total == 1
    assert metrics.buckets("nothing") == NOTHING
    assert metrics.values(f"{name}_count", "uri") == ["/enter", "/status"]


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        pytest.param((100, 100, 100), 0.5, 0.05, id="in the middle of the first bucket"),
        pytest.param((0, 100, 100), 0.5, 0.3, id="in the middle of a later one"),
        pytest.param((50, 100, 100), 0.5, 0.1, id="on a bound"),
        pytest.param((50, 100, 100), 0.75, 0.3, id="half of what is left"),
        pytest.param((0, 0, 10), 0.5, 0.5, id="beyond the last bound: at least that"),
        pytest.param((99, 99, 100), 0.99, 0.1, id="past an empty bucket"),
        pytest.param((0, 0, 0), 0.5, None, id="nothing counted"),
    ],
)
def test_quantiles_are_read_off_within_a_bucket(
    counts: tuple[float, ...], share: float, seconds: float | None
) -> None:
    found = Buckets((0.1, 0.5, inf), counts, 1.0).quantile_s(share)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("earlier", "later", "added"),
    [
        pytest.param((1, 2, 3), (5, 6, 7), (4, 4, 4), id="what was added"),
        pytest.param((1, 2, 3), (0, 0, 1), (0, 0, 0), id="began anew"),
    ],
)
def test_a_histogram_since_an_earlier_one(
    earlier: tuple[float, ...], later: tuple[float, ...], added: tuple[float, ...]
) -> None:
    bounds_s = (0.1, 0.5, inf)
    since = Buckets(bounds_s, later, 2.0).since(Buckets(bounds_s, earlier, 1.0))
    assert since.counts == added
    assert Buckets(bounds_s, later, 2.0).since(NOTHING).counts == later


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("1m30s", 90.0, id="minutes and seconds"),
        pytest.param("1h0m0.5s", 3_600.5, id="hours, and a fraction"),
        pytest.param("250ms", 0.25, id="no minutes"),
        pytest.param("1µs", 1e-6, id="micro"),
        pytest.param("0s", 0.0, id="none"),
        pytest.param(None, 0.0, id="not said"),
    ],
)
def test_durations_are_read(text: str | None, seconds: float) -> None:
    assert offer.duration_s(text) == pytest.approx(seconds)


STEADY = {"executor": "constant-arrival-rate", "rate": 5, "timeUnit": "1s", "duration": "1m0s"}
LATER = {**STEADY, "startTime": "10s", "rate": 100}


@pytest.mark.parametrize(
    ("scenario", "seconds"),
    [
        pytest.param(STEADY, 60.0, id="steady"),
        pytest.param(LATER, 70.0, id="from later on"),
        pytest.param({"stages": [{"duration": "5s"}, {"duration": "1m0s"}]}, 65.0, id="stages"),
        pytest.param({"iterations": 3, "maxDuration": "10m0s"}, 600.0, id="so many"),
    ],
)
def test_the_length_of_a_scenario(scenario: dict[str, Any], seconds: float) -> None:
    assert offer.length_s(scenario) == seconds


def test_what_is_offered_over_time() -> None:
    first = {**STEADY, "startTime": "0s", "duration": "10s"}
    assert offer.steps({"b": LATER, "a": first}) == [(0, 5), (10, 5), (10, 100), (70, 100)]
    cohorts = {"only": {**first, "env": {"VISITORS": "20"}}}
    assert offer.visitors_each(cohorts) == 20
    assert offer.steps(cohorts) == [(0, 100), (10, 100)]
    stages = [{"duration": "10s", "target": 3}, {"duration": "0s", "target": 9}]
    ramping = {**LATER, "executor": "ramping-arrival-rate", "rate": None, "startRate": 1}
    ramping["stages"] = stages
    assert offer.steps({"a": ramping}) == [(10, 1), (20, 3), (20, 9)]
    assert offer.planned({"a": ramping, "b": first}) == 20 + 50
    assert offer.steps({"a": STEADY | {"startTime": "0s"}, "b": LATER}) == [], "at the same time"
    assert offer.steps({"a": {**first, "executor": "ramping-vus"}}) == []
    assert offer.planned({"a": {**first, "executor": "ramping-vus"}, "b": first}) == 0


SUMMARY = {
    "root_group": {
        "checks": {"entered": {"name": "entered", "passes": 8, "fails": 1}},
        "groups": {"g": {"checks": {"inner": {"name": "inner", "passes": 2, "fails": 0}}}},
    },
    "metrics": {
        "iterations": {"count": 9, "rate": 4.5},
        "dropped_iterations": {"count": 3, "rate": 1, "thresholds": {"count==0": True}},
        "http_reqs": {"count": 18, "rate": 9},
        "http_req_failed": {"passes": 1, "fails": 17, "value": 0.0556},
        "http_req_duration": {"med": 2, "p(95)": 5, "max": 9},
        "http_req_duration{name:enter}": {
            "med": 1, "p(95)": 4, "p(99)": 6, "max": 9, "count": 9,
            "thresholds": {"p(95)<200": False, "p(50)<1": True},
        },
        "success": {"passes": 8, "fails": 1, "value": 0.889, "thresholds": {"rate>0.95": True}},
        "activation_wait": {"med": 1000, "p(95)": 2000, "max": 3000},
        "checks": {"passes": 10, "fails": 1, "value": 0.909},
        "vus": {"value": 1, "min": 1, "max": 5},
    },
}  # fmt: skip

LOG = """\
{"level":"warning","msg":"Insufficient VUs"}
{"level":"error","msg":"Error: boom\\n\\tat default","source":"stacktrace"}
{"level":"error","msg":"thresholds on metrics 'success' have been crossed"}
plain words of a plugin
"""


def test_a_summary_is_read() -> None:
    found = summary.parse_summary(json.dumps(SUMMARY), LOG)
    assert (found.iterations, found.dropped, found.requests, found.lasted_s) == (9, 3, 18, 2.0)
    assert found.times["all"] == {"p50_ms": 2, "p95_ms": 5, "max_ms": 9}
    assert found.times["enter"]["p99_ms"] == 6
    assert found.rates == {"success": 0.889}
    assert found.trends == {"activation_wait": {"p50_ms": 1000, "p95_ms": 2000, "max_ms": 3000}}
    assert [check.name for check in found.checks] == ["entered", "inner"]
    assert (found.answers_checked, found.checks_failed) == (11, 1)
    assert found.errors == ["Error: boom at default"]
    assert not found.tolerates


def test_thresholds_are_read_with_what_was_measured() -> None:
    found = {
        (one.subject, one.condition): (one.value, one.ok)
        for one in summary.parse_summary(json.dumps(SUMMARY), "").thresholds
    }
    assert found == {
        ("dropped_iterations", "count==0"): (3, False),
        ("http_req_duration{name:enter}", "p(50)<1"): (1, False),
        ("http_req_duration{name:enter}", "p(95)<200"): (4, True),
        ("success", "rate>0.95"): (0.889, False),
    }


def test_a_script_that_forgets_which_check_is_which_still_has_checks() -> None:
    scraped = {**SUMMARY, "root_group": {"checks": {}, "groups": {}}}
    assert summary.parse_summary(json.dumps(scraped), "").checks == [
        summary.Check("all checks", 10, 1)
    ]


@pytest.mark.parametrize(
    ("scraped", "ms"),
    [
        pytest.param(
            {"latency_percentiles_usec_evalsha": "p50=98.3,p99=1003.5"},
            {"p50_ms": 0.0983, "p99_ms": 1.0035},
            id="of scripts",
        ),
        pytest.param({"latency_percentiles_usec_get": "p50=1,p99=2"}, {}, id="of none"),
    ],
)
def test_the_time_of_a_script_inside_the_store(
    scraped: dict[str, str], ms: dict[str, float]
) -> None:
    assert series.store_script_ms(scraped) == ms


def test_the_last_look_waits_for_what_the_service_adds_up() -> None:
    assert samples.FLUSH_S == process_metrics.FLUSH_S
