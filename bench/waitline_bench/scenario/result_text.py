"""Formatting of a run's figures for display. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "\u2013"
"""Placeholder without a figure: a dash as wide as a digit."""

TITLES = {
    "entry": "Entry",
    "circulation": "Circulation",
    "validation": "Validation",
    "storm": "Storm",
    "booking": "Booking, the whole journey",
    "soak": "Soak",
}

ROLES = {
    "worker": "queue workers",
    "valkey": "Valkey",
    "admitter": "admitter",
    "booking": "booking workers",
    "postgres": "PostgreSQL",
    "sandbox": "payment sandbox",
    "k6": "k6",
    "runner": "this runner",
    "parent": "workers' parent",
    "supervisor": "supervisor",
    "others": "others here",
    "stolen": "taken by the host",
}
"""Processes, in plot order."""

_SUBJECTS = {
    "all": "all calls",
    "http_req_duration": "every call",
    "http_req_failed": "failed calls",
    "dropped_iterations": "dropped arrivals",
    "success": "entries right and in time",
    "activation_wait": "wait until activation",
    "removal_success": "removals right",
    "checks": "checks passed",
    "journey_time": "journey, from entering to paid",
    "booked": "booked",
    "seat_won": "reservations that were first",
}

_TIMES = ("http_req_", "activation_wait", "journey_time", "iteration_duration", "one ")
_TAGGED = re.compile(r"^(\w+)\{\w+:([^}]*)\}$")
_COMPARED = re.compile(r"^\s*(\S+?)\s*(<=|>=|<|>|===?|!=)\s*([\d.]+)\s*$")
_SIGNS = {"<=": "≤", ">=": "≥", "==": "=", "===": "=", "!=": "≠"}


def title(result: Mapping[str, Any]) -> str:
    """Return the title of the run."""
    return TITLES.get(result["scenario"]) or str(result["load"]["script"])


def when(result: Mapping[str, Any]) -> str:
    """Return the date and time of the run."""
    at = datetime.fromtimestamp(result["machine"]["at_ms"] / 1_000, UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC"


def milliseconds(value: float | None) -> str:
    """Format a duration, in ms or in s."""
    if value is None:
        return UNKNOWN
    if value >= 10_000:  # noqa: PLR2004 - beyond this, s are easier
        return f"{value / 1_000:,.1f} s"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"  # noqa: PLR2004 - three digits


def amount(value: float | None) -> str:
    """Format a count or a rate, to three digits or to the unit."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004


def percent(share: float | None) -> str:
    """Format a share."""
    return UNKNOWN if share is None else f"{100 * share:.4g} %"


def subject(name: str) -> str:
    """Return the subject of a threshold."""
    found = _TAGGED.match(name)
    if found is None:
        return _SUBJECTS.get(name, name)
    metric, tag = found.groups()
    spoken = re.sub(r"^at_(\d+)$", r"at \1/s", tag)
    return spoken if metric == "http_req_duration" else f"{_SUBJECTS.get(metric, metric)}, {spoken}"


def condition(name: str, text: str) -> str:
    """Return the condition of a threshold, in its unit."""
    found = _COMPARED.match(text)
    if found is None:
        return text
    word, sign, limit = found.groups()
    spoken = re.sub(r"p\((\d+(?:\.\d+)?)\)", r"p\1", word)
    spoken = "" if spoken in {"rate", "count", "value"} else f"{spoken} "
    return f"{spoken}{_SIGNS.get(sign, sign)} {measured(name, text, float(limit))}"


def measured(name: str, text: str, value: float | None) -> str:
    """Format a threshold's figure in its unit."""
    if value is None:
        return UNKNOWN
    if text.strip().startswith("rate"):
        return percent(value)
    if name.startswith(_TIMES):
        return milliseconds(value)
    return amount(value)
