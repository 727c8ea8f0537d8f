"""Token checks of the box office: through Valkey, and through the queue service."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from tests.until import until_async
from tests.web.doorway import ROOM, SOON_S, House, door
from waitline import settings as chosen
from waitline.kernel.circuit_breaker import FAILURES_MAX
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import VisitorId
from waitline.queue.model import TimeRanOut, TokenRejected
from waitline.services.booking.doorman import ANSWER_BYTES_MAX, TIMEOUT_S
from waitline.services.identity import TokenMissing
from waitline.services.problems import PROBLEMS
from waitline.tokens.keyring_file import KeyringFile, Keys
from waitline.tokens.passes import mint_pass
from waitline.tokens.verification import TOKEN_MAX
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.valkey.client import CALL_TIMEOUT_S

WAYS = ["store", "service"]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wl-")))
        valkey = ValkeyServer(folder / "valkey")
        valkey.start()
        stack.callback(valkey.stop)
        port = free_port()
        settings = chosen.load(
            mode="trial",
            data_dir=folder,
            valkey_url=valkey.url,
            queue_port=port,
            queue_url=f"http://127.0.0.1:{port}",
        )
        keys = Keys(KeyringFile(settings.keys_file), SystemClock().now_ms())
        yield House(settings, valkey, keys)


@pytest.fixture(scope="module")
def served(house: House) -> Iterator[House]:
    with house.service():
        yield house


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("READY", None),
        ("ACTIVE", None),
        ("WAITING", TokenRejected),
        ("EXPIRED", TimeRanOut),
        ("NOT_FOUND", TokenRejected),
    ],
)
def test_who_is_inside_may_come_in(
    served: House, way: str, state: str, outcome: type[Refused] | None
) -> None:
    async def play() -> None:
        async with door(served, served.chosen(way)) as scene:
            tokens = await scene.visitor(state)
            assert await scene.ask(tokens.ticket) is outcome
            assert await scene.ask(tokens.entry_pass) is outcome
            for strange in (tokens.earlier, tokens.others, tokens.elsewhere):
                assert await scene.ask(strange) is TokenRejected
            for forged in ("garbage", "", tokens.ticket[:-1], "x" * (TOKEN_MAX + 1), "t1.ü.1.1.x"):
                assert await scene.ask(forged) is TokenRejected

    asyncio.run(play())


@pytest.mark.parametrize("state", ["READY", "WAITING", "EXPIRED", "NOT_FOUND"])
def test_a_proof_needs_the_visitors_own_token_and_nothing_else(house: House, state: str) -> None:
    async def play() -> None:
        async with door(house, house.chosen("store")) as scene:
            tokens, prove, visitor = await scene.visitor(state), scene.doorman.prove, VisitorId("7")
            ring = house.keys.current
            long_over = mint_pass(
                ring, ROOM, visitor, 1, joined_ms=900, admitted_ms=1_000, expires_ms=2_000
            )
            for good in (tokens.ticket, tokens.entry_pass, tokens.earlier, long_over):
                prove(ROOM, visitor, good)
            for bad in (tokens.others, tokens.elsewhere, "garbage", ""):
                with pytest.raises(TokenRejected):
                    prove(ROOM, visitor, bad)

    asyncio.run(play())


@pytest.mark.parametrize("way", WAYS)
def test_a_silent_store_is_answered_for_in_time_and_noticed_when_it_is_back(
    served: House, way: str
) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with door(served, served.chosen(way)) as scene:
            token = (await scene.visitor("READY")).ticket
            assert await scene.ask(token) is None
            served.silence()
            try:
                asked = 0
                for _ in range(FAILURES_MAX + 1):
                    started_s = loop.time()
                    assert await scene.ask(token) is Unavailable
                    took_s = loop.time() - started_s
                    # A machine that others use may stand still for a moment.
                    assert took_s < TIMEOUT_S + 2.0
                    asked += took_s >= TIMEOUT_S / 2
                assert asked <= FAILURES_MAX, "in the end nobody is made to wait"
                assert await scene.ask("garbage") is TokenRejected
            finally:
                served.wake()
            await until_async(lambda: scene.lets_in(token), SOON_S)

    asyncio.run(play())


@pytest.mark.parametrize("way", WAYS)
def test_a_box_office_that_stood_still_itself_does_not_blame_the_waiting_room(
    served: House, way: str
) -> None:
    async def play() -> None:
        async with door(served, served.chosen(way)) as scene:
            token = (await scene.visitor("READY")).ticket
            await until_async(lambda: scene.lets_in(token), SOON_S)
            served.silence()
            try:
                asked = [asyncio.create_task(scene.ask(token)) for _ in range(FAILURES_MAX + 1)]
                await asyncio.wait(asked, timeout=TIMEOUT_S / 10)
            finally:
                served.wake()
            # No callback is run meanwhile: every deadline is over when the answers are read.
            threading.Event().wait(TIMEOUT_S + CALL_TIMEOUT_S)
            assert set(await asyncio.gather(*asked)) == {None}

    # Of the services' own loop, whose timers come before what can be read.
    uvloop.run(play())


def test_a_queue_service_that_died_is_answered_for_and_noticed_when_it_is_back(
    house: House,
) -> None:
    async def play() -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        moved = replace(
            house, settings=house.settings.model_copy(update={"queue_port": port, "queue_url": url})
        )
        async with door(moved, moved.chosen("service")) as scene:
            token = (await scene.visitor("READY")).ticket
            for _ in range(2):
                with moved.service():
                    await until_async(lambda: scene.lets_in(token), SOON_S)
                for _ in range(FAILURES_MAX + 1):
                    assert await scene.ask(token) is Unavailable

    asyncio.run(play())


def test_silence_and_refusals_are_problems_of_the_contract() -> None:
    found = [PROBLEMS.lookup(error) for error in (Unavailable(), TokenMissing(), TimeRanOut())]
    assert [(problem.status, problem.code.code) for problem in found] == [
        (503, "E003"),
        (401, "C002"),
        (401, "Q002"),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_an_unexpired_pass_admits_during_an_outage_if_so_configured(house: House, way: str) -> None:
    async def play() -> None:
        async with door(house, house.chosen(way, queue_down="admit")) as scene:
            waiting, ready = await scene.visitor("WAITING", "8"), await scene.visitor("READY")
            visitor, ring = VisitorId("7"), house.keys.current
            over = mint_pass(
                ring, ROOM, visitor, 2, joined_ms=900, admitted_ms=1_000, expires_ms=2_000
            )
            house.silence()
            try:
                for _ in range(FAILURES_MAX + 1):
                    assert await scene.ask(ready.entry_pass) is None
                assert await scene.ask(waiting.ticket, "8") is Unavailable
                assert await scene.ask(over) is Unavailable
                assert await scene.ask(ready.others) is TokenRejected
                assert await scene.ask("garbage") is TokenRejected
            finally:
                house.wake()

    asyncio.run(play())


def test_concurrent_checks_share_a_batch(house: House) -> None:
    async def play() -> None:
        async with door(house, house.chosen("store")) as scene:
            names = [str(number) for number in range(200)]
            tokens = {name: (await scene.visitor("READY", name)).ticket for name in names}
            await scene.store.command("CONFIG", "RESETSTAT")
            asked = [scene.ask(token, name) for name, token in tokens.items()]
            assert set(await asyncio.gather(*asked)) == {None}
            stats = str(await scene.store.command("INFO", "commandstats"))
            (calls,) = [line for line in stats.splitlines() if "cmdstat_evalsha:" in line]
            assert int(calls.partition("calls=")[2].partition(",")[0]) <= 10

    asyncio.run(play())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", id="fails"),
        pytest.param(
            b'HTTP/1.1 404 No\r\nContent-Length: 15\r\n\r\n{"code":"C004"}', id="is another service"
        ),
        pytest.param(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n[]", id="answers nonsense"),
        pytest.param(
            b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            id="sends elsewhere",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * (ANSWER_BYTES_MAX + 1),
            id="does not stop",
        ),
        pytest.param(b"what?\r\n\r\n", id="speaks no HTTP"),
        pytest.param(b"", id="hangs up"),
    ],
)
def test_a_strange_answer_of_the_service_is_none(house: House, answer: bytes) -> None:
    async def play() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = house.chosen("service", queue_url=f"http://127.0.0.1:{port}")
        async with server, door(house, settings) as scene:
            token = (await scene.visitor("READY")).ticket
            assert await scene.ask(token) is Unavailable

    asyncio.run(play())


def test_a_client_that_disconnects_is_no_timeout_to_the_circuit_breaker(served: House) -> None:
    async def play() -> None:
        async with door(served, served.chosen("store")) as scene:
            token = (await scene.visitor("READY")).ticket
            served.silence()
            try:
                for _ in range(2 * FAILURES_MAX):
                    asking = asyncio.create_task(scene.ask(token))
                    await asyncio.wait([asking], timeout=0.01)
                    asking.cancel()
                    with suppress(asyncio.CancelledError):
                        await asking
            finally:
                served.wake()
            assert await scene.ask(token) is None

    asyncio.run(play())
