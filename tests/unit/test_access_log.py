"""The access log: which requests, how many, and how its lines look."""

import asyncio
import json
import os
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from tests.until import until_async
from waitline.http import access_log
from waitline.http.access_log import LINES_PER_S, AccessLog
from waitline.kernel.log_stream import PIECE_BYTES, LogStream


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 1_700_000_000_123

    def now_ms(self) -> int:
        return self.at_ms


class Pipe:
    """A log of a worker, and what its reader gets."""

    def __init__(self, share: float, *, text: bool = False) -> None:
        self._reader, self._writer = os.pipe()
        self.clock = Clock()
        self.log = AccessLog(
            LogStream(self._writer),
            share,
            self.clock,
            text=text,
            rng=random.Random(1),  # noqa: S311 - a sample
        )

    def record(self, count: int, status: int = 200, request_id: str | None = None) -> None:
        for _ in range(count):
            self.log.record(
                "GET", "/a/{b}", status, 0.0123456, request_id=request_id, trace_id=None
            )

    def read(self) -> list[str]:
        self.log.flush()
        os.close(self._writer)
        with os.fdopen(self._reader, encoding="ascii") as reader:
            return reader.read().splitlines()


def on_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_line_names_the_route_and_no_more() -> None:
    async def work() -> None:
        pipe = Pipe(1.0)
        pipe.record(1, 201, "an-id")
        pipe.record(1)
        first, second = map(json.loads, pipe.read())
        assert first == {
            "event": "request_answered",
            "level": "info",
            "timestamp": "2023-11-14T22:13:20.123Z",
            "method": "GET",
            "route": "/a/{b}",
            "status": 201,
            "ms": 12.35,
            "request_id": "an-id",
        }
        assert "request_id" not in second

    on_loop(work())


def test_as_text() -> None:
    async def work() -> None:
        pipe = Pipe(1.0, text=True)
        pipe.record(1)
        (line,) = pipe.read()
        assert line == (
            "2023-11-14T22:13:20.123Z [info] request_answered method=GET route=/a/{b} status=200 "
            "ms=12.35"
        )

    on_loop(work())


def test_a_share_is_a_sample_with_every_server_error() -> None:
    async def work() -> None:
        pipe = Pipe(0.1)
        pipe.record(1_000)
        pipe.record(20, 503)
        statuses = [json.loads(line)["status"] for line in pipe.read()]
        assert statuses.count(503) == 20
        assert 60 < statuses.count(200) < 140

    on_loop(work())


def test_the_lines_of_a_second_are_limited_and_the_rest_is_counted() -> None:
    async def work() -> None:
        pipe = Pipe(1.0)
        with capture_logs() as logs:
            pipe.record(LINES_PER_S + 7)
            pipe.clock.at_ms += 1_000
            assert not logs
            pipe.record(1)
        assert logs == [
            {
                "event": "log_limited",
                "log_level": "warning",
                "kind": "request_answered",
                "left_out": 7,
            }
        ]

    on_loop(work())


def test_lines_are_written_whole_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write is one that a pipe takes whole, so lines of two processes do not mix."""
    written: list[str] = []

    class Stream(LogStream):
        @override
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    async def work() -> None:
        monkeypatch.setattr(access_log, "FLUSH_S", 0.001)
        log = AccessLog(Stream(), 1.0, Clock(), text=False, rng=random.Random(1))  # noqa: S311
        for _ in range(100):
            log.record("GET", "/a/{b}", 200, 0.01, request_id=None, trace_id=None)
        assert not written
        await until_async(lambda: bool(written), 15.0, "they are written")
        assert sum(text.count("\n") for text in written) == 100
        assert all(len(text) <= PIECE_BYTES and text.endswith("\n") for text in written)
        assert len(written) < 10

    on_loop(work())
