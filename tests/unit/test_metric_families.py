"""The declared metrics: names, units, documentation, and how many series there can be."""

import re
from pathlib import Path

import pytest

from waitline.kernel import collected_metrics, telemetry
from waitline.kernel.instruments import Family

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "metrics.md"

FAMILIES = sorted(collected_metrics.FAMILIES.values(), key=lambda family: family.exposed)

SAMPLES_MAX = 82_000
"""Most samples of a page, whatever clients send, with 1,000 active rooms whose shops report."""

SAMPLES_IDLE_MAX = 38_000
"""As above, without an active room."""


def row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return (
        f"| `{family.exposed}` | {family.kind} | {family.unit} | {labels} | {family.series_max:,} "
        f"| {family.meaning} |"
    )


def test_operators_find_every_metric_in_the_documentation() -> None:
    table = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert table == [row(family) for family in FAMILIES]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.exposed)
def test_a_metric_is_declared_as_prometheus_expects(family: Family) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
    assert not family.name.endswith(("_total", "_count_total", "_sum", "_bucket"))
    assert family.meaning[0].isupper()
    assert not family.meaning.endswith(".")
    assert family.unit
    assert (family.unit == "s") == family.name.endswith("_seconds")
    assert (family.unit == "bytes") == family.name.endswith("_bytes")
    assert (family.kind == "histogram") == bool(family.bounds)
    assert list(family.bounds) == sorted(family.bounds)
    assert family.labels or family.series_max == 1


def test_the_number_of_samples_is_limited() -> None:
    of_rooms = [one for one in FAMILIES if "concert_id" in one.labels]
    assert all(one.series_max % telemetry.ROOMS_MAX == 0 for one in of_rooms)
    total = sum(one.samples_max for one in FAMILIES)
    assert total <= SAMPLES_MAX
    assert total - sum(one.samples_max for one in of_rooms) <= SAMPLES_IDLE_MAX


def test_no_label_is_a_visitor() -> None:
    labels = {label for family in FAMILIES for label in family.labels}
    assert not labels & {"user", "userId", "visitor", "token", "address", "reservation"}
