"""What `http/protocol.py` and `http/draining.py` rely on in uvicorn, with the shape relied on.

uvicorn's version is bounded in pyproject.toml. When a newer one fails here, compare what has moved
with protocol.py, draining.py and worker.py, and change both.
"""

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import Server, ServerState
from uvicorn.supervisors import Multiprocess, multiprocess

from waitline.http.protocol import Protocol
from waitline.http.server import UVICORN_OPTIONS

# Methods whose work ours relies on line by line: a digest of their source. One that differs is to
# be compared with ours, and then to be noted here.
SOURCES: dict[Callable[..., Any], str] = {
    Multiprocess.run: "306814569fbd547b",
    Multiprocess.init_processes: "6c69f2a36bf55750",
    Multiprocess.terminate_all: "6efef9523120f025",
    Multiprocess.keep_subprocess_alive: "3ba4980aa33bcecd",
    multiprocess.Process.terminate: "34bb463698e7c333",
    Server.capture_signals: "e1bbcd4770d1c887",
    Server.handle_exit: "553276efa26e09ea",
    Server.on_tick: "60ea49b06ccf68c1",
    Server.shutdown: "9b33c50562992b1e",
}


async def _app(_scope: Any, _receive: Any, _send: Any) -> None:  # noqa: ANN401 - ASGI
    raise AssertionError("no request comes")


def test_the_server_makes_a_connection_of_these() -> None:
    made = inspect.getsource(Server)
    for name in ("config=", "server_state=", "app_state=", "_loop="):
        assert name in made
        assert name.removesuffix("=") in inspect.signature(Protocol.__init__).parameters


def test_the_servers_state_is_what_ours_keeps_up() -> None:
    state = ServerState()
    assert isinstance(state.connections, set)
    assert isinstance(state.tasks, set)
    assert isinstance(state.default_headers, list)
    assert state.total_requests == 0


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


def test_a_future_can_be_awaited_without_a_task() -> None:
    # `HotExchange` does what asyncio.Task does with what a coroutine yields.
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
    given = {*UVICORN_OPTIONS, "factory", "workers", "backlog", "http"}
    given |= {"timeout_graceful_shutdown"}
    assert given <= set(inspect.signature(Config).parameters)
    assert list(inspect.signature(Multiprocess).parameters) == ["config", "sockets"]


def test_the_supervisor_makes_workers_of_the_class_that_its_module_names() -> None:
    # `DrainingWorkers` puts its own there.
    assert "= Process(self.config, self.sockets)" in inspect.getsource(Multiprocess.init_processes)
    assert "_server" in inspect.getsource(multiprocess.Process)


@pytest.mark.parametrize("function", SOURCES, ids=lambda function: function.__qualname__)
def test_what_ours_relies_on_has_not_changed(function: Callable[..., Any]) -> None:
    source = inspect.getsource(function).encode()
    assert hashlib.sha256(source).hexdigest()[:16] == SOURCES[function]
