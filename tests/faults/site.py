"""A real installation over several hosts, started by the operator's commands, to inject faults.

    clients  queue  admitter  booking  sandbox  valkey-1  valkey-2  watch  postgres

Each is a host of its own (`network.py`). The line's store is a primary with a replica, watched by
three Sentinels, one beside each and one on `watch`. Each store has a small disk of its own, and the
clock of each service can be set.
"""

import asyncio
import json
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import redis

from tests.faults.disks import mounted
from tests.faults.network import Host, network
from tests.faults.parts import POSTGRES_PORT, DatabasePart, Part
from tests.faults.stack import SOON_S, WAITLINE, is_ready
from tests.http_client import operate
from tests.processes import environment
from tests.until import until
from waitline.kernel.ids import RoomId
from waitline.trial import embedded_binary

HOSTS = (
    "clients", "queue", "admitter", "booking", "sandbox", "valkey-1", "valkey-2", "watch",
    "postgres",
)  # fmt: skip

QUEUE_PORT, BOOKING_PORT, SANDBOX_PORT = 8081, 8080, 8082
VALKEY_PORT, SENTINEL_PORT = 6379, 26379

PASSWORD = "password-of-the-stores"
OPERATOR = "operator-key-of-the-tests"

# A store writes some 10 MB in all faults together, and PostgreSQL starts with 60.
VALKEY_DISK_MB, POSTGRES_DISK_MB = 64, 256

# Seconds until all of it serves: a dozen interpreters start at once, on a machine that may be busy.
START_S = 240.0

# Characters of each log that a failure shows.
TAIL = 1_500

PRICE = 50_000
SEATS = 1_500


class Show:
    """What is on sale during one fault: a concert with its room, and a room for the line alone."""

    def __init__(self, number: int, concert: int, schedule: int, seats: list[int]) -> None:
        self.room = RoomId(f"show-{number}")
        self.line = RoomId(f"line-{number}")
        self.concert = concert
        self.schedule = schedule
        self.seats = seats


class Site:
    """The installation. Call it from the clients' host.

    Attributes:
        hosts: All hosts by name.
        parts: All processes by name, in the order of their start.
        folder: Where everything is.
    """

    def __init__(self, folder: Path, hosts: dict[str, Host]) -> None:
        self.folder = folder
        self.hosts = hosts
        self.parts: dict[str, Part] = {}
        self._shows = count(1)
        sentinels = ",".join(f"{hosts[name].address}:{SENTINEL_PORT}" for name in WATCHING)
        self.valkey_url = f"redis+sentinel://:{PASSWORD}@{sentinels}/line"
        where = f"{hosts['postgres'].address}:{POSTGRES_PORT}"
        self.database_url = f"postgresql://waitline@{where}/waitline?sslmode=disable"
        self._settings = {
            "WAITLINE_MODE": "trial",
            "WAITLINE_DATA_DIR": str(folder / "data"),
            "WAITLINE_VALKEY_URL": self.valkey_url,
            "WAITLINE_DURABILITY": "replicated",
            "WAITLINE_DATABASE_URL": self.database_url,
            "WAITLINE_OPERATOR_KEY": OPERATOR,
            "WAITLINE_PAYMENT_URL": f"http://{hosts['sandbox'].address}:{SANDBOX_PORT}",
            "WAITLINE_PAYMENT_KEY": "sandbox-key-of-the-tests",
            "WAITLINE_WEBHOOK_SECRET": "webhook-secret-of-the-tests",
        }

    def start(self, library: Path) -> None:
        """Start everything, and wait until it serves."""
        for name in STORES:
            self._add_valkey(name)
        for name in WATCHING:
            self._add_sentinel(name)
        self.parts["postgres"] = DatabasePart(self.hosts["postgres"], self.folder / "postgres")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda part: part.start(), self.parts.values()))
        self.command("migrate")
        services = self._services()
        for name, argv in services.items():
            host = self.hosts[name]
            env = {**self._settings, "WAITLINE_HOST": host.address, **self._clock(name, library)}
            log = self.folder / f"{name}.log"
            part = Part(name, host, [*WAITLINE, *argv], env, log)
            self.parts[name] = part
            part.start()
        until(self.whole, START_S, "the site serves")

    def _services(self) -> dict[str, list[str]]:
        webhook = f"http://{self.hosts['booking'].address}:{BOOKING_PORT}/api/v1/payments/webhook"
        sandbox = [
            "sandbox-pay", "--host", self.hosts["sandbox"].address, "--port", str(SANDBOX_PORT),
            "--webhook-url", webhook, "--latency", "0.05..0.1",
            "--ledger-file", str(self.folder / "ledger.sqlite3"),
        ]  # fmt: skip
        return {
            "sandbox": sandbox,
            "queue": ["queue", "--workers", "2"],
            "admitter": ["admitter"],
            "booking": ["booking", "--workers", "2"],
        }

    def _add_valkey(self, name: str) -> None:
        host, folder = self.hosts[name], self.folder / name
        lines = [
            f"port {VALKEY_PORT}", f"bind {host.address}", f"dir {folder}",
            f"requirepass {PASSWORD}", f"masterauth {PASSWORD}",
            "appendonly yes", "appendfsync no", 'save ""', "maxmemory 512mb",
            "maxmemory-policy noeviction", "min-replicas-to-write 1", "repl-diskless-sync-delay 0",
            # A link that a firewall has forgotten is noticed in this time.
            "repl-timeout 10", "repl-ping-replica-period 2",
        ]  # fmt: skip
        if name != STORES[0]:
            lines.append(f"replicaof {self.hosts[STORES[0]].address} {VALKEY_PORT}")
        self._add_server(name, host, lines)

    def _add_sentinel(self, name: str) -> None:
        host = self.hosts[name]
        folder = self.folder / f"sentinel-{name}"
        folder.mkdir()
        lines = [
            f"port {SENTINEL_PORT}", f"bind {host.address}", f"dir {folder}", "protected-mode no",
            f"sentinel monitor line {self.hosts[STORES[0]].address} {VALKEY_PORT} 2",
            f"sentinel auth-pass line {PASSWORD}",
            "sentinel down-after-milliseconds line 2000",
            "sentinel failover-timeout line 10000",
        ]  # fmt: skip
        self._add_server(f"sentinel-{name}", host, lines, "--sentinel")

    def _add_server(self, name: str, host: Host, lines: list[str], *options: str) -> None:
        # Outside the small disk: a Sentinel writes its own again at each change.
        config = self.folder / f"{name}.conf"
        config.write_text("\n".join([*lines, ""]), "utf-8")
        argv: list[str | Path] = [embedded_binary(), config, *options]
        self.parts[name] = Part(name, host, argv, {}, self.folder / f"{name}.log")

    def _clock(self, name: str, library: Path) -> dict[str, str]:
        """Let a part's clock be what its file says; its monotonic clock stays true."""
        self.set_clock(name, 0)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / f"clock-{name}"),
            # Seconds until a new time counts: each look at the clock would read the file otherwise.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set_clock(self, name: str, seconds: int) -> None:
        """Let a part's clock be wrong by so much from now on."""
        file = self.folder / f"clock-{name}"
        draft = file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}", "utf-8")
        # At once: half a file would be no time.
        draft.rename(file)

    @property
    def primary(self) -> Part:
        return self.parts[self._role("master")]

    @property
    def replica(self) -> Part:
        return self.parts[self._role("slave")]

    def _role(self, wanted: str) -> str:
        for name in STORES:
            with suppress(redis.RedisError), closing(self.valkey(name)) as store:
                role = store.execute_command("ROLE")  # type: ignore[no-untyped-call]  # redis-py
                if role[0] == wanted and (wanted == "slave" or role[2]):
                    return name
        raise AssertionError(f"no {wanted} with a link")

    def valkey(self, name: str) -> redis.Redis:
        return redis.Redis(
            self.hosts[name].address, VALKEY_PORT, password=PASSWORD, socket_timeout=2,
            decode_responses=True,
        )  # fmt: skip

    def whole(self) -> bool:
        """Whether all runs, both services are ready, and the store has its replica."""
        if not all(part.alive for part in self.parts.values()):
            return False
        ready = is_ready(SANDBOX_PORT, self.hosts["sandbox"].address, "/health") and all(
            is_ready(port, self.hosts[name].address)
            for name, port in (("booking", BOOKING_PORT), ("queue", QUEUE_PORT))
        )
        with suppress(AssertionError):
            return ready and self.primary is not self.replica and self._replicates()
        return False

    def _replicates(self) -> bool:
        with closing(self.valkey(self.replica.name)) as store:
            return bool(store.info("replication")["master_link_status"] == "up")

    def revive(self) -> None:
        """Start again what has ended, as a service manager does."""
        for part in self.parts.values():
            if not part.alive:
                part.start()

    def command(self, *words: str) -> tuple[int, str]:
        """Run a command of the operator; return its exit status and output."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*WAITLINE, *words], capture_output=True, text=True, check=False, timeout=START_S,
            env={**environment(), **self._settings},
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, done.stdout

    def audited(self, *what: str) -> list[dict[str, Any]]:
        """Return what `waitline audit` finds."""
        status, output = self.command("audit", *what, "--json")
        findings: list[dict[str, Any]] = json.loads(output)["findings"]
        assert bool(findings) == bool(status)
        return findings

    def show(self) -> Show:
        """Put a concert on sale, with a room of its own."""
        shows: list[Show] = []

        def put_on_sale() -> bool:
            # A busy machine refuses some calls; then there is another show.
            with suppress(httpx.HTTPError):
                shows.append(self._show(next(self._shows)))
            return bool(shows)

        until(put_on_sale, START_S, "a concert is on sale")
        return shows[0]

    def _show(self, number: int) -> Show:
        queue = f"http://{self.hosts['queue'].address}:{QUEUE_PORT}/api/v1/rooms"
        for room in (f"show-{number}", f"line-{number}"):
            self.operate("POST", queue, {"room": room, "admitPerSecond": 200})
        booking = f"http://{self.hosts['booking'].address}:{BOOKING_PORT}/api/v1/operator"
        made = self.operate(
            "POST", f"{booking}/concerts", {"title": "A", "queue": f"show-{number}"}
        )
        concert = made["concertId"]
        starts = {"startsAt": "2035-01-01T19:00:00+09:00"}
        schedule = self.operate("POST", f"{booking}/concerts/{concert}/schedules", starts)
        text = "section,row,seat,grade,price\n"
        text += "".join(f"A,1,{seat},R,{PRICE}\n" for seat in range(SEATS))
        where = f"{booking}/schedules/{schedule['scheduleId']}/seats"
        self.operate("POST", where, text.encode())
        rows = self.sql("SELECT seat_id FROM seat WHERE schedule_id = $1", schedule["scheduleId"])
        seats = sorted(row["seat_id"] for row in rows)
        return Show(number, concert, schedule["scheduleId"], seats)

    def pause(self, room: RoomId) -> None:
        """Admit nobody any more, so that the room can be compared with what was answered."""
        url = f"http://{self.hosts['queue'].address}:{QUEUE_PORT}/api/v1/rooms/{room}"

        def paused() -> bool:
            with suppress(httpx.HTTPError):
                self.operate("PATCH", url, {"mode": "paused"})
                return True
            return False

        until(paused, START_S, f"{room} is paused")

    @staticmethod
    def operate(method: str, url: str, body: object) -> Any:  # noqa: ANN401 - JSON
        return operate(method, url, OPERATOR, body)

    def logs(self) -> str:
        """Return the end of what each part has written."""
        ends = (f"--- {part.name} ---\n{part.output[-TAIL:]}" for part in self.parts.values())
        return "\n".join(ends)

    def sql(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """Run any statement on the database."""

        async def run() -> Sequence[asyncpg.Record]:
            connection = await asyncpg.connect(self.database_url, timeout=SOON_S)
            try:
                rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *values)
                return rows
            finally:
                await connection.close()

        return asyncio.run(run())

    def charges(self) -> dict[str, tuple[int, int]]:
        """The provider's books: of each charge how often it was charged and refunded."""
        where = f"file:{self.folder / 'ledger.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as ledger:
            rows = ledger.execute("SELECT key, charged, refunded FROM charge").fetchall()
        return {str(UUID(bytes=key)): (charged, refunded) for key, charged, refunded in rows}


STORES = ("valkey-1", "valkey-2")
WATCHING = (*STORES, "watch")


@contextmanager
def running(library: Path) -> Iterator[Site]:
    """Run a site until the block ends; a failure shows the end of every log."""
    with ExitStack() as stack:
        # pytest's own temporary folders are too deep for a socket, and longer to look at.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wl-site-")))
        for name in STORES:
            stack.enter_context(mounted(folder / name, VALKEY_DISK_MB))
        stack.enter_context(mounted(folder / "postgres", POSTGRES_DISK_MB))
        hosts = stack.enter_context(network(HOSTS))
        (folder / "data").mkdir()
        site = Site(folder, hosts)
        stack.callback(_end, site)
        with hosts["clients"].entered():
            try:
                site.start(library)
                yield site
            except BaseException as failure:
                failure.add_note(site.logs())
                raise


def _end(site: Site) -> None:
    for part in reversed(site.parts.values()):
        part.end()
