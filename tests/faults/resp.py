"""Where requests and replies of Valkey's protocol (RESP2) begin and end, for the proxy."""

from urllib.parse import unquote, urlsplit

from typing_extensions import override

from tests.faults.wire import Ended, Framing, Reader, Request, Wire, Writer
from waitline.queue import listening, rooms, store
from waitline.valkey.scripts import Script

_SCRIPTS = {
    script.digest: script.name
    for module in (store, rooms, listening)
    for script in vars(module).values()
    if isinstance(script, Script)
}


class Resp(Framing):
    """RESP2."""

    @override
    async def greet(
        self, client: Reader, store: Reader, to_client: Writer, to_store: Writer
    ) -> None:
        """Do nothing: the client begins."""

    @override
    async def request(self, client: Reader) -> Request:
        """Read one command; a script is named after its file."""
        data = await client.readline()
        if not data:
            raise Ended
        words = []
        for _ in range(int(data[1:])):
            head = await client.readline()
            word = await client.readexactly(int(head[1:]) + 2)
            words.append(word[:-2])
            data += head + word
        name = words[0].decode().upper()
        if name == "EVALSHA":
            name = _SCRIPTS.get(words[1].decode(), name)
        return Request(name, data)

    @override
    async def reply(self, store: Reader) -> bytes:
        """Read one reply, with all that is nested in it."""
        data = await store.readline()
        if not data:
            raise Ended
        size = int(data[1:]) if data[:1] in b"$*" else -1
        if data[:1] == b"$" and size >= 0:
            data += await store.readexactly(size + 2)
        elif data[:1] == b"*":
            data += b"".join([await self.reply(store) for _ in range(size)])
        return data

    @override
    def error(self, text: str) -> bytes:
        """Return an error line; text that is none already is sent as it is."""
        return text.encode() if text.endswith("\r\n") else f"-{text}\r\n".encode()


def wire_to(url: str) -> Wire:
    """Return a proxy to a server on a unix socket."""
    return Wire(Resp, unquote(urlsplit(url).path))
