"""A running `waitline up` and its processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests import databases
from tests.http_client import operate
from tests.until import until, until_async
from waitline.kernel.ids import RoomId
from waitline.queue import audit
from waitline.queue.audit import RoomSnapshot
from waitline.trial.installation import Installation, start
from waitline.valkey.client import ValkeyClient

# Seconds until everything answers: seven interpreters import what they need at once.
START_S = 60.0

# Seconds for what takes well under one, on a machine that others use too.
SOON_S = 20.0

WAITLINE = (sys.executable, "-m", "waitline")


@dataclass(frozen=True, slots=True)
class Stack:
    """A running `waitline up`."""

    program: Installation
    port: int
    data_dir: Path
    url: str
    booking_port: int

    @property
    def queue(self) -> int:
        """The process that listens for the workers, or that is the only one."""
        return self._part("queue")

    @property
    def admitter(self) -> int:
        return self._part("admitter")

    @property
    def valkey(self) -> int:
        return next(pid for pid in children(self.program.pid) if "valkey-server" in _command(pid))

    @property
    def booking(self) -> int:
        return self._part("booking")

    @property
    def sandbox(self) -> int:
        return self._part("sandbox-pay")

    @property
    def postgres(self) -> int:
        return next(pid for pid in children(self.program.pid) if "bin/postgres" in _command(pid))

    @property
    def workers(self) -> list[int]:
        return [pid for pid in children(self.queue) if "spawn_main" in _command(pid)]

    def _part(self, name: str) -> int:
        wanted = f"waitline {name}"
        return next(pid for pid in children(self.program.pid) if wanted in _command(pid))

    def whole(self) -> bool:
        """Whether every process is there, and the service is ready."""
        try:
            parts = [self.queue, self.admitter, self.valkey]
            if self.booking_port:
                parts += [self.booking, self.sandbox, self.postgres]
        except StopIteration:
            return False
        ports = [port for port in (self.port, self.booking_port) if port]
        return bool(parts) and all(map(is_ready, ports))

    def operator(self, method: str, path: str, body: dict[str, object]) -> dict[str, Any]:
        key = (self.data_dir / "operator.key").read_text("utf-8").strip()
        url = f"http://127.0.0.1:{self.port}/api/v1/rooms{path}"
        data: dict[str, Any] = operate(method, url, key, body)
        return data

    def room(self, name: str, **rules: object) -> RoomId:
        self.operator("POST", "", {"room": name, **rules})
        return RoomId(name)

    def change(self, room: RoomId, **rules: object) -> None:
        self.operator("PATCH", f"/{room}", rules)

    def changes(self, room: RoomId) -> bool:
        """Pause a room; return whether the service reached its store.

        After a failure it waits a moment before it opens another connection.
        """
        with suppress(httpx.HTTPStatusError):
            self.change(room, mode="paused")
            return True
        return False

    def audited(self, room: RoomId) -> list[Any]:
        """Return what `waitline audit` finds in a room."""
        where = ("--data-dir", str(self.data_dir), "--valkey-url", self.url)
        argv = [*WAITLINE, "audit", "--room", room, "--json", *where]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own command
        assert done.returncode in {0, 1}, done.stderr
        findings: list[Any] = json.loads(done.stdout)["findings"]
        assert bool(findings) == bool(done.returncode), "its exit status says something else"
        return findings


@contextmanager
def up(
    data_dir: Path,
    *,
    workers: int = 2,
    valkey_url: str | None = None,
    port: int | None = None,
    box_office: bool = False,
) -> Iterator[Stack]:
    """Run `waitline up` on a folder; with its own Valkey unless an address is given."""
    settings = {}
    if valkey_url:
        settings["valkey_url"] = valkey_url
    if port:
        settings["queue_port"] = str(port)
    if box_office and not data_dir.joinpath("postgres").exists():
        databases.prepare(data_dir / "postgres")
    with start(
        workers, settings, box_office=box_office, data_dir=data_dir, batch_scheduling=False
    ) as program:
        booking_port = program.booking_port if box_office else 0
        yield Stack(program, program.port, data_dir, program.valkey_url, booking_port)


def is_ready(port: int, host: str = "127.0.0.1", path: str = "/actuator/health/readiness") -> bool:
    # Asked fifty times a second while the service starts, so it must cost next to nothing.
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def snapshot(url: str, room: RoomId) -> RoomSnapshot:
    """Read a whole room at one instant."""

    async def read() -> RoomSnapshot:
        store = ValkeyClient(url, timeout_s=SOON_S)
        try:
            return await audit.take_snapshot(store, room)
        finally:
            await store.close()

    return asyncio.run(read())


def sql(stack: Stack, statement: str, *values: object) -> Sequence[asyncpg.Record]:
    """Run any statement on the box office's database, once the database accepts connections."""
    opened: list[asyncpg.Connection] = []

    async def accepts() -> bool:
        # It may just have been started: the box office's readiness can be a second old.
        with suppress(OSError, asyncpg.CannotConnectNowError):
            url = (stack.data_dir / "postgres.url").read_text("utf-8")
            opened.append(await asyncpg.connect(url, timeout=SOON_S))
        return bool(opened)

    async def fetched() -> Sequence[asyncpg.Record]:
        await until_async(accepts, SOON_S, "the database accepts connections")
        connection = opened[0]
        try:
            rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()

    return asyncio.run(fetched())


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    found: list[int] = []
    # Each thread has a list of its own, and may end while it is read.
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text("ascii").split())
    return [child for child in found if runs(child)]


def family(pid: int) -> list[int]:
    """Return a process and all that came of it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def runs(pid: int) -> bool:
    """Whether a process runs; one that has died and was not collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def gone(pids: Sequence[int], deadline_s: float, what: str) -> None:
    """Wait until none of them runs."""
    until(lambda: not any(map(runs, pids)), deadline_s, what)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def sockets(pid: int) -> int:
    """Return how many sockets a process has open: the busiest worker has most."""
    names = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            names.append(str(path.readlink()))
    return sum(name.startswith("socket:") for name in names)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8").replace("\0", " ")
    except OSError:
        return ""
