"""Expiry of certificates, read from real TLS servers, also one that begins like PostgreSQL."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.faults import certificates as made
from waitline.kernel.clock import SystemClock
from waitline.kernel.process_metrics import FigureGuard
from waitline.services.certificates import Certificates, TlsEndpoint, of_addresses, of_database

DAY_S = 86_400


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (None, []),
        ("https://queue.example", ["queue.example:443"]),
        ("https://a.example:8443/queue, https://[::1]:9", ["a.example:8443", "[::1]:9"]),
    ],
)
def test_public_addresses(addresses: str | None, names: list[str]) -> None:
    assert [one.name for one in of_addresses(addresses)] == names


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://u:p@db.example/x", ["db.example:5432"]),
        ("postgresql://u@a:5,b:6/x?sslmode=require", ["a:5", "b:6"]),
        ("postgresql://u@a/x?sslmode=disable", []),
        ("postgresql:///x?host=/run/postgresql", []),
        ("postgresql:///x?host=db.example", ["db.example:5432"]),
    ],
)
def test_hosts_of_a_database(url: str, names: list[str]) -> None:
    assert [one.name for one in of_database(url)] == names


@asynccontextmanager
async def serving(folder: Path, *, postgres: bool, answer: bytes = b"S") -> AsyncIterator[int]:
    files = made.made(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if postgres:
            assert await reader.readexactly(8) == bytes.fromhex("0000000804d2162f")
            writer.write(answer)
            if answer == b"S":
                await writer.start_tls(context)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if postgres else context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shown(watched: Certificates) -> dict[str, float]:
    await watched.check()
    (family,) = await watched.collect()
    return {labels[0]: value for labels, value in family.values}


@pytest.mark.parametrize("plain", [False, True], ids=["public", "PostgreSQL"])
def test_the_expiry_of_a_certificate_that_nobody_trusts(tmp_path: Path, plain: bool) -> None:  # noqa: FBT001
    async def play() -> None:
        async with serving(tmp_path, postgres=plain) as port:
            endpoint = TlsEndpoint("127.0.0.1", port, plain)
            watched = Certificates([endpoint], FigureGuard())
            (expiry_s,) = (await shown(watched)).values()
            left_s = expiry_s - SystemClock().now_ms() / 1000
            assert left_s == pytest.approx(DAY_S, abs=60)
        # While it does not answer, the last expiry stays.
        with capture_logs() as logged:
            assert await shown(watched) == {endpoint.name: expiry_s}
        (line,) = logged
        assert (line["event"], line["figure"]) == ("metric_failed", "certificates")
        assert endpoint.name in line["reason"]

    asyncio.run(play())


def test_a_database_without_tls_has_none(tmp_path: Path) -> None:
    async def play() -> None:
        async with serving(tmp_path, postgres=True, answer=b"N") as port:
            watched = Certificates([TlsEndpoint("127.0.0.1", port, postgres=True)], FigureGuard())
            with capture_logs() as logged:
                assert await shown(watched) == {}
            assert logged == []

    asyncio.run(play())


def test_a_server_without_tls_is_a_failure() -> None:
    async def play() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            watched = Certificates([TlsEndpoint("127.0.0.1", port, postgres=False)], FigureGuard())
            with capture_logs() as logged:
                assert await shown(watched) == {}
            assert [one["event"] for one in logged] == ["metric_failed"]

    asyncio.run(play())
