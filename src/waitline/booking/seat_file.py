"""CSV files of seats, as spreadsheets write and read them: encoding, delimiter, safe cells. Pure.

Read: UTF-8 with or without a byte order mark, UTF-16, CP949 (EUC-KR); commas, semicolons or tabs;
any line ends; line breaks within quotation marks. Written: UTF-8 with a byte order mark, commas.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _csv import Reader

LINE_CHARS_MAX = 1_000
"""Longest line: far longer than a seat needs, and short enough to bound the memory."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_DELIMITERS = ",;\t"

_FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""A cell that spreadsheets may take for a formula. Source: OWASP, CSV injection."""


class FileError(ValueError):
    """A file cannot be read further.

    Attributes:
        line: Number of the line.
        what: The error, and what to do.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


class Record(NamedTuple):
    """A record of the file.

    Attributes:
        line: Number of the line on which it begins.
        cells: Its cells, without the spaces around them.
    """

    line: int
    cells: list[str]


def decode(content: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises:
        FileError: It is in none of the encodings.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], (encoding,))
    if b"\0" in content[:2]:
        return _decoded(content, ("utf-16-be" if content[:1] == b"\0" else "utf-16-le",))
    return _decoded(content, ("utf-8", "cp949"))


def _decoded(content: bytes, encodings: tuple[str, ...]) -> str:
    good = 0
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            good = max(good, error.start)
    line = content.count(b"\n", 0, good) + 1
    raise FileError(line, "neither UTF-8 nor UTF-16 nor CP949; save the file as CSV UTF-8")


def records(text: str) -> Iterator[Record]:
    """Yield the records of a text, blank ones left out.

    Raises:
        FileError: It is no CSV, or a line is too long.
    """
    delimiter, first = _delimiter(text)
    rows = csv.reader(_lines(text, first), delimiter=delimiter, strict=True)
    line = first + 1
    while (cells := _next(rows, line)) is not None:
        # Many files end with blank lines.
        if any(cells):
            yield Record(line, cells)
        line = first + rows.line_num + 1


def _next(rows: "Reader", line: int) -> list[str] | None:
    try:
        row = next(rows, None)
    except csv.Error as error:
        raise FileError(line, f"not CSV ({error}); check the quotation marks") from None
    return None if row is None else [_plain(cell) for cell in row]


def _delimiter(text: str) -> tuple[str, int]:
    """Return the delimiter, and how many lines before the header only name it."""
    header = text.partition("\n")[0].strip().lower()
    if len(header) == len("sep=;") and header.startswith("sep="):
        return header[-1], 1
    outside = re.sub('"[^"]*"', "", header)
    return max(_DELIMITERS, key=outside.count), 0


def _lines(text: str, skipped: int) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > LINE_CHARS_MAX:
            raise FileError(number, f"more than {LINE_CHARS_MAX} characters; shorten it")
        if number > skipped:
            yield line


def _plain(cell: str) -> str:
    """Return a cell on one line, without the quotation mark that keeps it from being a formula."""
    cell = re.sub(r"\s*[\r\n]+\s*", " ", cell.strip())
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write(header: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    """Return a CSV file whose cells no spreadsheet takes for formulas; `records` reads it back."""
    text = io.StringIO(newline="")
    to = csv.writer(text)
    to.writerow(header)
    to.writerows([_safe(cell) for cell in row] for row in rows)
    return codecs.BOM_UTF8 + text.getvalue().encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
