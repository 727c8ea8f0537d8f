"""The log of an installation, as lines."""

import json
from typing import Any

from tests.booking_web.office import Office


def lines(office: Office) -> list[dict[str, Any]]:
    """Return the lines of the log so far; `waitline up` itself prints text."""
    return [json.loads(line) for line in office.program.output.splitlines() if line.startswith("{")]


def named(office: Office, event: str, **keys: object) -> list[dict[str, Any]]:
    """Return the lines of an event with these keys."""
    return [
        line for line in lines(office) if line["event"] == event and keys.items() <= line.items()
    ]
