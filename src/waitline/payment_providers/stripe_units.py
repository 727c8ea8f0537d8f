"""Conversion between Stripe's amounts and minor units of ISO 4217, which differ for some. Pure.

Most currencies have the minor unit of ISO 4217. These do not:
- ISK is whole krónur in ISO 4217; Stripe keeps two digits, of which both must be 0.
- MGA has two digits in ISO 4217; Stripe counts whole ariary.
- Of the three digits of BHD, JOD, KWD, OMR and TND, the last must be 0.
UGX is left out: Stripe's page lists it both as whole shillings and as hundredths, and the wrong
choice would charge a hundred times the price.

Source: https://docs.stripe.com/currencies, its lists of presentment currencies, zero-decimal and
three-decimal currencies, and special cases.
"""

from collections.abc import Mapping
from types import MappingProxyType

from waitline.payment_providers.model import Money

_CHARGED = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BIF BMD BND BOB BRL BSD BWP BYN BZD CAD "
    "CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ "
    "GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JPY KES KGS KHR KMF KRW KYD KZT LAK LBP LKR LRD LSL "
    "MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD "
    "TWD TZS UAH USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW"
)
_THREE_DIGITS = "BHD JOD KWD OMR TND"

STEPS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(_CHARGED.split(), 1),
        **dict.fromkeys(_THREE_DIGITS.split(), 10),
        "MGA": 100,
    }
)
"""Currencies that Stripe charges, with the step of prices in minor units of ISO 4217. Which of them
an account may use depends on its country."""

# Stripe's units in a minor unit of ISO 4217, and the reverse, where it is not one to one.
_UNITS_IN_MINOR = {"ISK": 100}
_MINOR_IN_UNIT = {"MGA": 100}


def chargeable(price: Money) -> bool:
    """Return whether Stripe charges this amount of this currency."""
    step = STEPS.get(price.currency)
    return step is not None and price.amount % step == 0


def units(money: Money) -> int:
    """Return an amount in Stripe's units."""
    minor = money.amount * _UNITS_IN_MINOR.get(money.currency, 1)
    return minor // _MINOR_IN_UNIT.get(money.currency, 1)


def minor_units(number: int, currency: str) -> int:
    """Convert a number of Stripe's units to minor units of ISO 4217.

    Args:
        number: An amount of an answer or a webhook.
        currency: Its currency, in capital letters.
    """
    return number * _MINOR_IN_UNIT.get(currency, 1) // _UNITS_IN_MINOR.get(currency, 1)


def money_of(number: int, currency: str) -> Money:
    """Convert Stripe's number and lower-case currency to an amount."""
    code = currency.upper()
    return Money(minor_units(number, code), code)
