"""Instants: times with the UTC offset in which they were given."""

import pytest

from waitline.kernel.instants import Instant, parse_instant, stored_instant


@pytest.mark.parametrize(
    ("text", "at_ms", "shown"),
    [
        pytest.param(
            "2027-03-15T20:00+09:00", 1_805_108_400_000, "2027-03-15T20:00:00+09:00", id="seoul"
        ),
        pytest.param("2027-03-15T11:00Z", 1_805_108_400_000, "2027-03-15T11:00:00+00:00", id="utc"),
        pytest.param(
            " 2027-03-15T07:00:00-04:00 ",
            1_805_108_400_000,
            "2027-03-15T07:00:00-04:00",
            id="new-york",
        ),
        pytest.param(
            "2027-03-15T16:30:00.250+05:30",
            1_805_108_400_250,
            "2027-03-15T16:30:00+05:30",
            id="half-an-hour",
        ),
    ],
)
def test_parsed_shown_and_stored(text: str, at_ms: int, shown: str) -> None:
    instant = parse_instant(text)
    assert (instant.at_ms, instant.iso) == (at_ms, shown)
    assert stored_instant(str(instant)) == instant


def test_nothing_stored() -> None:
    assert stored_instant("") is None
    assert stored_instant("1805108400000") == Instant(1_805_108_400_000, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("2027-03-15T20:00", "needs a UTC offset", id="no-offset"),
        pytest.param("2027-03-15", "needs a UTC offset", id="a-day"),
        pytest.param("tomorrow", "is not a time", id="no-time"),
        pytest.param("2027-02-30T20:00+09:00", "is not a time", id="no-such-day"),
        pytest.param("0001-01-01T00:00+09:00", "must be in the years", id="before-all"),
        pytest.param("9999-12-31T23:59-09:00", "must be in the years", id="after-all"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_instant(text)
