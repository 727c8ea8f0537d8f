"""One connection: hot calls and the framework's on it, in order, and how it ends."""

import gc

import pytest

from tests.edge.server import ANSWERS, Service, get, moment, play, post
from waitline.http.limits import EdgeLimits
from waitline.http.protocol import Protocol


@pytest.mark.parametrize("name", ANSWERS)
def test_both_ways_send_the_same(name: str) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            ours = [await connection.asked(get(f"/{name}")) for _ in range(2)]
            assert service.app.by_framework == 0
            theirs = await connection.asked(get(f"/framework/{name}"))
            assert service.app.by_framework == 1
            assert ours == [theirs, theirs]
            assert theirs[1] == ANSWERS[name].body

    play(scenario)


@pytest.mark.parametrize("path", ["/ok", "/nothing"], ids=["hot", "the framework's"])
def test_a_closed_connection_leaves_nothing_to_collect(path: str) -> None:
    def there() -> int:
        return sum(type(one) is Protocol for one in gc.get_objects())

    async def scenario(service: Service) -> None:
        for _ in range(3):
            async with service.connected() as connection:
                await connection.asked(get(path))
                assert there() == 1
            while there():
                await moment(0.001)

    gc.collect()
    gc.disable()
    try:
        play(scenario)
    finally:
        gc.enable()


UNUSUAL = {
    "closing": get("/ok", "Connection: close"),
    "1.0": get("/ok", version="1.0"),
    "1.0 kept": get("/ok", "Connection: keep-alive", version="1.0"),
    "upgrade": get("/ok", "Connection: Upgrade", "Upgrade: h2c"),
    "head": get("/ok").replace(b"GET", b"HEAD"),
    "escaped": get("/rooms/%ED%91%9C/now"),
    "raw": get("/rooms/표/now".encode().decode("latin-1")),
    "unknown": get("/nothing"),
    "not text": get("/r\xf6oms/a/now"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_means_the_same(name: str) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.send(UNUSUAL[name])
            head = await connection.reader.readuntil(b"\r\n\r\n")
            expected = {"unknown": b"404", "not text": b"400"}.get(name, b"200")
            assert head.startswith(b"HTTP/1.1 " + expected)
            assert (b"connection: close" in head) is (name in {"closing", "1.0", "not text"})
            assert (b"connection: keep-alive" in head) is (name == "1.0 kept")
            assert service.app.by_framework == (name == "unknown")
            if name in {"escaped", "raw"}:
                assert await connection.reader.read(100) == "/rooms/표/now".encode()

    play(scenario)


def test_expect_100_continue_is_answered() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            request = post(b"abc", "Expect: 100-continue")
            connection.send(request[:-3])
            assert (await connection.answer())[0].startswith(b"HTTP/1.1 100 ")
            connection.send(b"abc")
            assert (await connection.answer())[1] == b"abc"

    play(scenario)


@pytest.mark.parametrize("piece", [pytest.param(1, id="bytes"), pytest.param(7, id="sevens")])
def test_a_request_may_come_in_pieces(piece: int) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            text = post(b'{"a": "long enough to be cut"}') + get("/rooms/a/now") + get("/ok")
            for start in range(0, len(text), piece):
                connection.send(text[start : start + piece])
                await connection.writer.drain()
            bodies = [(await connection.answer())[1] for _ in range(3)]
            assert bodies == [b'{"a": "long enough to be cut"}', b"/rooms/a/now", b'{"a":1}']

    play(scenario)


def test_requests_sent_ahead_are_answered_in_order() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection, service.connected() as other:
            connection.send(get("/slow?1") + get("/ok") + post(b"third") + get("/slow?4"))
            # By then all four have come, and the first still waits.
            assert (await other.asked(get("/ok")))[1] == b'{"a":1}'
            service.app.opened.set()
            bodies = [(await connection.answer())[1] for _ in range(4)]
            assert bodies == [b"1", b'{"a":1}', b"third", b"4"]
            # And the connection goes on as if nothing had been.
            assert (await connection.asked(get("/ok")))[1] == b'{"a":1}'

    play(scenario)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/broken", b"500"),
        ("/now/broken", b"500"),
        ("/cancelled", b"503"),
        ("/tasks/broken", b"500"),
        ("/tasks/cancelled", b"503"),
        ("/tasks/fine", b"200"),
    ],
)
def test_a_handler_that_fails_is_answered_for(path: str, status: bytes) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            head, _ = await connection.asked(get(path))
            assert head.startswith(b"HTTP/1.1 " + status)
            assert (await connection.asked(get("/ok")))[1] == b'{"a":1}'
        assert service.app.by_framework == 0

    play(scenario)


def test_a_call_in_progress_completes_after_the_client_disconnects() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as leaver:
            leaver.send(get("/slow"))
            async with service.connected() as other:
                assert (await other.asked(get("/ok")))[1] == b'{"a":1}'
        service.app.opened.set()
        async with service.connected() as other:
            assert (await other.asked(get("/slow?me")))[1] == b"me"
        assert service.app.finished == 2
        while service.app.dispatcher.connections:
            await moment(0.01)

    play(scenario)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="silent"),
        pytest.param(get("/ok")[:-5], id="half a request"),
        pytest.param(get("/ok"), id="idle"),
        pytest.param(get("/nothing"), id="idle after the framework"),
    ],
)
def test_a_connection_that_is_not_used_is_closed(text: bytes) -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as connection:
            connection.send(text)
            status = {b"": b"", get("/nothing"): b"404", get("/ok"): b"200"}.get(text, b"408")
            assert (await connection.reader.read())[9:12] == status

    play(scenario, EdgeLimits(keep_alive_s=0.1, head_s=0.1))


def test_a_connection_on_which_an_answer_is_awaited_stays() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as waiting:
            waiting.send(get("/slow?patient"))
            # Several times as long as a connection may be idle.
            for _ in range(3):
                async with service.connected() as idle:
                    assert await idle.reader.read() == b""
            service.app.opened.set()
            assert (await waiting.answer())[1] == b"patient"

    play(scenario, EdgeLimits(keep_alive_s=0.1, head_s=0.1))


def test_a_stop_waits_for_what_is_under_way_and_then_closes() -> None:
    async def scenario(service: Service) -> None:
        async with service.connected() as idle, service.connected() as waiting:
            assert (await idle.asked(get("/ok")))[1] == b'{"a":1}'
            waiting.send(get("/slow?last"))
            assert (await idle.asked(get("/ok")))[1] == b'{"a":1}'
            service.server.should_exit = True
            assert await idle.reader.read() == b""
            service.app.opened.set()
            assert (await waiting.answer())[1] == b"last"
            assert await waiting.reader.read() == b""

    play(scenario)
