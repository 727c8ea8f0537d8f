"""`waitline-bench growth`: the limit of growth, and a small run."""

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from waitline.kernel.errors import Misconfigured
from waitline_bench.cli import app
from waitline_bench.growth.costs import growth_max, row


@pytest.mark.parametrize(
    ("size", "first", "expected"),
    [
        pytest.param(1, 1, 1.0, id="the first itself"),
        pytest.param(8, 1, 4.0, id="three doublings of one room"),
        pytest.param(1_000, 1, 10.97, id="a thousand rooms"),
        pytest.param(1_000_000, 1_000, 1.909, id="a million visitors for a thousand"),
    ],
)
def test_a_logarithm_grows_slowly(size: int, first: int, expected: float) -> None:
    assert growth_max(size, first) == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([50, 50, 50], [], id="flat"),
        pytest.param([50, 20, 10], [], id="falling"),
        pytest.param([50, 64, 79], [], id="like the logarithm"),
        pytest.param([50, 64, 90], [100_000], id="too fast in the end"),
        pytest.param([50, 90, 60], [10_000], id="too fast in between"),
        pytest.param([50, 500, 5_000], [10_000, 100_000], id="linear"),
    ],
)
def test_what_grows_faster_is_named(values: Sequence[float], expected: list[int]) -> None:
    sizes = [1_000, 10_000, 100_000]
    # A round in which the machine was busy says as much, and one that was disturbed nothing.
    runs = [[value, 3 * value, 2 * value, 2 * value] for value in values]
    runs[-1][1] *= 9
    made = row("a", "us", runs)
    assert made.values == [2 * value for value in values]
    assert made.of_first == pytest.approx([value / values[0] for value in values])
    assert made.too_fast(sizes) == expected
    assert made._replace(is_cost=False).too_fast(sizes) == []


def test_a_cost_of_nothing_is_compared_with_nothing() -> None:
    # Of a process that the machine did not let run in the time of a small measurement.
    with pytest.raises(Misconfigured, match=r"^--scale: 'idle: store' .* with 0\.1 or more"):
        row("idle: store", "ms/s", [[1.5, 0.0], [2.0, 2.0]])


@pytest.mark.long
def test_a_small_run_from_end_to_end(tmp_path: Path) -> None:
    words = ["growth", "--scale", "0.001", "--rounds", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "160"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for heading in ("By visitors waiting in one room", "By rooms", "faster than log N"):
        assert heading in done.stdout

    document = json.loads((tmp_path / "growth.json").read_text("utf-8"))
    costs = {
        f"{name}: {part}"
        for name, parts in (
            ("enter", ("worker", "store")),
            ("status", ("worker", "store")),
            ("admit", ("admitter", "store")),
        )
        for part in parts
    }
    for kind, sizes, more in (
        ("waiting", [1_000, 10_000], {"same 20: store"}),
        ("rooms", [1, 10], {"idle: admitter", "idle: store"}),
    ):
        table = document["figures"][kind]
        assert table["sizes"] == sizes
        assert {each["name"] for each in table["rows"] if each["is_cost"]} == costs | more
        for each in table["rows"]:
            assert len(each["values"]) == len(sizes)
            assert min(each["values"]) > 0, each
            assert each["of_first"][0] == 1

    drawing = ET.parse(tmp_path / "growth.svg").getroot()  # noqa: S314 - our own
    received = "".join(drawing.itertext())
    assert "visitors waiting in one room" in received
    assert "idle: admitter" in received
