"""Amounts as Stripe counts them: the same money as ours, in every currency that it charges."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitline.booking.currency import MINOR_DIGITS
from waitline.payment_providers import stripe_units
from waitline.payment_providers.model import Money
from waitline.payment_providers.stripe_units import STEPS, chargeable, money_of, units

# Source: https://docs.stripe.com/currencies: zero-decimal and three-decimal currencies. Of ISK the
# page says that it is sent with two digits.
NO_DIGITS = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
]  # fmt: skip
THREE_DIGITS = ["BHD", "JOD", "KWD", "OMR", "TND"]


def stripe_digits(code: str) -> int:
    """Digits of Stripe's unit after the decimal point."""
    if code in NO_DIGITS:
        return 0
    return 3 if code in THREE_DIGITS else 2


def worth(number: int, digits: int) -> Fraction:
    """An amount in major units."""
    return Fraction(number, 10**digits)


def check(price: Money) -> None:
    code = price.currency
    number = units(price)
    assert worth(number, stripe_digits(code)) == worth(price.amount, MINOR_DIGITS[code]), code
    assert money_of(number, code.lower()) == price


prices = st.builds(
    lambda code, steps: Money(steps * STEPS[code], code),
    st.sampled_from(sorted(STEPS)),
    st.integers(1, 10**10),
)


@given(price=prices)
def test_a_price_is_the_same_money_at_stripe(price: Money) -> None:
    assert chargeable(price)
    check(price)


@given(code=st.sampled_from([*THREE_DIGITS, "MGA"]), amount=st.integers(1, 10**10))
def test_a_price_between_the_steps_is_not_charged(code: str, amount: int) -> None:
    assert chargeable(Money(amount, code)) == (amount % STEPS[code] == 0)


@pytest.mark.parametrize("code", [*NO_DIGITS, "ISK", "MGA"])
def test_control_a_wrong_exponent_is_found(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    factor = dict(stripe_units._UNITS_IN_MINOR)  # noqa: SLF001 - the table with a fault
    factor[code] = 1 if code == "ISK" else 100
    monkeypatch.setattr(stripe_units, "_UNITS_IN_MINOR", factor)
    with pytest.raises(AssertionError):
        check(Money(STEPS[code] * 7, code))


@pytest.mark.parametrize(
    ("price", "number"),
    [
        (Money(50_000, "KRW"), 50_000),
        (Money(50_000, "JPY"), 50_000),
        (Money(12_050, "USD"), 12_050),
        (Money(5_120, "KWD"), 5_120),
        (Money(5, "ISK"), 500),
        (Money(500_000, "MGA"), 5_000),
        (Money(80_045, "TWD"), 80_045),
    ],
    ids=lambda value: value.currency if isinstance(value, Money) else None,
)
def test_examples(price: Money, number: int) -> None:
    assert units(price) == number


def test_what_stripe_charges() -> None:
    assert STEPS.keys() < MINOR_DIGITS.keys()
    # Its page gives two units of UGX, which differ by a factor of a hundred.
    assert not chargeable(Money(500, "UGX"))
    assert not chargeable(Money(5_124, "KWD"))
