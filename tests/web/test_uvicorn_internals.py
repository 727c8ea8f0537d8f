"""uvicorn's internals that `http/protocol.py` extends or reads, each with the shape relied on.

uvicorn's version is bounded in pyproject.toml. When a newer one fails here, compare what has moved
with protocol.py, and change both.
"""

import ast
import asyncio
import hashlib
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools
import pytest
import uvicorn
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import Server, ServerState

from waitline.http import protocol
from waitline.http.protocol import Protocol
from waitline.http.server import UVICORN_OPTIONS

# Methods that ours override: their parameters after `self`.
OVERRIDDEN = {
    "_unset_keepalive_if_required": [],
    "connection_lost": ["exc"],
    "connection_made": ["transport"],
    "on_body": ["body"],
    "on_headers_complete": [],
    "on_message_begin": [],
    "on_message_complete": [],
    "on_response_complete": [],
    "timeout_keep_alive_handler": [],
}

# What ours read or set of uvicorn's object, with its type before the first request.
READ: dict[str, type] = {
    "app": object,
    "cycle": type(None),
    "expect_100_continue": bool,
    "flow": FlowControl,
    "headers": type(None),
    "loop": asyncio.AbstractEventLoop,
    "parser": httptools.HttpRequestParser,
    "pipeline": deque,
    "scope": type(None),
    "server_state": ServerState,
    "tasks": set,
    "timeout_keep_alive": int,
    "timeout_keep_alive_task": asyncio.TimerHandle,
    "transport": asyncio.Transport,
}
CALLED = {"_start_asgi_task": ["cycle", "app"]}
# Set by uvicorn in `on_message_begin`, so ours sets it there too.
SET_PER_REQUEST = {"url"}

# Methods whose work ours repeats or relies on line by line: a digest of their source. One that
# differs is to be compared with ours, and then to be noted here.
SOURCES: dict[Callable[..., Any], str] = {
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
    HttpToolsProtocol.shutdown: "d7351fa33f00d430",
    HttpToolsProtocol.timeout_keep_alive_handler: "8b53bf5f2e202970",
    Server.capture_signals: "e1bbcd4770d1c887",
    Server.on_tick: "60ea49b06ccf68c1",
}


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.paused: list[bool] = []

    @override
    def pause_reading(self) -> None:
        self.paused.append(True)

    @override
    def resume_reading(self) -> None:
        self.paused.append(False)


async def _app(_scope: Any, _receive: Any, _send: Any) -> None:  # noqa: ANN401 - ASGI
    raise AssertionError("no request comes")


def connected() -> HttpToolsProtocol:
    """A connection of uvicorn's own class, before its first request."""
    config = Config(_app, **{**UVICORN_OPTIONS, "lifespan": "off"})
    made = HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    made.connection_made(Transport())
    made.timeout_keep_alive_task = asyncio.get_running_loop().call_later(60, _nothing)
    return made


def _nothing() -> None:
    pass


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)[1:]


def test_the_methods_overridden_are_those_listed() -> None:
    ours = {name for name, value in vars(Protocol).items() if inspect.isfunction(value)}
    theirs = {name for name, _ in inspect.getmembers(HttpToolsProtocol, inspect.isfunction)}
    assert ours & theirs == set(OVERRIDDEN)


@pytest.mark.parametrize(("name", "expected"), (OVERRIDDEN | CALLED).items())
def test_a_method_takes_the_parameters_that_ours_passes(name: str, expected: list[str]) -> None:
    assert parameters(getattr(HttpToolsProtocol, name)) == expected


def test_the_attributes_used_are_those_listed() -> None:
    tree = ast.parse(inspect.getsource(protocol))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"self", "protocol"}
    }
    # Those of `Exchange`, and what `Protocol` adds to uvicorn's.
    own = set(protocol.Exchange.__slots__) | set(vars(protocol.Exchange)) | set(vars(Protocol))
    own |= {"dispatcher", "_idle_since_s"}
    assert used - own == set(READ) | set(CALLED) | SET_PER_REQUEST


@pytest.mark.parametrize(("name", "kind"), READ.items())
def test_an_attribute_is_there_and_of_its_type(name: str, kind: type) -> None:
    async def run() -> None:
        assert isinstance(getattr(connected(), name), kind)

    asyncio.run(run())


def test_the_parser_answers_what_ours_asks() -> None:
    class Callbacks:
        def on_headers_complete(self) -> None:
            self.found = (
                parser.get_method(),
                parser.get_http_version(),
                parser.should_keep_alive(),
                parser.should_upgrade(),
            )

    callbacks = Callbacks()
    parser = httptools.HttpRequestParser(callbacks)
    parser.feed_data(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert callbacks.found == (b"GET", "1.1", True, False)


def test_flow_control_says_whether_writing_is_paused_and_resumes_reading() -> None:
    async def run() -> None:
        transport = Transport()
        flow = FlowControl(transport)
        assert flow.write_paused is False
        flow.pause_writing()
        assert flow.write_paused is True
        flow.resume_reading()
        flow.pause_reading()
        flow.resume_reading()
        assert transport.paused == [True, False]

    asyncio.run(run())


def test_status_lines_end_where_headers_begin() -> None:
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert STATUS_LINE[404] == b"HTTP/1.1 404 Not Found\r\n"
    assert set(range(100, 600)) <= set(STATUS_LINE)


def test_the_servers_headers_are_another_list_each_second() -> None:
    # `ResponsePacker` keeps the bytes of a head for as long as the list is the same object.
    async def run() -> None:
        server = Server(Config(_app))
        await server.on_tick(0)
        first = server.server_state.default_headers
        await server.on_tick(1)
        assert server.server_state.default_headers is first
        await server.on_tick(10)
        assert server.server_state.default_headers is not first
        assert [name for name, _ in first] == [b"date"]

    asyncio.run(run())


def test_a_request_under_way_has_what_uvicorn_reads_of_it() -> None:
    # `Exchange` stands in for uvicorn's cycle until its response is complete.
    cycle = inspect.getsource(RequestResponseCycle.__init__)
    for name in ("keep_alive", "response_complete"):
        assert f"self.{name}" in cycle
        assert name in protocol.Exchange.__slots__


def test_a_future_can_be_awaited_without_a_task() -> None:
    # `Exchange` does what asyncio.Task does with what a coroutine yields.
    async def wait(future: "asyncio.Future[int]") -> int:
        return await future

    async def run() -> None:
        future = asyncio.get_running_loop().create_future()
        coroutine = wait(future)
        yielded = coroutine.send(None)
        assert yielded is future
        assert yielded._asyncio_future_blocking is True  # noqa: SLF001 - as asyncio.Task does
        yielded._asyncio_future_blocking = False  # noqa: SLF001
        future.set_result(7)
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert end.value.value == 7

    asyncio.run(run())


def test_uvicorn_takes_the_options_that_are_given() -> None:
    given = {*UVICORN_OPTIONS, "factory", "host", "port", "workers", "backlog", "http"}
    given |= {"timeout_keep_alive", "timeout_graceful_shutdown"}
    assert given <= set(inspect.signature(uvicorn.run).parameters)


@pytest.mark.parametrize("function", SOURCES, ids=lambda function: function.__qualname__)
def test_what_ours_repeats_has_not_changed(function: Callable[..., Any]) -> None:
    source = inspect.getsource(function).encode()
    assert hashlib.sha256(source).hexdigest()[:16] == SOURCES[function]
