"""Currencies of prices: ISO 4217 codes, and amounts in major and minor units. Pure."""

import re

from waitline.kernel.plurals import counted

DEFAULT_CURRENCY = "KRW"
"""Currency of a concert that names none. Source: the wire contract's prices are whole won."""

_MINOR_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
"""Digits of the minor unit by currency. Source: ISO 4217, list one, without funds, metals and test
codes."""

MINOR_DIGITS = {code: digits for digits, codes in _MINOR_DIGITS.items() for code in codes.split()}
"""Digits after the decimal point by currency: 0 for KRW, 2 for USD, 3 for KWD."""


class AmountError(ValueError):
    """A text is not an amount of the currency."""


def known(code: str) -> bool:
    """Return whether a code is a currency of ISO 4217, in capital letters."""
    return code in MINOR_DIGITS


def minor(text: str, currency: str) -> int:
    """Parse an amount in major units, as people write it; return it in minor units.

    Thousands may be grouped by commas, in threes: `120,000`. The decimal point is a point.

    Args:
        text: The amount: `120000`, `120,000`, `120.50`.
        currency: Its currency.

    Raises:
        AmountError: It is not a number, or has more decimals than the currency.
    """
    digits = MINOR_DIGITS[currency]
    found = re.fullmatch(r"([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.([0-9]+))?", text.strip())
    if found is None:
        raise AmountError("is not a number")
    whole, decimals = found[1].replace(",", ""), found[2] or ""
    if len(decimals) > digits:
        most = f"at most {digits} decimals" if digits else "no decimals"
        raise AmountError(f"has {counted(len(decimals), 'decimal')}; {currency} has {most}")
    return int(whole + decimals.ljust(digits, "0"))


def major(amount: int, currency: str) -> str:
    """Format an amount in minor units as `minor` parses it, without grouping: `120.50`."""
    digits = MINOR_DIGITS[currency]
    if not digits:
        return str(amount)
    text = str(abs(amount)).rjust(digits + 1, "0")
    return f"{'-' if amount < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def shown(amount: int, currency: str) -> str:
    """Format an amount in minor units for display: `120,000 KRW`."""
    whole, point, decimals = major(amount, currency).partition(".")
    return f"{int(whole):,}{point}{decimals} {currency}"
