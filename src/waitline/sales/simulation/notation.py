"""Parse the notation of a sale: `5s`, `5s..30s`, `1000/s*10s,5000/s*60s`. Pure."""

import re

from waitline.kernel.plurals import counted
from waitline.sales.simulation.model import Arrivals, SaleImpossible, Use

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_PART = re.compile(r"(\d+(?:\.\d+)?)/s\*(.+)")


def duration_ms(text: str) -> int:
    """Parse a duration such as 300ms, 5s, 1.5m or 2h.

    Raises:
        SaleImpossible: The text is not a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise SaleImpossible(f"{text!r} is not a duration; write 300ms, 5s, 1.5m or 2h")
    return round(float(found[1]) * _UNITS_MS[found[2]])


def use(text: str) -> Use:
    """Parse the time in the shop: 20s, or 5s..30s for a uniform distribution.

    Raises:
        SaleImpossible: The text is not a duration or a range of durations.
    """
    least, _, most = text.partition("..")
    return Use(duration_ms(least), duration_ms(most or least))


def arrivals(text: str, visitors: int | None) -> tuple[Arrivals, ...]:
    """Parse an arrival curve.

    Args:
        text: `burst` (all at once), `60s` (constant rate), `ramp:60s` (rising rate), or phases such
            as 1000/s*10s,5000/s*60s.
        visitors: Number of visitors; `None` if the phases give it.

    Raises:
        SaleImpossible: The text is not an arrival curve, or does not fit the number of visitors.
    """
    if "/s" in text:
        parts = tuple(_part(part) for part in text.split(","))
        total = sum(part.visitors for part in parts)
        if visitors not in (None, total):
            raise SaleImpossible(f"{text!r} makes {counted(total, 'visitor')}: omit --visitors")
        return parts
    if visitors is None:
        raise SaleImpossible(f"--visitors is needed with --over {text}")
    if text == "burst":
        return (Arrivals(visitors, 0),)
    growing = text.startswith("ramp:")
    over_ms = duration_ms(text.removeprefix("ramp:"))
    return (Arrivals(visitors, over_ms, growing=growing),)


def _part(text: str) -> Arrivals:
    found = _PART.fullmatch(text.strip())
    if found is None:
        raise SaleImpossible(f"{text!r} is not a phase of an arrival curve; write 1000/s*10s")
    over_ms = duration_ms(found[2])
    return Arrivals(round(float(found[1]) * over_ms / 1000), over_ms)
