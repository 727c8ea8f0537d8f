"""Lua scripts as package data: source, SHA-1 digest, and the contract that the header declares.

Code that several scripts share is in `lua/include` (`kernel/includes.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

from waitline.kernel import includes

_SECTION = re.compile(r"^(KEYS|ARGV|RETURNS).*\n((?:  .*\n)+)", re.MULTILINE)

Row = Sequence[Any]
"""One row of a script's reply: an outcome word, and the values that the header declares for it."""


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script and the contract that its header declares.

    Attributes:
        name: File name without `.lua`; also the metric label.
        source: The file with its includes, as sent to the server.
        digest: SHA-1 of the source in hex, the server's key for it.
        keys: Key names, in KEYS order.
        args: Argument names, in ARGV order; the last ones may be repeated.
        outcomes: First element of every row that the script can return.
    """

    name: str
    source: str
    digest: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    outcomes: tuple[str, ...]


def load(package: str, name: str) -> Script:
    """Load `package/lua/name.lua` with its includes, and parse its header.

    Raises:
        ValueError: The lines of the header are misnumbered.
        FileNotFoundError: The script or a file that it includes is missing.
    """
    source = includes.assemble(files(package).joinpath("lua"), f"{name}.lua")
    header, _, _ = source.partition("]]")
    sections = {title: body.splitlines() for title, body in _SECTION.findall(header)}
    return Script(
        name=name,
        source=source,
        digest=sha1(source.encode(), usedforsecurity=False).hexdigest(),
        keys=_numbered(name, sections.get("KEYS", [])),
        args=_numbered(name, sections.get("ARGV", [])),
        outcomes=tuple(line.split()[0] for line in sections.get("RETURNS", [])),
    )


def _numbered(name: str, lines: list[str]) -> tuple[str, ...]:
    words: list[str] = []
    for line in lines:
        number, word, *_ = line.split()
        # A line without a number continues the one above.
        if not number.isdecimal():
            continue
        if int(number) != len(words) + 1:
            raise ValueError(f"{name}.lua: line {line!r} should be number {len(words) + 1}")
        words.append(word)
    return tuple(words)
