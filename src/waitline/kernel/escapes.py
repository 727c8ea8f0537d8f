"""Escaping of text for terminals, log lines and file names. Pure.

Names may contain any character but controls (`ids.py`), and text from other systems even those.
HTML is escaped by `sales/drawing/page.py`, JSON and metrics by their libraries.
"""

import json
import re
from hashlib import blake2b
from urllib.parse import quote

import msgspec

FILE_NAME_CHARS_MAX = 120
"""Most characters of a name within a file name: with prefix and suffix it stays below 143, which
the strictest file systems in use (eCryptfs) allow."""

# C0, DEL, C1; directional marks, embeddings, overrides and isolates (Unicode Annex 9), which
# reorder the text around them; line separators; interlinear annotations; lone surrogates.
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
_CONTROLS = re.compile(f"[{_UNSAFE}]")
_CONTROLS_BUT_LINE_FEEDS = re.compile(rf"(?!\n)[{_UNSAFE}]")


def visible(text: str, *, multiline: bool = False) -> str:
    r"""Escape the characters of a text that would control a terminal or reorder a line.

    A control character becomes `\x1b`, a directional mark `\u202e`.

    Args:
        text: Any text.
        multiline: Whether line feeds stay.
    """
    if text.isascii() and text.isprintable():
        return text
    pattern = _CONTROLS_BUT_LINE_FEEDS if multiline else _CONTROLS
    return pattern.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"  # noqa: PLR2004 - two digits


def json_line(document: object) -> str:
    """Encode a document for programs as one line of JSON in ASCII.

    In other encodings of standard output, characters that they lack would be no JSON; and a
    directional mark or a line separator could mislead who reads the line on a terminal.
    """
    return json.dumps(msgspec.to_builtins(document))


def file_name(text: str) -> str:
    """Return a text as part of a file name, with letters, digits and `_.-~%` only.

    A text whose percent-encoded form is too long is truncated, and a hash keeps it unique.
    """
    name = quote(text, safe="")
    if len(name) <= FILE_NAME_CHARS_MAX:
        return name
    mark = blake2b(text.encode(), digest_size=8).hexdigest()
    kept = re.sub("%[0-9A-F]?$", "", name[: FILE_NAME_CHARS_MAX - len(mark) - 1])
    return f"{kept}-{mark}"
