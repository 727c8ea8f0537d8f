"""A doorman for tests: a store that tests may break, a queue service, visitors in every state."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

import httpx

from tests.processes import started
from tests.until import until_async
from waitline import settings as chosen
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import WaitlineError
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.model import Joined, Slot
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.store import Line
from waitline.services.booking.doorman import Doorman
from waitline.tokens.keyring_file import Keys
from waitline.tokens.passes import mint_pass
from waitline.tokens.tickets import mint_ticket
from waitline.trial import ValkeyServer
from waitline.valkey.client import ValkeyClient

# Seconds until the service answers, on a machine that runs other tests as well.
UP_S = 60.0

# Seconds for what takes well under one, on such a machine.
SOON_S = 20.0

ROOM = RoomId("r")
ELSEWHERE = RoomId("elsewhere")


class Tokens(NamedTuple):
    """Every token that a visitor could present."""

    ticket: str
    entry_pass: str
    earlier: str
    others: str
    elsewhere: str


@dataclass(frozen=True)
class House:
    """A store that tests may break, and a queue service on it."""

    settings: chosen.Settings
    valkey: ValkeyServer
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


@asynccontextmanager
async def door(house: House, settings: chosen.Settings) -> AsyncIterator["Scene"]:
    """Open a doorman's store, and run it."""
    store = ValkeyClient(house.valkey.url)
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

    def __init__(self, house: House, doorman: Doorman, store: ValkeyClient) -> None:
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
            ring,
            ROOM,
            visitor,
            place,
            joined_ms=joined_ms,
            admitted_ms=joined_ms,
            expires_ms=expires_ms,
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
        await until_async(lambda: self._is_admitted(visitor), SOON_S)
        if state == "EXPIRED":
            await until_async(lambda: self._is(visitor, "EXPIRED"), SOON_S)
        (slot,) = await self.line.validate(ROOM, [visitor])
        assert isinstance(slot, Slot)
        return slot

    async def _is_admitted(self, visitor: VisitorId) -> bool:
        await self.line.admit(ROOM, holder="", lease_ms=1, chunk_max=250)
        return isinstance((await self.line.validate(ROOM, [visitor]))[0], Slot)

    async def _is(self, visitor: VisitorId, state: str) -> bool:
        (slot,) = await self.line.validate(ROOM, [visitor])
        return isinstance(slot, Slot) and slot.state == state

    async def ask(self, token: str, name: str = "7") -> type[Exception] | None:
        """Return what the doorman refuses with, or `None` if it lets the visitor in."""
        try:
            await self.doorman.admit(ROOM, VisitorId(name), token)
        except WaitlineError as error:
            return type(error)
        return None

    async def lets_in(self, token: str) -> bool:
        return await self.ask(token) is None
