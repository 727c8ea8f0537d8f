"""Readers of request bodies: by length, or in chunks. Pure.

Trailer fields are checked and dropped: none may affect how a request is authenticated.
Source: RFC 9112, sections 6 and 7.
"""

import re
from typing import Final, NamedTuple

from waitline.http.fields import parse_fields
from waitline.http.head import CHUNKED
from waitline.http.limits import EdgeLimits
from waitline.http.problems import BodyTooLarge, FieldsTooLarge, RequestMalformed
from waitline.http.texts import Text

CHUNK: Final = Text("본문 조각(chunk)이 올바르지 않습니다.", "a chunk of the body is not valid")

CHUNK_LINE_BYTES_MAX: Final = 256
"""Longest line with a chunk's size and extensions. Extensions are not used in practice; they are
ignored, and must not fill the buffer."""

EXTENSION_BYTES_MAX: Final = 4_096
"""Most bytes of chunk extensions in one body, since the limit of the body does not count them."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_VALUE = rb"[ \t]*+=[ \t]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb")"
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:" + _VALUE + rb")?+)*+)"
)


class Whole(NamedTuple):
    """A body that has arrived.

    Attributes:
        body: All of it.
        rest: What came after it.
    """

    body: bytes
    rest: bytes


class KnownBody:
    """A body whose length the head gives.

    Args:
        length: Its bytes.
    """

    __slots__ = ("_body", "_length")

    def __init__(self, length: int) -> None:
        self._length = length
        self._body = bytearray()

    def feed(self, data: bytes) -> Whole | None:
        """Take the next bytes; return the body once it is complete."""
        left = self._length - len(self._body)
        self._body += data[:left]
        if len(data) < left:
            return None
        return Whole(bytes(self._body), data[left:])


class ChunkedBody:
    """A body in chunks.

    Args:
        body_max: Most bytes of it.
        limits: Of its trailer section.
    """

    __slots__ = (
        "_body",
        "_body_max",
        "_chunk_left",
        "_extension_bytes",
        "_in_chunk",
        "_in_trailers",
        "_limits",
        "_partial",
    )

    def __init__(self, body_max: int, limits: EdgeLimits) -> None:
        self._body_max = body_max
        self._limits = limits
        self._body = bytearray()
        self._partial = b""
        self._chunk_left = 0
        self._in_chunk = False
        self._in_trailers = False
        self._extension_bytes = 0

    def feed(self, data: bytes) -> Whole | None:
        """Take the next bytes; return the body once it is complete.

        Raises:
            RequestMalformed: A chunk or the trailer section is not well-formed.
            BodyTooLarge, FieldsTooLarge: The body or its trailer section is too long.
        """
        if self._partial:
            data, self._partial = self._partial + data, b""
        at = 0
        while not self._in_trailers:
            at = self._read_data(data, at) if self._in_chunk else self._read_size(data, at)
            if at < 0:
                return None
        return self._read_trailers(data, at)

    def _read_size(self, data: bytes, at: int) -> int:
        """Read the line before a chunk; return where it ends, or -1 if it is incomplete."""
        end = data.find(b"\r\n", at, at + CHUNK_LINE_BYTES_MAX + 2)
        if end < 0:
            if data.find(b"\n", at) >= 0 or len(data) - at > CHUNK_LINE_BYTES_MAX:
                raise RequestMalformed(CHUNK)
            self._partial = data[at:]
            return -1
        line = _SIZE_LINE.fullmatch(data, at, end)
        if line is None:
            raise RequestMalformed(CHUNK)
        self._extension_bytes += len(line[2])
        if self._extension_bytes > EXTENSION_BYTES_MAX:
            raise RequestMalformed(CHUNK)
        self._chunk_left = int(line[1], 16)
        if len(self._body) + self._chunk_left > self._body_max:
            raise BodyTooLarge
        if self._chunk_left:
            self._in_chunk = True
        else:
            self._in_trailers = True
        return end + 2

    def _read_data(self, data: bytes, at: int) -> int:
        """Read a chunk and the line end after it; return where that ends, or -1."""
        if self._chunk_left:
            piece = data[at : at + self._chunk_left]
            self._body += piece
            at += len(piece)
            self._chunk_left -= len(piece)
            if self._chunk_left:
                return -1
        ending = data[at : at + 2]
        if ending == b"\r\n":
            self._in_chunk = False
            return at + 2
        if ending not in {b"", b"\r"}:
            raise RequestMalformed(CHUNK)
        self._partial = ending
        return -1

    def _read_trailers(self, data: bytes, at: int) -> Whole | None:
        if data.startswith(b"\r\n", at):
            return Whole(bytes(self._body), data[at + 2 :])
        end = data.find(b"\r\n\r\n", at)
        size = (len(data) - 3 if end < 0 else end + 2) - at
        if size > self._limits.fields_bytes:
            raise FieldsTooLarge
        if end < 0:
            self._partial = data[at:]
            return None
        parse_fields(data, at, end + 2, self._limits)
        return Whole(bytes(self._body), data[end + 4 :])


def body_reader(length: int, body_max: int, limits: EdgeLimits) -> KnownBody | ChunkedBody:
    """Return the reader of a body.

    Args:
        length: As in `Head`.
        body_max: Most bytes of it.
        limits: Of its trailer section.

    Raises:
        BodyTooLarge: The head announces a longer one.
    """
    if length == CHUNKED:
        return ChunkedBody(body_max, limits)
    if length > body_max:
        raise BodyTooLarge
    return KnownBody(length)
