"""Generate the tables of settings in docs/operations.md from the declarations."""

import re
from collections.abc import Callable, Iterable, Sequence

from waitline import settings
from waitline.booking.catalogue_model import CONCERT_SETTINGS, SCHEDULE_SETTINGS
from waitline.kernel.setting import Setting, number
from waitline.queue.limits import LIMIT_NAMES, LIMIT_SETTINGS
from waitline.queue.settings import ROOM_SETTINGS


def rewritten(document: str) -> str:
    """Return a Markdown document with its tables of settings regenerated.

    A table is the text between `<!-- settings: NAME -->` and `<!-- end -->`.
    """

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}"

    return re.sub(
        r"(<!-- settings: ([\w-]+) -->\n).*?(\n<!-- end -->)", table, document, flags=re.DOTALL
    )


def room_table() -> str:
    """Return the table of room settings."""
    return _table(
        ("on the wire", "option", "variable for new rooms", "may be", "default", "meaning"),
        (
            (
                f"`{setting.wire}`",
                f"`{setting.option}`",
                _variable(setting),
                setting.allowed,
                _default(setting),
                setting.help,
            )
            for setting in ROOM_SETTINGS
        ),
    )


def concert_table() -> str:
    """Return the table of concert and schedule settings."""
    return _table(
        ("of a", "on the wire", "option", "may be", "default", "meaning"),
        (
            (
                of,
                f"`{setting.wire}`",
                f"`{setting.option}`",
                setting.allowed,
                _default(setting),
                setting.help,
            )
            for of, declared in (("concert", CONCERT_SETTINGS), ("schedule", SCHEDULE_SETTINGS))
            for setting in declared
        ),
    )


def _variable(setting: Setting) -> str:
    if setting.name not in LIMIT_NAMES:
        return ""
    return f"`{settings.room_variable(setting)}`" + (", in ms" if setting.unit == "ms" else "")


def _default(setting: Setting) -> str:
    if setting.wire_range is None:
        return str(setting.default or "")
    return number(setting.to_wire(setting.default))


def service_table() -> str:
    """Return the table of service settings; secrets have no default."""
    rooms = {settings.room_variable(setting) for setting in LIMIT_SETTINGS}
    return _table(
        ("variable", "may be", "default", "meaning"),
        (
            (f"`{name}`", variable.values, variable.default, variable.meaning)
            for name, variable in settings.VARIABLES.items()
            if name not in rooms
        ),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "room": room_table,
    "concert": concert_table,
    "service": service_table,
}
"""Every table, by the name in its marker."""
