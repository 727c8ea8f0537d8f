"""A whole installation for one measurement: its own processes, free ports, a temporary folder."""

import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable
from waitline.trial import machine, processes

READY_S = 70.0
"""How long everything may take to answer: seven interpreters start at once."""

STOP_S = 20.0
"""How long it may take to stop, with its draining, before it is killed."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A running `waitline up`.

    Attributes:
        port: Of the queue service, on 127.0.0.1.
        booking_port: Of the booking service.
        valkey_url: Where its store is.
        database_url: Where its database is; empty without a box office.
        data_dir: Its folder, which is gone when the measurement is over.
        pid: Of the supervisor.
        operator_key: What operators' calls must carry.
    """

    port: int
    booking_port: int
    valkey_url: str
    database_url: str
    data_dir: Path
    pid: int
    operator_key: str

    @property
    def url(self) -> str:
        """Where the queue service answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def booking_url(self) -> str:
        """Where the booking service answers."""
        return f"http://127.0.0.1:{self.booking_port}"

    def processes(self) -> dict[str, list[int]]:
        """Return the process ids by what they do.

        They are worker, booking (its workers), parent (of either's), admitter, sandbox, valkey,
        postgres and supervisor.
        """
        roles: dict[str, list[int]] = {"supervisor": [self.pid]}
        for pid in processes.children(self.pid):
            command = processes.command_line(pid)
            if "valkey-server" in command:
                roles.setdefault("valkey", []).append(pid)
            elif "bin/postgres" in command:
                # One process for each connection, and some that write.
                roles["postgres"] = [pid, *processes.children(pid)]
            elif "waitline admitter" in command:
                roles.setdefault("admitter", []).append(pid)
            elif "waitline sandbox-pay" in command:
                roles["sandbox"] = [pid]
            elif "waitline queue" in command:
                _add_service(roles, "worker", pid)
            elif "waitline booking" in command:
                _add_service(roles, "booking", pid)
        return roles


@contextmanager
def start(
    workers: int, settings: Mapping[str, str] | None = None, *, box_office: bool = False
) -> Iterator[Installation]:
    """Start an installation in trial mode, and stop it in the end.

    Args:
        workers: Processes of the queue service. The booking service has one.
        settings: Further settings, by name in lower case.
        box_office: Whether it has one: measuring the line, it would only take memory and time.

    Raises:
        Unavailable: It did not start; the message holds the end of what it printed.
    """
    with (
        machine.taking_turns(),
        tempfile.TemporaryDirectory(prefix="waitline-bench-") as name,
    ):
        folder = Path(name)
        port, booking_port = free_port(), free_port()
        command = [sys.executable, "-m", "waitline", "up", "--queue-port", str(port)]
        command += ["--booking-port", str(booking_port)]
        command += ["--workers", str(workers), "--data-dir", str(folder / "data")]
        # Whoever measures may be killed, and could not stop it then.
        command += ["--until-stdin-ends"]
        opens = {"box_office": str(box_office), "booking_workers": "1"}
        wanted = {**opens, **(settings or {})}
        given = {f"WAITLINE_{key}".upper(): value for key, value in wanted.items()}
        with (folder / "up.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env={**chosen.inherited(), **given},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            data = folder / "data"
            for each in (port, booking_port) if box_office else (port,):
                _await_ready(process, each, folder / "up.log")
            yield Installation(
                port=port,
                booking_port=booking_port,
                valkey_url=_noted(data / "valkey.url"),
                database_url=_noted(data / "postgres.url") if box_office else "",
                data_dir=data,
                pid=process.pid,
                operator_key=_noted(data / "operator.key"),
            )
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _noted(path: Path) -> str:
    return path.read_text("utf-8").strip()


def _add_service(roles: dict[str, list[int]], name: str, pid: int) -> None:
    workers = [
        child for child in processes.children(pid) if "spawn_main" in processes.command_line(child)
    ]
    # A single worker is the service's process itself.
    roles[name] = workers or [pid]
    if workers:
        roles.setdefault("parent", []).append(pid)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until_s = monotonic() + READY_S
    pause = Event()
    url = f"http://127.0.0.1:{port}/actuator/health/readiness"
    while process.poll() is None and monotonic() < until_s:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            pause.wait(0.05)
        else:
            return
    last = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
    raise Unavailable(f"the installation to be measured did not start: {' / '.join(last)}")
