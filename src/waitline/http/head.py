"""Parser for request heads: request line, header fields, framing of the body. Pure.

It accepts what RFC 9112 and RFC 9110 require a server to accept, and refuses whatever two parsers
could read differently (request smuggling). Upgrades are not offered, so their fields are ignored.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from waitline.http.fields import TOKEN, parse_fields
from waitline.http.limits import EdgeLimits
from waitline.http.problems import (
    CodingUnknown,
    ExpectationUnknown,
    FieldsTooLarge,
    RequestLineTooLong,
    RequestMalformed,
    VersionUnsupported,
)
from waitline.http.texts import Text

CHUNKED: Final = -1
"""Length of a body that comes in chunks."""

LENGTH_DIGITS_MAX = 20
"""Most digits of a Content-Length: those of the largest 64-bit number. Leading zeros are allowed
within them."""

HOSTS_CACHED = 256
"""Checked Host values cached: a service has a handful of names."""

LINE = Text("요청 줄이 올바르지 않습니다.", "the request line is not valid")
TARGET = Text("요청 대상이 올바르지 않습니다.", "the request target is not valid")
HOST = Text("Host 헤더는 하나만 있어야 합니다.", "exactly one valid Host header is required")
LENGTH = Text("Content-Length가 올바르지 않습니다.", "the Content-Length is not valid")
FRAMING = Text(
    "Transfer-Encoding이 올바르지 않습니다.", "the Transfer-Encoding does not delimit the body"
)

# Quantifiers are possessive, so that no text makes the match take more than linear time.
_VERSION = rb" HTTP/([0-9])\.([0-9])\r\n"
# The third group is the query. In any other form than origin form it matches nothing.
_LINE = re.compile(rb"(" + TOKEN + rb"++) ([\x21\x22\x24-\x7e\x80-\xff]++)((?!))?+" + _VERSION)
_ORIGIN_LINE = re.compile(
    rb"(" + TOKEN + rb"++) (/[\x21\x22\x24-\x3e\x40-\x7e\x80-\xff]*+)"
    rb"\??+([\x21\x22\x24-\x7e\x80-\xff]*+)" + _VERSION
)
_VERSION_BYTES = len(b" HTTP/1.1\r\n")
_QUERY_BYTES = bytes(code for code in range(0x21, 0x100) if code not in b"#\x7f")
_EMPTY = re.compile(rb"(?:\r\n)*+")
_BEGIN = re.compile(TOKEN + rb"|\r")
_ABSOLUTE = re.compile(rb"https?://([^/?]++)", re.IGNORECASE)
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]++\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]{0,5})?"
)
_DIGITS = re.compile(rb"[0-9]++")
_LENGTHS = re.compile(rb"([0-9]++)(?:[ \t]*+,[ \t]*+\1)*+")


class Preface:
    """The part of a head after its target: version and header fields, and what follows from them.

    Attributes:
        text: Its bytes, from the space before the version.
        fields: Header fields by lower-case name; those of one name are joined. Not to be changed.
        old: Whether the client speaks HTTP/1.0.
        keep_alive: Whether the connection stays open after the answer.
        length: Bytes of the body, or `CHUNKED`.
        expects: Whether the client waits for 100 Continue before it sends the body.
        target: Method and path of the last request with it, as the client wrote them, and decoded.
        line: The last request line with it up to its query; empty if it has none.
    """

    __slots__ = ("expects", "fields", "keep_alive", "length", "line", "old", "target", "text")

    def __init__(self, text: bytes, fields: dict[bytes, bytes], *, old: bool) -> None:
        self.text = text
        self.fields = fields
        self.old = old
        host = fields.get(b"host")
        if not old if host is None else not _is_host(host):
            raise RequestMalformed(HOST)
        connection = fields.get(b"connection")
        self.keep_alive = not old if connection is None else _persists(connection, old=old)
        self.length = _body_length(fields, old=old)
        self.expects = b"expect" in fields and _expects(fields[b"expect"], old=old)
        self.target = (b"", b"", "", "")
        self.line = b""


class Head:
    """The head of one request.

    Attributes:
        method: As the client wrote it.
        path: Decoded; `*` where the request is about the server as a whole.
        raw_path: As the client wrote it.
        query: The text after the question mark, still encoded.
        fields: As in `Preface`.
        keep_alive: As in `Preface`.
        preface: The rest of the head.
        text: Its bytes, with the empty line after it.
    """

    __slots__ = ("fields", "keep_alive", "method", "path", "preface", "query", "raw_path", "text")

    method: str
    path: str
    raw_path: bytes
    query: bytes

    def __init__(self, preface: Preface, text: bytes) -> None:
        self.preface = preface
        self.text = text
        self.fields = preface.fields
        self.keep_alive = preface.keep_alive


def parse_head(data: bytes, end: int, limits: EdgeLimits, last: Preface | None = None) -> Head:
    """Parse a head.

    Args:
        data: Begins with the head.
        end: Where its last line ends; the empty line after it follows.
        limits: Of request line and fields.
        last: Preface of the previous request on the connection. Clients repeat it, and parsing it
            takes longer than comparing it.

    Raises:
        RequestMalformed: It is not well-formed, or can be read in two ways.
        RequestLineTooLong, FieldsTooLarge: It exceeds a limit.
        VersionUnsupported, CodingUnknown, ExpectationUnknown: It needs something that this server
        does not support.
    """
    head = None if last is None else _repeated(data, end, limits, last)
    if head is not None:
        return head
    line = _ORIGIN_LINE.match(data, 0, end) or _LINE.match(data, 0, end)
    if line is None:
        raise _line_error(data, end, limits)
    if line.end() > limits.request_line_bytes + 2:
        raise RequestLineTooLong
    method, raw, query = line.group(1, 2, 3)
    preface = _preface(line, data, end, limits, last)
    head = Head(preface, data[: end + 2])
    last_method, last_raw, head.method, head.path = preface.target
    if method != last_method or raw != last_raw or query is None:
        head.method = method.decode("ascii")
        preface.line = b"" if query is None else method + b" " + raw + b"?"
        if query is None:
            raw, _, query = _other_form(head, raw).partition(b"?")
        head.path = raw.decode("ascii") if b"%" not in raw and raw.isascii() else _decoded(raw)
        preface.target = method, raw, head.method, head.path
    head.query = query
    head.raw_path = raw
    return head


def _preface(
    line: re.Match[bytes], data: bytes, end: int, limits: EdgeLimits, last: Preface | None
) -> Preface:
    block = line.end()
    text = data[block - _VERSION_BYTES : end]
    if last is not None and text == last.text:
        return last
    if line[4] != b"1":
        raise VersionUnsupported
    if end - block > limits.fields_bytes:
        raise FieldsTooLarge
    return Preface(text, parse_fields(data, block, end, limits), old=line[5] == b"0")


def _repeated(data: bytes, end: int, limits: EdgeLimits, last: Preface) -> Head | None:
    """Return the head if only its query differs from the previous one, as with polls."""
    at, stop = len(last.line), end - len(last.text)
    if not (last.line and data.startswith(last.line) and data.endswith(last.text, at, end)):
        return None
    query = data[at:stop]
    too_long = stop + _VERSION_BYTES > limits.request_line_bytes + 2
    if too_long or query.translate(None, _QUERY_BYTES):
        return None
    head = Head(last, data[: end + 2])
    _, head.raw_path, head.method, head.path = last.target
    head.query = query
    return head


def after_empty_lines(data: bytes) -> int:
    """Return where the first line that is not empty begins: some clients end a body with one.

    Source: RFC 9112, section 2.2.
    """
    empty = _EMPTY.match(data)
    return 0 if empty is None else empty.end()


def check_partial(data: bytes, limits: EdgeLimits) -> None:
    """Check the first part of a head that is still incomplete.

    So what is not a request is refused at once, and a head never takes more memory than the limits.

    Args:
        data: The part.
        limits: Of request line and fields.

    Raises:
        RequestMalformed: It cannot become a head.
        RequestLineTooLong, FieldsTooLarge, VersionUnsupported: As for a whole head.
    """
    breaks = data.count(b"\r\n")
    # A line feed alone, or a carriage return alone, ends a line for some readers only.
    returns = data.count(b"\r") - data.endswith(b"\r")
    if data.count(b"\n") != breaks or returns != breaks:
        raise RequestMalformed(LINE)
    line = _LINE.match(data)
    if line is None:
        too_long = len(data) > limits.request_line_bytes + 1
        if breaks or too_long or _BEGIN.match(data) is None:
            raise _line_error(data, len(data), limits)
        return
    if line.end() > limits.request_line_bytes + 2:
        raise RequestLineTooLong
    if line[4] != b"1":
        raise VersionUnsupported
    # The last three bytes may belong to the empty line.
    if len(data) - line.end() > limits.fields_bytes + 3:
        raise FieldsTooLarge


def _line_error(data: bytes, end: int, limits: EdgeLimits) -> Exception:
    stop = data.find(b"\r\n", 0, end)
    if (stop if stop >= 0 else end) > limits.request_line_bytes:
        return RequestLineTooLong()
    return RequestMalformed(LINE)


def _decoded(raw: bytes) -> str:
    path = unquote_to_bytes(raw)
    try:
        return path.decode()
    except UnicodeDecodeError:
        raise RequestMalformed(TARGET, path.decode(errors="replace")) from None


def _other_form(head: Head, target: bytes) -> bytes:
    """Return the path and query of a target that is not in origin form.

    Source: RFC 9112, section 3.2.

    Raises:
        RequestMalformed: The form does not fit the method.
    """
    if head.method == "CONNECT":
        # A tunnel request, which no path of ours can match; no request follows it.
        head.keep_alive = False
        return target
    if target == b"*" and head.method == "OPTIONS":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None or absolute[1].startswith(b":") or not _is_host(absolute[1]):
        raise RequestMalformed(TARGET)
    head.fields = {**head.fields, b"host": absolute[1]}
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _persists(connection: bytes, *, old: bool) -> bool:
    options = [option.strip() for option in connection.lower().split(b",")]
    return b"close" not in options and (not old or b"keep-alive" in options)


@lru_cache(maxsize=HOSTS_CACHED)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _body_length(fields: dict[bytes, bytes], *, old: bool) -> int:
    """Return the length of the body. Source: RFC 9112, section 6.3.

    Raises:
        RequestMalformed: Two parsers could disagree about it.
        CodingUnknown: The body has a transfer coding besides chunked.
    """
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if old or length is not None:
            raise RequestMalformed(FRAMING)
        _require_chunked(coding)
        return CHUNKED
    if length is None:
        return 0
    if _DIGITS.fullmatch(length) is None:
        # A repeated equal number counts once (RFC 9110, section 8.6).
        repeated = _LENGTHS.fullmatch(length)
        if repeated is None:
            raise RequestMalformed(LENGTH)
        length = repeated[1]
    if len(length) > LENGTH_DIGITS_MAX:
        raise RequestMalformed(LENGTH)
    return int(length)


def _require_chunked(coding: bytes) -> None:
    codings = [one.strip(b" \t") for one in coding.lower().split(b",")]
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1] or b"" in codings:
        raise RequestMalformed(FRAMING)
    if len(codings) > 1:
        raise CodingUnknown


def _expects(expectation: bytes, *, old: bool) -> bool:
    """Return whether the client waits for 100 Continue. Source: RFC 9110, section 10.1.1.

    Raises:
        ExpectationUnknown: It expects something else.
    """
    if expectation.lower() != b"100-continue":
        raise ExpectationUnknown
    return not old
