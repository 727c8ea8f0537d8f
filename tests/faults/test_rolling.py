"""Rolling restart of everything under load: no request fails.

Behind nginx, which repeats what an instance has refused; and behind a balancer that repeats nothing
and learns late who has stopped, where requests do fail unless instances drain.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests import nginx
from tests.faults.balancer import LOOK_S, Balancer
from tests.faults.crowd import Caller, CutOffError, Request, enter, named, paused
from tests.faults.fleet import Fleet, Instance, fleet, outputs_shown
from tests.faults.journeys import PATIENT, PAUSED, ROOM, Shoppers
from tests.faults.stack import START_S, snapshot
from tests.until import until, until_async
from waitline.kernel.ids import RoomId
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port

pytestmark = [nginx.needed, pytest.mark.long]

# More seats than can be sold in the time.
SECTIONS, SEATS = 50, 100

# Journeys that must come through after each restart.
MORE = 20

# Visitors at once behind the balancer that repeats nothing, and seconds between two requests.
CALLERS, REST_S = 8, 0.02


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    with fleet() as started:
        started.put_on_sale(SECTIONS, SEATS)
        yield started


def test_every_process_is_restarted_in_turn_and_no_request_fails(running: Fleet) -> None:
    shoppers = Shoppers(running.port, running.schedule, running.sections)

    async def roll() -> None:
        async with shoppers.shopping():
            await shoppers.more(MORE, START_S)
            for instance in running.instances:
                await asyncio.to_thread(instance.restart)
                await shoppers.more(MORE, START_S)

    with outputs_shown(running):
        asyncio.run(roll())
    assert shoppers.failures == []
    # Each stream ended at least once with its instance.
    assert shoppers.streams["come again"] >= PATIENT
    compare(running, shoppers)


@pytest.mark.parametrize("drain_s", [0, 3])
def test_a_balancer_that_repeats_nothing_needs_instances_that_drain(
    tmp_path: Path, drain_s: int
) -> None:
    """It learns within a second who is not ready. The control: without draining requests fail."""
    assert LOOK_S < 3
    # pytest's own temporary folders are too deep for a socket.
    with tempfile.TemporaryDirectory(prefix="wl-") as folder, ExitStack() as stack:
        valkey = ValkeyServer(Path(folder))
        valkey.start()
        stack.callback(valkey.stop)
        instances = []
        for number in range(2):
            port = free_port()
            env = {
                "WAITLINE_MODE": "trial",
                "WAITLINE_VALKEY_URL": valkey.url,
                "WAITLINE_DATA_DIR": str(tmp_path / str(number)),
                "WAITLINE_QUEUE_PORT": str(port),
                "WAITLINE_WORKERS": str(1 + number),
                "WAITLINE_DRAIN_S": str(drain_s),
            }
            instances.append(Instance("queue", number, env, port))
            stack.callback(instances[-1].close)
            instances[-1].start()
        pollers = asyncio.run(roll_behind_a_balancer(instances))
    print(f"drain {drain_s} s: {pollers.answers} answers, {len(pollers.failures)} failures")  # noqa: T201
    assert bool(pollers.failures) is (drain_s == 0), pollers.failures[:5]


class Pollers:
    """Visitors who enter and poll over keep-alive connections, and never repeat a request."""

    def __init__(self, port: int) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self.stop = asyncio.Event()
        self._port = port

    async def visit(self, caller: int) -> None:
        connection, room = Caller(self._port), RoomId(ROOM)
        for number in count():
            name = f"v{caller}-{number}"
            for request in (enter(room, name), *3 * [named("GET", "status", room, name)]):
                await self._ask(connection, request)
                await paused(REST_S, self.stop)
            if self.stop.is_set():
                break
        await connection.close()

    async def _ask(self, connection: Caller, request: Request) -> None:
        try:
            reply = await connection.ask(*request)
        except CutOffError as cut:
            self.failures.append(f"{request[1]}: no answer, {cut.part[:200]!r}")
            return
        if reply.status < 300:
            self.answers += 1
        else:
            self.failures.append(f"{request[1]}: {reply.status}")

    async def more(self) -> None:
        wanted = self.answers + 10 * CALLERS
        await until_async(lambda: self.answers >= wanted, START_S, "visitors are served")


async def roll_behind_a_balancer(instances: list[Instance]) -> Pollers:
    """Restart each instance under load."""
    ports = [instance.port for instance in instances if instance.port]
    async with Balancer(ports).running() as balancer, asyncio.TaskGroup() as group:
        pollers = Pollers(balancer.port)
        for caller in range(CALLERS):
            group.create_task(pollers.visit(caller))
        for instance in instances:
            await asyncio.to_thread(instance.restart)
            await balancer.looked()
            await pollers.more()
        pollers.stop.set()
    return pollers


def test_addresses_are_those_that_nginx_has_seen(running: Fleet) -> None:
    """A header of the client is replaced, and the trusted proxy is believed."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    with httpx.Client(transport=transport, headers=forged) as client:
        body = {"concertId": PAUSED, "userId": "from elsewhere"}
        answer = client.post(f"http://127.0.0.1:{running.port}/api/v1/queue/enter", json=body)
        assert answer.status_code == 201

    def counted() -> set[str]:
        shown = running.run("rooms", "addresses", PAUSED, "--json").stdout
        return {row["address"] for row in json.loads(shown)}

    until(lambda: "127.0.0.2" in counted(), START_S, "it is counted")
    assert "192.0.2.1" not in counted()


def compare(running: Fleet, shoppers: Shoppers) -> None:
    """Hold the stores against what the visitors were answered, and audit both."""
    assert len(set(shoppers.entered.values())) == len(shoppers.entered)
    seen = snapshot(running.env["WAITLINE_VALKEY_URL"], RoomId(ROOM))
    assert seen.number("entered") == len(shoppers.entered)

    async def fetched() -> dict[int, tuple[str, int]]:
        connection = await asyncpg.connect(running.env["WAITLINE_DATABASE_URL"])
        try:
            rows = await connection.fetch(
                "SELECT reservation_id, state, seat_id FROM reservation "
                "JOIN reserved_seat USING (reservation_id)"
            )
        finally:
            await connection.close()
        return {row["reservation_id"]: (row["state"], row["seat_id"]) for row in rows}

    stored = asyncio.run(fetched())
    paid = {number: seat for number, (state, seat) in stored.items() if state == "CONFIRMED"}
    assert paid == shoppers.paid
    assert {number for number, (state, _) in stored.items() if state == "CANCELLED"} == (
        shoppers.cancelled
    )
    assert len(stored) == len(shoppers.paid) + len(shoppers.cancelled)
    running.run("audit", "--room", ROOM)
    running.run("audit", "--booking")
    running.run("audit", "--provider")
    for instance in running.instances:
        for output in [*instance.outputs, instance.program.output]:
            assert "Traceback" not in output, f"{instance.name}: {output}"
