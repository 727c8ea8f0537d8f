"""Parsing of numbers and texts in paths, headers and bodies."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from waitline.http.problems import InputInvalid
from waitline.services.booking.bodies import instant, number, words


@pytest.mark.parametrize(
    "text", ["0", "-0", "7", "007", "9223372036854775807", "-9223372036854775808"]
)
def test_numbers(text: str) -> None:
    assert number("n", text) == int(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "--1", "+1", " 1", "1 ", "1_0", "1.0", "1e3", "0x1", "x", "\u0661", "\u00b2",
        "1\0",        "9223372036854775808", "-9223372036854775809", "9" * 20, "9" * 5_000,
    ],
)  # fmt: skip
def test_no_numbers(text: str) -> None:
    with pytest.raises(InputInvalid):
        number("n", text)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "a\0", "a\n", "\ud800", "x" * 6])
def test_no_words(text: str) -> None:
    with pytest.raises(InputInvalid):
        words("w", text, 5)


@pytest.mark.parametrize("text", ["CARD", "카드", "a b", "x" * 5])
def test_words(text: str) -> None:
    assert words("w", text, 5) == text


def test_times_are_formatted_in_utc() -> None:
    at = datetime(2030, 1, 1, 9, 0, 0, 123_999, timezone(timedelta(hours=9)))
    assert instant(at) == "2030-01-01T00:00:00.123Z"
    assert instant(datetime(2030, 1, 1, tzinfo=UTC)) == "2030-01-01T00:00:00.000Z"
