"""Format durations for display. Pure."""

_SECONDS_BELOW_S = 100
_MINUTES_BELOW_MIN = 100
"""Below the first a duration is written in seconds, below the second in minutes and seconds."""


def format_duration(ms: float) -> str:
    """Return a duration as text: `8.5 s`, `2 min 05 s` or `3 h 10 min`."""
    if ms < _SECONDS_BELOW_S * 1000:
        return f"{ms / 1000:,.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < _MINUTES_BELOW_MIN:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
