"""Where requests and replies of PostgreSQL's protocol (version 3) begin and end, for the proxy."""

import struct
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from tests.faults.wire import Ended, Framing, Reader, Request, Wire, Writer
from waitline.postgres import statements

_SSL, _CANCEL = 80877103, 80877102

START = "start"


class PgWire(Framing):
    """One connection. Requests are named after the statement, or its SQL text.

    Args:
        names: Names of statements by their text.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._prepared: dict[bytes, str] = {}
        self._started = False
        self._ends = b"Z"

    @override
    async def greet(
        self, client: Reader, store: Reader, to_client: Writer, to_store: Writer
    ) -> None:
        """Do nothing: the start counts as a request."""

    @override
    async def request(self, client: Reader) -> Request:
        """Read messages up to one that asks for a reply."""
        if not self._started:
            return await self._start(client)
        data, name = b"", ""
        while True:
            kind, message = await _message(client)
            data += message
            name = self._name_of(kind, message[5:]) or name
            if kind == b"X":
                raise Ended
            if kind in b"SQH":
                # A flush is answered up to the description that was asked for before it.
                self._ends = b"TnE" if kind == b"H" else b"Z"
                return Request(name, data)

    async def _start(self, client: Reader) -> Request:
        size = await _head(client, 4)
        rest = await client.readexactly(struct.unpack("!I", size)[0] - 4)
        (code,) = struct.unpack("!I", rest[:4])
        if code == _SSL:
            return Request("ssl", size + rest)
        self._started = True
        return Request("cancel" if code == _CANCEL else START, size + rest, code != _CANCEL)

    def _name_of(self, kind: bytes, body: bytes) -> str:
        if kind == b"Q":
            return body.rstrip(b"\0").decode()
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._prepared[name] = self._names.get(text.decode(), text.decode())
            return "prepare " + self._prepared[name]
        if kind == b"B":
            return self._prepared.get(body.split(b"\0", 2)[1], "")
        return ""

    @override
    async def reply(self, store: Reader) -> bytes:
        """Read messages up to the last that was asked for."""
        if not self._started:
            return await _head(store, 1)
        data, kind = b"", b""
        while not kind or kind not in self._ends:
            try:
                kind, message = await _message(store)
            except Ended:
                # A refusal at the start is followed by the end.
                if data:
                    return data
                raise
            data += message
        return data

    @override
    def error(self, text: str) -> bytes:
        """Return an ErrorResponse for `SEVERITY SQLSTATE message`; ready unless it is fatal."""
        if text.startswith("\0"):
            return text.encode("latin-1")
        severity, state, message = text.split(" ", 2)
        fields = {"S": severity, "V": severity, "C": state, "M": message}
        body = b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields.items()) + b"\0"
        ready = (
            b"" if severity == "FATAL" or self._ends != b"Z" else b"Z" + struct.pack("!I", 5) + b"I"
        )
        return b"E" + struct.pack("!I", len(body) + 4) + body + ready


async def _head(reader: Reader, size: int) -> bytes:
    head = await reader.read(1)
    if not head:
        raise Ended
    return head + await reader.readexactly(size - 1)


async def _message(reader: Reader) -> tuple[bytes, bytes]:
    head = await _head(reader, 5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def wire_to(url: str, package: str = "waitline.booking") -> Wire:
    """Return a proxy to a server on a unix socket, which knows a package's statements."""
    folder = parse_qs(urlsplit(url).query)["host"][0]
    names = {statement.text: name for name, statement in statements.load(package).items()}
    return Wire(lambda: PgWire(names), f"{folder}/.s.PGSQL.5432")


def url_of(wire: Wire) -> str:
    """Return the address of a proxy's database."""
    return f"postgresql://waitline@127.0.0.1:{wire.port}/waitline?sslmode=disable"
