"""The notation of a sale on the command line."""

import pytest

from waitline.sales.simulation import notation
from waitline.sales.simulation.model import Arrivals, SaleImpossible, Use


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        pytest.param("300ms", 300, id="ms"),
        pytest.param("5s", 5_000, id="s"),
        pytest.param("1.5m", 90_000, id="half a minute more"),
        pytest.param("2h", 7_200_000, id="h"),
        pytest.param(" 0s ", 0, id="nothing"),
    ],
)
def test_times(text: str, expected_ms: int) -> None:
    assert notation.duration_ms(text) == expected_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("20s", Use(20_000, 20_000), id="all alike"),
        pytest.param("5s..30s", Use(5_000, 30_000), id="between two"),
        pytest.param("500ms..2m", Use(500, 120_000), id="units of their own"),
    ],
)
def test_use(text: str, expected: Use) -> None:
    assert notation.use(text) == expected


@pytest.mark.parametrize(
    ("text", "visitors", "expected"),
    [
        pytest.param("burst", 9, (Arrivals(9, 0),), id="all at once"),
        pytest.param("60s", 9, (Arrivals(9, 60_000),), id="evenly"),
        pytest.param("ramp:60s", 9, (Arrivals(9, 60_000, growing=True),), id="ever faster"),
        pytest.param(
            "1000/s*10s, 5000/s*60s",
            None,
            (Arrivals(10_000, 10_000), Arrivals(300_000, 60_000)),
            id="parts",
        ),
        pytest.param("0.5/s*10s", 5, (Arrivals(5, 10_000),), id="said twice, and the same"),
    ],
)
def test_arrivals(text: str, visitors: int | None, expected: tuple[Arrivals, ...]) -> None:
    assert notation.arrivals(text, visitors) == expected


@pytest.mark.parametrize(
    ("text", "visitors", "said"),
    [
        pytest.param("60", 9, "'60' is not a duration; write 300ms", id="no unit"),
        pytest.param("-5s", 9, "is not a duration", id="negative"),
        pytest.param("soon", 9, "is not a duration", id="no shape"),
        pytest.param("60s", None, "--visitors is needed", id="how many"),
        pytest.param("5/s*3", None, "'3' is not a duration", id="half a part"),
        pytest.param("5/s for 3s", None, "is not a phase of an arrival curve", id="no part"),
        pytest.param("5/s*2s", 11, "makes 10 visitors: omit --visitors", id="said twice"),
    ],
)
def test_what_is_no_arrival_curve(text: str, visitors: int | None, said: str) -> None:
    with pytest.raises(SaleImpossible) as refused:
        notation.arrivals(text, visitors)
    assert said in str(refused.value)
