"""Signed door lists: CSV for spreadsheets, and HTML for printing on A4.

Both work without a network. Names come from buyers, so each cell is escaped for its format.
"""

import re
from pathlib import Path
from typing import Literal

from waitline.booking.door_list import DoorList
from waitline.booking.seat_file import write
from waitline.http.templates import Templates
from waitline.http.texts import Language
from waitline.tokens.door import sign_file
from waitline.tokens.keyring import Keyring

Format = Literal["csv", "html"]

COLUMNS = ("section", "row", "seat", "label", "grade", "code", "name", "kind", "booking")
"""Columns of the CSV file."""

_MANGLED = re.compile(r"(?!\d{1,15}$)\d|0\d")
"""Texts that begin with a digit and are not short integers: spreadsheets read 3-5 as a date, 1E5 as
a number, and keep 15 digits only."""


def signed_list(ring: Keyring, listed: DoorList, form: Format, language: Language) -> bytes:
    """Return the file of a door list.

    Args:
        ring: The keys; the one of now signs.
        listed: The list.
        form: Its format.
        language: Language of the page.
    """
    content = _csv(listed) if form == "csv" else _page(listed, language)
    return sign_file(
        ring,
        content,
        form,
        schedule=listed.schedule_id,
        made_ms=listed.made_at.at_ms,
        tickets=len(listed.tickets),
    )


def _csv(listed: DoorList) -> bytes:
    rows = [
        (
            *map(_as_text, (one.section, one.row, one.seat, one.label, one.grade)),
            one.code,
            _as_text(one.name),
            "complimentary" if one.complimentary else "sold",
            f"#{one.reservation_id}",
        )
        for one in listed.tickets
    ]
    about = [
        ("concert", listed.title),
        ("venue", listed.venue),
        ("starts at", listed.starts_at.iso),
        ("status", listed.state),
        ("tickets", str(len(rows))),
        ("made at", listed.made_at.iso),
    ]
    return write(COLUMNS, [*rows, (), *about])


def _as_text(cell: str) -> str:
    return f"'{cell}" if _MANGLED.match(cell) else cell


def _page(listed: DoorList, language: Language) -> bytes:
    templates = Templates([Path(__file__).parent / "pages"], language)
    return templates.render("door.html", language, listed=listed).body
