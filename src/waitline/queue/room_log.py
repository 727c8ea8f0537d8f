"""Audit trail of a room: who changed what and when, with the values before and after. Pure.

The scripts of the changes write it, so a change and its entry are stored together or not at all.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from waitline.kernel.instants import Instant
from waitline.queue.settings import ROOM_SETTINGS, Rules

CHANGES_MAX = 200
"""Most entries in one answer. The scripts keep the latest 1 000 of a room."""

THE_INSTALLATION = "waitline"
"""The author of changes without an operator: in trial mode, rooms are created when a visitor names
them."""

_NAMED = {setting.name: setting for setting in ROOM_SETTINGS}


class RoomChange(NamedTuple):
    """An entry of the log.

    Attributes:
        change_no: Its number, ascending within the room.
        at: When.
        who: "command line" and the user of the machine, "operator" and a digest of the key, or
            `THE_INSTALLATION`.
        what: What was done.
        before: Changed settings with their old values, by wire name; `None` for a creation.
        after: The same with their new values; `None` for a deletion.
    """

    change_no: int
    at: Instant
    who: str
    what: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def parse(entry_id: str, words: Sequence[str]) -> RoomChange:
    """Parse an entry of the stream."""
    stored = dict(zip(words[::2], words[1::2], strict=True))
    before, after = (json.loads(stored[name] or "null") for name in ("before", "after"))
    if before is not None and after is not None:
        # A room of an earlier version did not store this setting, and had its default.
        defaults = Rules().values
        before |= {
            name: _NAMED[name].to_stored(defaults[name]) for name in after if name not in before
        }
    return RoomChange(
        change_no=int(entry_id.partition("-")[0]),
        at=Instant(int(stored["at"]), 0),
        who=stored["who"],
        what=stored["what"],
        before=_shown(before),
        after=_shown(after),
    )


def _shown(stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Convert settings and counts to the wire, in the order for display."""
    if stored is None:
        return None
    settings = {
        setting.wire: setting.to_wire(setting.from_stored(str(stored[setting.name])))
        for setting in ROOM_SETTINGS
        if setting.name in stored
    }
    return settings | {name: value for name, value in stored.items() if name not in _NAMED}
