"""The latency histogram."""

import json
from random import Random

import pytest

from waitline.sales.histogram import Histogram


@pytest.mark.parametrize(
    ("times_us", "share", "expected_ms"),
    [
        pytest.param([], 0.5, None, id="nothing was timed"),
        pytest.param([7], 0.5, 0.007, id="one"),
        pytest.param([-3], 0.99, 0.0, id="a clock that went back"),
        pytest.param([1, 2, 3, 4], 0.5, 0.002, id="half of four"),
        pytest.param([1, 2, 3, 4], 1, 0.004, id="all of four"),
        pytest.param([1] * 99 + [100], 0.99, 0.001, id="the hundredth is beyond the 99th"),
        pytest.param([1] * 98 + [100] * 2, 0.99, 0.1, id="the 99th"),
    ],
)
def test_quantiles(times_us: list[int], share: float, expected_ms: float | None) -> None:
    histogram = Histogram()
    for time_us in times_us:
        histogram.record(time_us)
    assert histogram.quantile_ms(share) == expected_ms
    assert histogram.total == len(times_us)


def test_a_quantile_is_never_too_low_and_hardly_too_high() -> None:
    dice = Random(1)  # noqa: S311 - times
    times = sorted(int(10 ** (dice.random() * 8)) for _ in range(5_000))
    histogram = Histogram()
    for time_us in times:
        histogram.record(time_us)
    for share in (0.01, 0.5, 0.9, 0.99, 0.999, 1):
        exact = times[max(1, round(share * len(times))) - 1]
        received = histogram.quantile_ms(share)
        assert received is not None
        assert exact <= round(received * 1000) <= exact * 65 / 64


def test_the_whole_is_the_sum_of_the_parts() -> None:
    whole, one, two = Histogram(), Histogram(), Histogram()
    for time_us in range(0, 100_000, 37):
        whole.record(time_us)
        (one if time_us % 2 else two).record(time_us)
    # Between processes they travel as JSON.
    together = Histogram(json.loads(json.dumps(one.counts)))
    together.add(json.loads(json.dumps(two.counts)))
    assert together.counts == whole.counts
    assert together.quantile_ms(0.9) == whole.quantile_ms(0.9)
