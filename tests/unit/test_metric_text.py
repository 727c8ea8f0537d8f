"""The text format, read back by the Prometheus library's parser."""

from math import inf, nan

import pytest
from prometheus_client.parser import text_string_to_metric_families

from waitline.http.metric_families import FamilySamples
from waitline.http.metric_text import rendered
from waitline.kernel.instruments import Family, HistogramState, Labels

SHARED = {"instance": 'a "quoted" \\ name\n', "service": "queue"}
LINES = Family("lines", "counter", "lines", "Lines \\ of\nlogs", ("concert_id", "reason"), 9)
SECONDS = Family("took_seconds", "histogram", "s", "Time", ("script",), 9, (0.001, 0.5, 10))
LEVEL = Family("level", "gauge", "things", "Level")


def parsed(*metrics: FamilySamples) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    text = rendered(metrics, SHARED, pytest.fail).decode()
    assert text.endswith("\n")
    return {
        family.name: [(one.name, one.labels, one.value) for one in family.samples]
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.parametrize(
    "room",
    ["demo", "", "a,b", 'a"b', "a\\b", "a\\nb", "line\nbreak", '"},x="', "대기실", "\u2028", "{}"],
)
def test_labels_of_any_text(room: str) -> None:
    found = parsed(FamilySamples(LINES, [((room, "left"), 3.0)], []))
    labels = {"concert_id": room, "reason": "left", **SHARED}
    assert found == {"lines": [("lines_total", labels, 3.0)]}


@pytest.mark.parametrize("value", [0, 1, True, 0.1, -2.5, 1e-9, 123456789012345, 1e300])
def test_values(value: float) -> None:
    assert parsed(FamilySamples(LEVEL, [((), value)], [])) == {
        "level": [("level", SHARED, float(value))]
    }


def test_a_histogram_is_cumulative() -> None:
    state = HistogramState([1, 0, 2, 4], 71.5)
    labels = {"script": "join", **SHARED}
    assert parsed(FamilySamples(SECONDS, [], [(("join",), state)])) == {
        "took_seconds": [
            ("took_seconds_bucket", {**labels, "le": "0.001"}, 1.0),
            ("took_seconds_bucket", {**labels, "le": "0.5"}, 1.0),
            ("took_seconds_bucket", {**labels, "le": "10.0"}, 3.0),
            ("took_seconds_bucket", {**labels, "le": "+Inf"}, 7.0),
            ("took_seconds_count", labels, 7.0),
            ("took_seconds_sum", labels, 71.5),
        ]
    }


def test_what_is_not_a_number_is_left_out_and_named() -> None:
    dropped: list[str] = []
    values: list[tuple[Labels, float]] = [((), nan), ((), inf), ((), -inf), ((), 2.0)]
    text = rendered([FamilySamples(LEVEL, values, [])], {}, dropped.append).decode()
    assert text == "# HELP level Level\n# TYPE level gauge\nlevel{} 2.0\n"
    assert dropped == ["level"] * 3


def test_meanings_are_escaped() -> None:
    text = rendered([FamilySamples(LINES, [], [])], {}, pytest.fail).decode()
    assert text == "# HELP lines_total Lines \\\\ of\\nlogs\n# TYPE lines_total counter\n"
