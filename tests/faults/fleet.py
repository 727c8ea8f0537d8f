"""Several instances of each service behind nginx, started by the commands that operators use."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests import nginx
from tests.faults.journeys import AMOUNT, PAUSED, ROOM
from tests.faults.stack import START_S, is_ready
from tests.http_client import operate
from tests.processes import Program, environment, started
from tests.until import until
from waitline.kernel.clock import SystemClock
from waitline.tokens.keyring_file import KeyringFile
from waitline.trial import PostgresServer, ValkeyServer
from waitline.trial.machine import free_port

DEPLOYED = (Path(__file__).parents[2] / "deploy" / "nginx" / "waitline.conf").read_text("utf-8")

# Longer than nginx leaves an instance out that has refused connections.
DRAIN_S = 3

# Seconds from SIGTERM to the end of a process, on a machine that others use too.
END_S = DRAIN_S + 20.0

KEY = "the-operator-key-of-the-tests"


class Instance:
    """One process that an operator starts, and starts again.

    Attributes:
        name: The command, and a number.
        code: Folder with another version of the package; `None` for this one.
    """

    def __init__(
        self, command: str, number: int, env: Mapping[str, str], port: int | None = None
    ) -> None:
        self.name = f"{command}-{number}"
        self.port = port
        self.code: Path | None = None
        self._command = command
        self._env = env
        self._running = ExitStack()
        self._program: Program | None = None
        self.outputs: list[str] = []

    @property
    def program(self) -> Program:
        assert self._program is not None, f"{self.name} does not run"
        return self._program

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._program = self._running.enter_context(
            started(
                [sys.executable, "-m", "waitline", self._command],
                {**self._env, **python_path(self.code)},
                self._ready,
                START_S,
            )
        )

    def _ready(self) -> bool:
        return self.port is None or is_ready(self.port)

    def terminate(self) -> None:
        """Ask it to stop, as an orchestrator does."""
        os.kill(self.program.pid, signal.SIGTERM)

    def end(self) -> None:
        """Wait until it has stopped by itself."""
        until(lambda: not self.program.alive, END_S, f"{self.name} has ended")
        self.close()

    def restart(self) -> None:
        self.terminate()
        self.end()
        self.start()

    def close(self) -> None:
        if self._program is not None:
            self.outputs.append(self._program.output)
        self._running.close()


def python_path(code: Path | None) -> dict[str, str]:
    """Return the environment in which another version of the package is found first."""
    return {} if code is None else {"PYTHONPATH": str(code)}


class Fleet:
    """The instances, their stores, and nginx.

    Attributes:
        port: Of nginx.
        env: Settings of every process.
        schedule: Its performance.
        sections: Of the hall.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self.port = 0
        self.queues: list[Instance] = []
        self.bookings: list[Instance] = []
        self.admitters: list[Instance] = []
        self.schedule = 0
        self.sections: list[str] = []

    @property
    def instances(self) -> list[Instance]:
        return [*self.queues, *self.bookings, *self.admitters]

    def run(
        self, *words: str, code: Path | None = None, status: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the operator."""
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *words],
            env={**environment(), **self.env, **python_path(code)},
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def operate(self, port: int | None, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        return operate("POST", f"http://127.0.0.1:{port}/api/v1/{path}", KEY, body)

    def put_on_sale(self, sections: int, seats: int) -> None:
        """Create the rooms, and a concert with so many sections of so many seats."""
        limits = {"admitPerSecond": 100, "activeMax": 40}
        self.operate(self.queues[0].port, "rooms", {"room": ROOM, **limits})
        self.operate(self.queues[0].port, "rooms", {"room": PAUSED, "mode": "paused"})
        office = self.bookings[0].port
        body = {"title": "Rolling", "queue": ROOM}
        concert = self.operate(office, "operator/concerts", body)["concertId"]
        starts = {"startsAt": "2030-01-01T19:00:00+09:00"}
        made = self.operate(office, f"operator/concerts/{concert}/schedules", starts)
        self.schedule = made["scheduleId"]
        self.sections = [f"S{number}" for number in range(sections)]
        lines = [
            f"{section},1,{seat},VIP,{AMOUNT}" for section in self.sections for seat in range(seats)
        ]
        plan = "\n".join(["section,row,seat,grade,price", *lines]).encode()
        self.operate(office, f"operator/schedules/{self.schedule}/seats", plan)


@contextmanager
def fleet(*, queues: int = 2, bookings: int = 2, admitters: int = 2) -> Iterator[Fleet]:
    """Run the instances of a production installation that takes play money, behind nginx."""
    with ExitStack() as stack:
        # pytest's own temporary folders are too deep for a socket.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wl-")))
        valkey = ValkeyServer(folder / "valkey")
        valkey.start()
        stack.callback(valkey.stop)
        postgres = PostgresServer(folder / "postgres")
        postgres.start()
        stack.callback(postgres.stop)
        pay_port = free_port()
        env = {
            "WAITLINE_OPERATOR_KEY": KEY,
            "WAITLINE_VALKEY_URL": valkey.url,
            "WAITLINE_DATABASE_URL": postgres.url,
            "WAITLINE_PAYMENTS": "play-money",
            "WAITLINE_PAYMENT_URL": f"http://127.0.0.1:{pay_port}",
            "WAITLINE_PAYMENT_KEY": "sandbox-key-of-the-tests",
            "WAITLINE_WEBHOOK_SECRET": "webhook-secret-of-the-tests",
            "WAITLINE_TRUSTED_PROXIES": "127.0.0.1",
            "WAITLINE_DRAIN_S": str(DRAIN_S),
        }
        running = Fleet(folder, env)
        running.run("migrate")
        _plan(running, queues, bookings, admitters)
        port = free_port()
        words = ["sandbox-pay", "--port", str(pay_port), "--latency", "0.01..0.05"]
        words += ["--webhook-url", f"http://127.0.0.1:{port}/api/v1/payments/webhook"]
        argv = [sys.executable, "-m", "waitline", *words]
        stack.enter_context(started(argv, env, lambda: True, START_S))
        for instance in running.instances:
            stack.callback(instance.close)
        with ThreadPoolExecutor() as threads:
            list(threads.map(Instance.start, running.instances))
        config = behind(DEPLOYED, running)
        running.port = stack.enter_context(nginx.running(config, folder, port))
        yield running


def _plan(running: Fleet, queues: int, bookings: int, admitters: int) -> None:
    """Give each instance a port, a data folder of its own, and the same signing keys."""
    keys = running.folder / "keys"
    KeyringFile(keys / "keys.json").load_or_create(SystemClock().now_ms())
    running.env["WAITLINE_DATA_DIR"] = str(running.folder)
    for number in range(max(queues, bookings, admitters)):
        data = running.folder / str(number)
        shutil.copytree(keys, data / "keys")
        queue_port, booking_port = free_port(), free_port()
        env = running.env | {
            "WAITLINE_DATA_DIR": str(data),
            "WAITLINE_QUEUE_PORT": str(queue_port),
            "WAITLINE_BOOKING_PORT": str(booking_port),
            "WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port()),
            "WAITLINE_BOOKING_MANAGEMENT_PORT": str(free_port()),
            # Workers that share their sockets, and a service of one process.
            "WAITLINE_WORKERS": str(2 - number % 2),
            "WAITLINE_BOOKING_WORKERS": str(1 + number % 2),
        }
        if number < queues:
            running.queues.append(Instance("queue", number, env, queue_port))
        if number < bookings:
            running.bookings.append(Instance("booking", number, env, booking_port))
        if number < admitters:
            running.admitters.append(Instance("admitter", number, env))


@contextmanager
def outputs_shown(running: Fleet) -> Iterator[None]:
    """Show the end of every instance's output beside a failure."""
    try:
        yield
    except BaseException as failure:
        for one in running.instances:
            failure.add_note(f"--- the last words of {one.name} ---\n{one.program.output[-2000:]}")
        raise


def behind(config: str, running: Fleet) -> str:
    """Return nginx's configuration with a line for each instance."""
    for port, instances in ((8081, running.queues), (8080, running.bookings)):
        line = next(each for each in config.splitlines() if f"server 127.0.0.1:{port}" in each)
        lines = [line.replace(f":{port}", f":{one.port}") for one in instances]
        config = config.replace(line, "\n".join(lines))
    return config
