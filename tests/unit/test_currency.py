"""Amounts in major and minor units of their currency."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitline.booking import currency
from waitline.booking.currency import MINOR_DIGITS, AmountError


@pytest.mark.parametrize(
    ("text", "code", "minor"),
    [
        ("120000", "KRW", 120_000),
        ("120,000", "KRW", 120_000),
        ("1,234,567", "JPY", 1_234_567),
        ("120.50", "USD", 12_050),
        ("120.5", "USD", 12_050),
        ("1,200.05", "EUR", 120_005),
        ("0.001", "KWD", 1),
        ("5", "KWD", 5_000),
        ("0", "KRW", 0),
        (" 7 ", "KRW", 7),
    ],
)
def test_an_amount(text: str, code: str, minor: int) -> None:
    assert currency.minor(text, code) == minor


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("abc", "KRW", "is not a number"),
        ("", "KRW", "is not a number"),
        ("-5", "KRW", "is not a number"),
        ("12,00", "KRW", "is not a number"),
        ("1200,50", "EUR", "is not a number"),
        ("1.200,50", "EUR", "is not a number"),
        ("1,2345", "KRW", "is not a number"),
        (",120", "KRW", "is not a number"),
        ("5.", "USD", "is not a number"),
        (".5", "USD", "is not a number"),
        ("1e3", "KRW", "is not a number"),
        ("₩5", "KRW", "is not a number"),
        ("\u0665", "KRW", "is not a number"),
        ("5.0", "KRW", "has 1 decimal; KRW has no decimals"),
        ("5.005", "USD", "USD has at most 2 decimals"),
        ("0.0001", "KWD", "KWD has at most 3 decimals"),
    ],
)
def test_no_amount(text: str, code: str, expected: str) -> None:
    with pytest.raises(AmountError, match=expected):
        currency.minor(text, code)


@given(amount=st.integers(0, 10**15), code=st.sampled_from(sorted(MINOR_DIGITS)))
def test_there_and_back(amount: int, code: str) -> None:
    assert currency.minor(currency.major(amount, code), code) == amount
    text, _, shown_code = currency.shown(amount, code).partition(" ")
    assert (currency.minor(text, code), shown_code) == (amount, code)


def test_the_list_is_iso_4217() -> None:
    assert {code: MINOR_DIGITS[code] for code in ("KRW", "JPY", "USD", "EUR", "KWD", "TND")} == {
        "KRW": 0, "JPY": 0, "USD": 2, "EUR": 2, "KWD": 3, "TND": 3,
    }  # fmt: skip
    assert not currency.known("krw")
    assert not currency.known("XXX")
    assert len(MINOR_DIGITS) > 150
