"""How a sale is written on a command line: `5s`, `5s..30s`, `1000/s*10s,5000/s*60s`. Pure."""

import re

from waitline.sales.simulation.model import Arrivals, SaleImpossible, Use

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_PART = re.compile(r"(\d+(?:\.\d+)?)/s\*(.+)")


def duration_ms(text: str) -> int:
    """Read a time such as 300ms, 5s, 1.5m or 2h.

    Raises:
        SaleImpossible: It is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise SaleImpossible(f"{text!r} is no time; write 300ms, 5s, 1.5m or 2h")
    return round(float(found[1]) * _UNITS_MS[found[2]])


def use(text: str) -> Use:
    """Read how long visitors shop: 20s, or 5s..30s for any time between, all alike likely.

    Raises:
        SaleImpossible: A time cannot be read.
    """
    least, _, most = text.partition("..")
    return Use(duration_ms(least), duration_ms(most or least))


def arrivals(text: str, visitors: int | None) -> tuple[Arrivals, ...]:
    """Read when visitors come.

    Args:
        text: `burst` (all at once), `60s` (evenly), `ramp:60s` (ever faster), or parts of their
            own, as 1000/s*10s,5000/s*60s.
        visitors: How many, or `None` to leave it to the parts.

    Raises:
        SaleImpossible: It cannot be read, or the number is said twice or not at all.
    """
    if "/s" in text:
        parts = tuple(_part(part) for part in text.split(","))
        total = sum(part.visitors for part in parts)
        if visitors not in (None, total):
            raise SaleImpossible(f"{text!r} are {total:,} visitors: leave --visitors out")
        return parts
    if visitors is None:
        raise SaleImpossible(f"how many come over {text!r}? Say --visitors")
    if text == "burst":
        return (Arrivals(visitors, 0),)
    growing = text.startswith("ramp:")
    over_ms = duration_ms(text.removeprefix("ramp:"))
    return (Arrivals(visitors, over_ms, growing=growing),)


def _part(text: str) -> Arrivals:
    found = _PART.fullmatch(text.strip())
    if found is None:
        raise SaleImpossible(f"{text!r} is no part of an arrival curve; write 1000/s*10s")
    over_ms = duration_ms(found[2])
    return Arrivals(round(float(found[1]) * over_ms / 1000), over_ms)
