"""Whom the box office lets in: by way of the store, and by way of the queue service."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.processes import free_port, started
from waitline import settings as chosen
from waitline.clock import SystemClock
from waitline.embedded import Valkey as EmbeddedValkey
from waitline.errors import Refused, Unavailable, WaitlineError
from waitline.ids import RoomId, VisitorId
from waitline.keyring import KeyringFile, Keys
from waitline.lua import Valkey
from waitline.passes import TOKEN_MAX, mint_pass, mint_ticket
from waitline.queue.model import Joined, Rules, Slot, TimeRanOut, TokenRejected
from waitline.queue.rooms import Rooms
from waitline.queue.store import Line
from waitline.web import problems
from waitline.web.booking.breaker import FAILURES_MAX
from waitline.web.booking.doorman import ANSWER_BYTES_MAX, TIMEOUT_S, Doorman
from waitline.web.problems import TokenMissing

# Seconds until the service answers, on a machine that runs other tests as well.
UP_S = 60.0

# Seconds for what takes well under one, on such a machine.
SOON_S = 20.0

ROOM = RoomId("r")
ELSEWHERE = RoomId("elsewhere")

WAYS = ["store", "service"]


class Tokens(NamedTuple):
    """Every token that a visitor could show."""

    ticket: str
    entry_pass: str
    earlier: str
    others: str
    elsewhere: str


@dataclass(frozen=True)
class House:
    """A store that the tests may hurt, and a queue service on it."""

    settings: chosen.Settings
    valkey: EmbeddedValkey
    keys: Keys

    def silence(self) -> None:
        os.kill(self.valkey.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.valkey.pid, signal.SIGCONT)

    @contextmanager
    def service(self) -> Iterator[None]:
        """Run the queue service."""
        url = f"{self.settings.queue_url}/actuator/health/readiness"

        def ready() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(url, timeout=SOON_S).status_code == HTTPStatus.OK
            return False

        words = ["queue", "--queue-port", self.settings.queue_port, "--workers", 1]
        words += ["--data-dir", self.settings.data_dir, "--valkey-url", self.valkey.url]
        argv = [sys.executable, "-m", "waitline", *map(str, words), "--mode", "trial"]
        with started(argv, {}, ready, UP_S):
            yield

    def chosen(self, way: str, **choice: object) -> chosen.Settings:
        queue_url = self.settings.queue_url if way == "service" else None
        return self.settings.model_copy(update={"queue_url": queue_url, **choice})


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wl-")))
        valkey = EmbeddedValkey(folder / "valkey")
        valkey.start()
        stack.callback(valkey.stop)
        port = free_port()
        settings = chosen.read(
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


@asynccontextmanager
async def door(house: House, settings: chosen.Settings) -> AsyncIterator["Scene"]:
    """Open a doorman's store, and run it."""
    store = Valkey(house.valkey.url)
    doorman = Doorman.of(settings, house.keys, store, SystemClock())
    running = asyncio.create_task(doorman.run())
    scene = Scene(house, doorman, store)
    await scene.rooms.ensure(ROOM, Rules().changed({"admit_burst": 1_000, "admit_per_s": 1_000}))
    await scene.rooms.reset(ROOM)
    try:
        yield scene
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await store.close()


class Scene:
    """A doorman, and the line that its visitors come from."""

    def __init__(self, house: House, doorman: Doorman, store: Valkey) -> None:
        self.house = house
        self.doorman = doorman
        self.store = store
        self.line = Line(store)
        self.rooms = Rooms(store)

    async def visitor(self, state: str, name: str = "7") -> Tokens:
        """Bring a visitor into a state."""
        visitor = VisitorId(name)
        earlier = await self._join(visitor)
        await self.line.leave(ROOM, [(visitor, 0)])
        joined = await self._join(visitor)
        ring = self.house.keys.current
        place, joined_ms = joined.place, joined.joined_ms
        expires_ms = SystemClock().now_ms() + 60_000
        if state in ("READY", "ACTIVE", "EXPIRED"):
            expires_ms = (await self._admit(visitor, state)).expires_ms
        if state == "ACTIVE":
            await self.line.activate(ROOM, [(visitor, 0)])
        if state == "NOT_FOUND":
            await self.line.leave(ROOM, [(visitor, 0)])
        entry_pass = mint_pass(
            ring, ROOM, visitor, place, admitted_ms=joined_ms, expires_ms=expires_ms
        )
        return Tokens(
            ticket=mint_ticket(ring, ROOM, visitor, place, joined_ms),
            entry_pass=entry_pass,
            earlier=mint_ticket(ring, ROOM, visitor, earlier.place, earlier.joined_ms),
            others=mint_ticket(ring, ROOM, VisitorId("8"), place, joined_ms),
            elsewhere=mint_ticket(ring, ELSEWHERE, visitor, place, joined_ms),
        )

    async def _join(self, visitor: VisitorId) -> Joined:
        (joined,) = await self.line.join(ROOM, [visitor])
        assert isinstance(joined, Joined)
        return joined

    async def _admit(self, visitor: VisitorId, state: str) -> Slot:
        ready_ttl_ms = 10 if state == "EXPIRED" else 60_000
        await self.rooms.change(ROOM, {"ready_ttl_ms": ready_ttl_ms})
        await until(lambda: self._is_admitted(visitor))
        if state == "EXPIRED":
            await until(lambda: self._is(visitor, "EXPIRED"))
        (slot,) = await self.line.validate(ROOM, [visitor])
        assert isinstance(slot, Slot)
        return slot

    async def _is_admitted(self, visitor: VisitorId) -> bool:
        await self.line.admit(ROOM, holder="", lease_ms=1, chunk_max=250)
        return isinstance((await self.line.validate(ROOM, [visitor]))[0], Slot)

    async def _is(self, visitor: VisitorId, state: str) -> bool:
        (slot,) = await self.line.validate(ROOM, [visitor])
        return isinstance(slot, Slot) and slot.state == state

    async def ask(self, token: str | None, name: str = "7") -> type[Exception] | None:
        """Return what the doorman refuses with, or `None` if it lets the visitor in."""
        try:
            await self.doorman.admit(ROOM, VisitorId(name), token)
        except WaitlineError as error:
            return type(error)
        return None

    async def lets_in(self, token: str) -> bool:
        return await self.ask(token) is None


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    async with asyncio.timeout(SOON_S):
        while not await condition():
            pass


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
            assert await scene.ask(None) is TokenMissing
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
            long_over = mint_pass(ring, ROOM, visitor, 1, admitted_ms=1_000, expires_ms=2_000)
            for good in (tokens.ticket, tokens.entry_pass, tokens.earlier, long_over):
                prove(ROOM, visitor, good)
            for bad in (tokens.others, tokens.elsewhere, "garbage", ""):
                with pytest.raises(TokenRejected):
                    prove(ROOM, visitor, bad)
            with pytest.raises(TokenMissing):
                prove(ROOM, visitor, None)

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
            await until(lambda: scene.lets_in(token))

    asyncio.run(play())


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
                    await until(lambda: scene.lets_in(token))
                for _ in range(FAILURES_MAX + 1):
                    assert await scene.ask(token) is Unavailable

    asyncio.run(play())


def test_silence_and_refusals_are_problems_of_the_contract() -> None:
    found = [problems.find(error) for error in (Unavailable(), TokenMissing(), TimeRanOut())]
    assert [(problem.status, problem.code) for problem in found] == [
        (503, "E003"),
        (401, "C002"),
        (401, "Q002"),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_who_was_let_in_before_may_come_in_unasked_where_that_was_chosen(
    house: House, way: str
) -> None:
    async def play() -> None:
        async with door(house, house.chosen(way, queue_down="admit")) as scene:
            waiting, ready = await scene.visitor("WAITING", "8"), await scene.visitor("READY")
            visitor, ring = VisitorId("7"), house.keys.current
            over = mint_pass(ring, ROOM, visitor, 2, admitted_ms=1_000, expires_ms=2_000)
            house.silence()
            try:
                for _ in range(FAILURES_MAX + 1):
                    assert await scene.ask(ready.entry_pass) is None
                assert await scene.ask(waiting.ticket, "8") is Unavailable
                assert await scene.ask(over) is Unavailable
                assert await scene.ask(ready.others) is TokenRejected
                assert await scene.ask("garbage") is TokenRejected
                assert await scene.ask(None) is TokenMissing
            finally:
                house.wake()

    asyncio.run(play())


def test_who_asks_at_the_same_moment_is_asked_for_at_once(house: House) -> None:
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


def test_who_goes_away_while_it_is_asked_about_is_no_silence(served: House) -> None:
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
