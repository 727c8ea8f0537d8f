"""Each limit of a connection, at its figure and beyond: a clear refusal, and the end."""

import asyncio
from dataclasses import replace

import pytest

from tests.edge.server import DEFAULTS, PIECE, Connection, Service, get, moment, play, post
from waitline.http import connections
from waitline.http.limits import BODY_BYTES, FIELDS, FIELDS_BYTES, REQUEST_LINE_BYTES

SOON = 0.2

# What a sender gets rid of where nobody reads: the buffers of both ends in the kernel.
STREAMED_BYTES_MAX = 16 * 1024**2


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the deadlines more often than once a second."""
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)


def line(size: int) -> bytes:
    """A request whose request line has a given length."""
    rest = len(b"GET /ok? HTTP/1.1")
    return get("/ok?" + "x" * (size - rest))


def fields(size: int, count: int = 50) -> bytes:
    """A request whose header fields have a given size in all, lines included."""
    names = [f"X-{number:03}: " for number in range(count - 1)]
    left = size - len("Host: here\r\n") - sum(len(name) + 2 for name in names)
    each, more = divmod(left, len(names))
    values = [each + more, *[each] * (len(names) - 1)]
    return get("/ok", *(name + "x" * value for name, value in zip(names, values, strict=True)))


def chunked(size: int) -> bytes:
    """A request with a body in chunks of at most 1 000 bytes."""
    head = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    sizes = [1_000] * (size // 1_000) + [size % 1_000]
    return head + b"".join(b"%x\r\n%b\r\n" % (one, b"x" * one) for one in sizes) + b"0\r\n\r\n"


async def refused(connection: Connection, text: bytes) -> bytes:
    """Send what is refused; return the status. The server says so, and ends the connection."""
    connection.send(text)
    head, body = await connection.answer()
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    assert b"C001" in body
    assert await connection.reader.read() == b""
    return head[9:12]


@pytest.mark.parametrize(
    ("good", "bad", "status"),
    [
        pytest.param(line(REQUEST_LINE_BYTES), line(REQUEST_LINE_BYTES + 1), b"414", id="line"),
        pytest.param(line(8_000), b"GET /" + b"x" * 9_000, b"414", id="line without end"),
        pytest.param(line(8_000), line(100_000), b"414", id="long line"),
        pytest.param(fields(FIELDS_BYTES), fields(FIELDS_BYTES + 1), b"431", id="fields"),
        pytest.param(
            fields(4_000, FIELDS), fields(4_000, FIELDS + 1), b"431", id="number of fields"
        ),
        pytest.param(get("/ok"), get("/ok")[:-2] + b"X-A: b\r\n" * 6_000, b"431", id="no end"),
        pytest.param(post(b"x" * BODY_BYTES), post(b"x" * (BODY_BYTES + 1)), b"413", id="body"),
        pytest.param(chunked(BODY_BYTES), chunked(BODY_BYTES + 1), b"413", id="chunks"),
        pytest.param(
            post(b""), b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", b"413",
            id="body that did not come",
        ),
    ],
)  # fmt: skip
def test_a_limit_of_size(good: bytes, bad: bytes, status: bytes) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            for _ in range(2):
                assert (await connection.asked(good))[0].startswith(b"HTTP/1.1 200 ")
            assert await refused(connection, bad) == status

    play(scenario)


@pytest.mark.parametrize(
    ("size", "limits"),
    [
        pytest.param(line(2_001), replace(DEFAULTS, request_line_bytes=2_000), id="line"),
        pytest.param(fields(2_001), replace(DEFAULTS, fields_bytes=2_000), id="fields"),
        pytest.param(fields(2_000, 21), replace(DEFAULTS, fields=20), id="number"),
        pytest.param(post(b"x" * 101), replace(DEFAULTS, body_bytes=100), id="body"),
    ],
)
def test_a_limit_of_size_is_a_setting(size: bytes, limits: object) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            assert await refused(connection, size) in {b"413", b"414", b"431"}

    play(scenario, limits)  # type: ignore[arg-type]  # a dataclass of one kind


HALF_CHUNK = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab"


@pytest.mark.parametrize("drips", [False, True], ids=["silence", "drip"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"G", id="line"),
        pytest.param(get("/ok")[:-2], id="head"),
        pytest.param(get("/ok") + b"GET /", id="second head"),
        pytest.param(post(b"x" * 100)[:-90], id="body"),
        pytest.param(HALF_CHUNK, id="chunk"),
    ],
)
def test_what_does_not_come_in_time(text: bytes, *, drips: bool) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.send(text)
            if text.startswith(get("/ok")):
                await connection.answer()
            dripping = asyncio.create_task(drip(connection)) if drips else None
            assert await refused(connection, b"") == b"408"
            if dripping is not None:
                dripping.cancel()

    async def drip(connection: Connection) -> None:
        for _ in range(1_000):
            connection.send(b"X")
            await moment(0.05)

    play(scenario, replace(DEFAULTS, head_s=SOON, body_s=SOON))


def test_a_reader_that_does_not_read_is_cut_off() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
            # Twenty megabytes of answers, in the order of requests that the server does not read.
            for _ in range(4_000):
                connection.send(get("/long"))
            while service.app.dispatcher.connections:
                await moment(0.05)
            assert service.server.server_state.total_requests < 4_000

    play(scenario, replace(DEFAULTS, write_s=SOON))


def test_a_stream_that_nobody_reads_ends_and_takes_little_memory() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as deaf, service.connected() as other:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can
            deaf.send(get("/framework/endless"))
            while len(service.app.dispatcher.connections) > 1:
                # Others are answered as ever meanwhile.
                assert (await other.asked(get("/ok")))[1] == b'{"a":1}'
                await moment(0.01)
            while not service.app.finished:
                await moment(0.01)
            # The kernel's buffers of both ends hold it; the handler waits.
            assert len(PIECE) < service.app.streamed_bytes < STREAMED_BYTES_MAX
            assert (await other.asked(get("/ok")))[1] == b'{"a":1}'

    play(scenario, replace(DEFAULTS, write_s=1.0))


def test_a_reader_that_is_slow_gets_all_of_it() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            for _ in range(400):
                connection.send(get("/long"))
            # Longer in all than one may take none of it.
            for _ in range(400):
                assert len((await connection.answer())[1]) == 5_000
                await moment(0.003)

    play(scenario, replace(DEFAULTS, write_s=1.0))


def test_a_connection_too_many_is_refused_and_the_others_stay() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as first, service.connected() as second:
            for one in (first, second):
                await one.asked(get("/ok"))
            async with service.connected() as third:
                head, body = await third.answer()
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after" in head
                assert b"connection: close" in head
                assert b"E003" in body
                assert await third.reader.read() == b""
            for one in (first, second):
                assert (await one.asked(get("/ok")))[1] == b'{"a":1}'
        while service.app.dispatcher.connections:
            await moment(0.01)
        async with service.connected() as fourth:
            assert (await fourth.asked(get("/ok")))[1] == b'{"a":1}'

    play(scenario, replace(DEFAULTS, connections=2))


def test_a_client_that_still_sends_reads_the_refusal() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            # Ten times what socket buffers hold: the server reads on, and drops it.
            for _ in range(100):
                connection.send(b"X-More: " + b"x" * 5_000)
            assert (await connection.answer())[0][9:12] in {b"400", b"414"}

    play(scenario)
