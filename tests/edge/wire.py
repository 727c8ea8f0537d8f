"""A connection without a network: the test decides how the bytes are cut, and sees every answer."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

from typing_extensions import override
from uvicorn.server import ServerState

from tests.edge.server import SOON_S, App
from waitline.http.connections import READ_AHEAD_MAX
from waitline.http.protocol import Protocol


class Wire(asyncio.Transport):
    """The server's end of the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.ended = asyncio.Event()
        self.protocol: Protocol | None = None
        self.paused = False

    @override
    def write(self, data: Any) -> None:
        assert not self.ended.is_set(), "written after the end"
        self.sent += data

    @override
    def is_closing(self) -> bool:
        return self.ended.is_set()

    @override
    def close(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            assert self.protocol is not None
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    @override
    def abort(self) -> None:
        self.close()

    @override
    def write_eof(self) -> None:
        self.close()

    @override
    def pause_reading(self) -> None:
        self.paused = True

    @override
    def resume_reading(self) -> None:
        self.paused = False

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Answered(NamedTuple):
    """One response."""

    status: int
    fields: dict[str, str]
    body: bytes


async def converse(app: App, pieces: Iterable[bytes], *, half_closes: bool = True) -> bytes:
    """Send pieces, then half-close; return all that is answered until the server closes.

    Where the client does not half-close, the server has to close by itself.
    """
    wire = Wire()
    config: Any = SimpleNamespace(loaded=True, loaded_app=app)
    protocol = wire.protocol = Protocol(config, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(wire)
    for piece in pieces:
        if wire.is_closing():
            break
        protocol.data_received(piece)
        await turn()
        while wire.paused:
            assert len(protocol._buffer) <= READ_AHEAD_MAX + len(piece)  # noqa: SLF001 - the bound
            await turn()
    if half_closes and not wire.is_closing() and not protocol.eof_received():
        wire.close()
    async with asyncio.timeout(SOON_S):
        await wire.ended.wait()
    await turn()
    return bytes(wire.sent)


async def turn() -> None:
    """Let the loop run what is ready."""
    turned = asyncio.get_running_loop().create_future()
    turned.get_loop().call_soon(turned.set_result, None)
    await turned


def answers(text: bytes, methods: Iterable[str]) -> list[Answered]:
    """Parse responses.

    Args:
        text: All of them.
        methods: Of the requests that they answer; the last may have been no request.
    """
    found: list[Answered] = []
    of = iter(methods)
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        version, status, _ = status_line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        if status == b"100":
            continue
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.decode("latin-1").partition(": ")
            assert name not in fields
            fields[name] = value
        bodiless = next(of, None) == "HEAD" or status in {b"204", b"304"}
        # A refused HEAD has no body either, and nothing comes after a refusal.
        size = 0 if bodiless or not text else int(fields["content-length"])
        assert len(text) >= size
        found.append(Answered(int(status), fields, text[:size]))
        text = text[size:]
    return found
