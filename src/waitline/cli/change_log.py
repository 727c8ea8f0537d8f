"""Shared by the two change logs: the actor on this machine, and one side of a change."""

import getpass
import os
from typing import Any

NAME_CHARS_MAX = 64
"""Longest user name in a log; systems allow 32."""


def who() -> str:
    """Return the actor of a change: "command line" and the system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # In a container the user id may have no name.
        name = str(os.getuid())
    return f"command line {name[:NAME_CHARS_MAX]}"


def short(values: dict[str, Any] | None) -> str:
    """Return one side of a change in a few lines; only the length of lists of seats."""
    parts = [
        f"{name}: {len(value)} listed" if isinstance(value, list) else f"{name}: {_shown(value)}"
        for name, value in (values or {}).items()
    ]
    return "\n".join(parts)


def _shown(value: Any) -> str:  # noqa: ANN401 - of JSON
    if value in {None, ""}:
        return "none"
    # 50.0 and 50 are the same number for display.
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
