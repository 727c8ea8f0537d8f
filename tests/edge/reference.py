"""A reading of RFC 9112 that shares nothing with the server's: the judge of the differential test.

It reads a whole stream of bytes at once and slowly, line by line, and says what a server that
follows the standard answers: for each request what its handler sees, and at the first error the
status with which the connection ends. Where the standard leaves a choice, the choice is named.
"""

import string
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

TOKEN = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
LINE_MAX, FIELDS_BYTES_MAX, FIELDS_MAX, BODY_MAX = 8_192, 32_768, 100, 64

# Choices. Of these fields, two that differ are refused, since which one counts would be a guess.
SINGLE = {"authorization", "content-type", "x-user-id", "x-queue-token", "idempotency-key"}


class Seen(NamedTuple):
    """A request as its handler sees it."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    body: str


class End(NamedTuple):
    """The end of a connection: the status of the last answer if it is a refusal."""

    status: int | None


class Wrong(Exception):  # noqa: N818 - what is wrong with the bytes
    """The bytes break the standard, or a limit."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(status)
        self.status = status


class NotYet(Exception):  # noqa: N818 - no error
    """The bytes end before the request does."""


class Stream:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def line(self) -> bytes:
        """Take a line; every line of a message ends with CR LF (section 2.2)."""
        end = self.data.find(b"\r\n")
        taken = self.data if end < 0 else self.data[:end]
        if b"\n" in taken or b"\r" in taken.removesuffix(b"\r" if end < 0 else b""):
            raise Wrong
        if end < 0:
            raise NotYet
        self.data = self.data[end + 2 :]
        return taken

    def take(self, size: int) -> bytes:
        """Take as many bytes."""
        if len(self.data) < size:
            raise NotYet
        taken, self.data = self.data[:size], self.data[size:]
        return taken


def read(data: bytes) -> list[Seen | End]:
    """Return what a server sees of a stream that ends after these bytes."""
    stream = Stream(data)
    found: list[Seen | End] = []
    while True:
        try:
            request, persists = _request(stream)
        except NotYet:
            # A choice: a request that has begun and does not end is answered, too.
            return [*found, End(400 if stream.data else None)]
        except Wrong as wrong:
            return [*found, End(wrong.status)]
        found.append(request)
        if not persists:
            return [*found, End(None)]
        if not stream.data:
            return [*found, End(None)]


def _request(stream: Stream) -> tuple[Seen, bool]:
    before = stream.data
    try:
        line = stream.line()
        while not line:
            before = stream.data
            line = stream.line()
        method, target, minor = _request_line(line)
        fields = _fields(stream)
        persists = _persists(fields, minor)
        length = _length(fields, minor)
        expect = fields.get("expect")
        if expect is not None and expect.lower() != "100-continue":
            raise Wrong(417)
        path, query = _target(target, fields)
        if length is not None and length > BODY_MAX:
            raise Wrong(413)
        body = _chunks(stream) if length is None else stream.take(length)
    except NotYet:
        stream.data = before
        raise
    return Seen(method, path, query, fields, body.decode("latin-1")), persists


def _request_line(line: bytes) -> tuple[str, str, int]:
    if len(line) > LINE_MAX:
        raise Wrong(414)
    words = line.split(b" ")
    if len(words) != 3:
        raise Wrong
    method, target, version = words
    if not method or not set(method) <= TOKEN or not target:
        raise Wrong
    # A choice: bytes beyond ASCII are let into a target, as people type them.
    if any(byte <= 0x20 or byte == 0x7F or byte == ord("#") for byte in target):
        raise Wrong
    if len(version) != 8 or version[:5] != b"HTTP/" or version[6:7] != b".":
        raise Wrong
    if not (version[5:6].isdigit() and version[7:8].isdigit()):
        raise Wrong
    if version[5:6] != b"1":
        raise Wrong(505)
    return method.decode(), target.decode("latin-1"), int(version[7:8])


def _fields(stream: Stream) -> dict[str, str]:
    start = stream.data
    lines = _unfolded(stream)
    if len(start) - len(stream.data) - 2 > FIELDS_BYTES_MAX or len(lines) > FIELDS_MAX:
        raise Wrong(431)
    fields: dict[str, str] = {}
    for name, value in [_field(line) for line in lines]:
        if name not in fields:
            fields[name] = value
        elif name == "host" or (name in SINGLE and fields[name] != value):
            raise Wrong
        elif name not in SINGLE:
            fields[name] += ("; " if name == "cookie" else ", ") + value
    return fields


def _unfolded(stream: Stream) -> list[bytes]:
    """Section 5.2. A choice: fields that frame the message are not folded."""
    lines: list[bytes] = []
    framing = {b"host", b"content-length", b"transfer-encoding"}
    while line := stream.line():
        if line[:1] not in {b" ", b"\t"}:
            lines.append(line)
        elif lines and lines[-1].partition(b":")[0].lower() not in framing:
            lines[-1] += b" " + line.lstrip(b" \t")
        else:
            raise Wrong
    return lines


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not name or not set(name) <= TOKEN:
        raise Wrong
    if any((byte < 0x20 and byte != 9) or byte == 0x7F for byte in value):
        raise Wrong
    return name.decode().lower(), value.strip(b" \t").decode("latin-1")


def _target(target: str, fields: dict[str, str]) -> tuple[str, str]:
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if scheme.lower() not in {"http", "https"} or not separator:
            raise Wrong
        end = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
        authority, target = rest[:end], rest[end:]
        if not authority or authority.startswith(":") or not _is_host(authority):
            raise Wrong
        fields["host"] = authority
        target = target if target.startswith("/") else "/" + target
    path, _, query = target.partition("?")
    try:
        return unquote_to_bytes(path.encode("latin-1")).decode(), query
    except UnicodeDecodeError:
        raise Wrong from None


def _is_host(value: str) -> bool:
    if value.startswith("["):
        address, bracket, port = value[1:].partition("]")
        good = bool(bracket) and bool(address) and set(address) <= set("0123456789abcdefABCDEF:.")
        return good and (not port or (port[0] == ":" and _is_port(port[1:])))
    name, colon, port = value.partition(":")
    plain = set(string.ascii_letters + string.digits + "-._~!$&'()*+,;=")
    at = 0
    while at < len(name):
        if name[at] == "%":
            pair = name[at + 1 : at + 3]
            if len(pair) != 2 or not set(pair) <= set(string.hexdigits):
                return False
            at += 3
        elif name[at] in plain:
            at += 1
        else:
            return False
    return not colon or _is_port(port)


def _is_port(text: str) -> bool:
    return len(text) <= 5 and set(text) <= set(string.digits)


def _persists(fields: dict[str, str], minor: int) -> bool:
    host = fields.get("host")
    if host is None:
        if minor:
            raise Wrong
    elif not _is_host(host):
        raise Wrong
    options = [option.strip(" \t") for option in fields.get("connection", "").lower().split(",")]
    return "close" not in options and (minor > 0 or "keep-alive" in options)


def _length(fields: dict[str, str], minor: int) -> int | None:
    """Section 6.3, in its order; `None` for chunks."""
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None:
        if not minor or length is not None:
            raise Wrong
        codings = [one.strip(" \t") for one in coding.lower().split(",")]
        if "" in codings or codings.count("chunked") != 1 or codings[-1] != "chunked":
            raise Wrong
        if len(codings) > 1:
            raise Wrong(501)
        return None
    if length is None:
        return 0
    values = {one.strip(" \t") for one in length.split(",")}
    if len(values) != 1:
        raise Wrong
    (value,) = values
    # A choice: more digits than any length has are refused, zeros or not.
    if not value or not set(value) <= set(string.digits) or len(value) > 20:
        raise Wrong
    return int(value)


def _chunks(stream: Stream) -> bytes:
    body = b""
    extensions = 0
    while True:
        ahead = stream.data.partition(b"\r\n")[0]
        if len(ahead) > 256:
            raise Wrong
        line = stream.line()
        digits = line[: len(line) - len(line.lstrip(string.hexdigits.encode()))]
        if not digits or len(digits) > 16:
            raise Wrong
        _extensions(line[len(digits) :])
        extensions += len(line) - len(digits)
        if extensions > 4_096:
            raise Wrong
        size = int(digits, 16)
        if len(body) + size > BODY_MAX:
            raise Wrong(413)
        if not size:
            # Trailer fields are read, and mean nothing.
            _fields(stream)
            return body
        body += stream.take(size)
        ending = stream.data[:2]
        if not b"\r\n".startswith(ending):
            raise Wrong
        stream.take(2)


def _extensions(text: bytes) -> None:
    """Section 7.1.1, by hand."""
    rest = text
    while rest:
        rest = rest.lstrip(b" \t")
        if rest[:1] != b";":
            raise Wrong
        rest = _without_token(rest[1:].lstrip(b" \t"))
        value = rest.lstrip(b" \t")
        if value[:1] == b"=":
            value = value[1:].lstrip(b" \t")
            rest = _without_quoted(value) if value[:1] == b'"' else _without_token(value)


def _without_token(text: bytes) -> bytes:
    size = next((at for at, byte in enumerate(text) if byte not in TOKEN), len(text))
    if not size:
        raise Wrong
    return text[size:]


def _without_quoted(text: bytes) -> bytes:
    at = 1
    while at < len(text):
        byte = text[at]
        if byte == ord('"'):
            return text[at + 1 :]
        if byte == ord("\\"):
            at += 1
            byte = text[at] if at < len(text) else 0
        if (byte < 0x20 and byte != 9) or byte == 0x7F:
            raise Wrong
        at += 1
    raise Wrong
