"""Test harness that starts `waitline up`, for tests, benchmarks and `simulate --check`."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

from waitline.kernel.errors import Unavailable
from waitline.settings import inherited
from waitline.trial import machine, processes
from waitline.trial.machine import free_port
from waitline.trial.supervisor import UP

READY_S = 120.0
"""Timeout, in s, until everything is ready: seven interpreters start at once, on a machine that may
be busy with other work."""

STOP_S = 20.0
"""Seconds between SIGTERM and SIGKILL, for the graceful shutdown of all parts."""

POLL_S = 0.02
"""Seconds between two checks for readiness."""

TAIL_CHARS = 4_000
"""Characters from the end of its output that are added to an exception."""

__all__ = ["READY_S", "Installation", "free_port", "start", "stop"]


@dataclass(frozen=True, slots=True)
class Installation:
    """A running `waitline up`.

    Attributes:
        port: Port of the queue service, on 127.0.0.1.
        booking_port: Port of the booking service, on 127.0.0.1.
        management_urls: Where the metrics and the API description of the queue service and of the
            booking service are.
        valkey_url: Address of its Valkey.
        database_url: Address of its database; empty without a box office.
        data_dir: Its data folder; deleted at the end unless the caller named one.
        process: The supervisor's process.
        operator_key: Its operator key.
        log_file: File of its output.
    """

    port: int
    booking_port: int
    management_urls: tuple[str, str]
    valkey_url: str
    database_url: str
    data_dir: Path
    process: "subprocess.Popen[bytes]"
    operator_key: str
    log_file: Path

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log_file.read_text("utf-8", "replace")

    @property
    def url(self) -> str:
        """Address of the queue service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def booking_url(self) -> str:
        """Address of the booking service."""
        return f"http://127.0.0.1:{self.booking_port}"

    def processes(self) -> dict[str, list[int]]:
        """Return the process ids by role.

        The roles are worker (of the queue service), booking (its workers), parent (of the workers
        of either service), admitter, sandbox, valkey, postgres and supervisor.
        """
        roles: dict[str, list[int]] = {"supervisor": [self.pid]}
        for pid in processes.children(self.pid):
            command = processes.command_line(pid)
            if "valkey-server" in command:
                roles.setdefault("valkey", []).append(pid)
            elif "bin/postgres" in command:
                # One process per connection, and the background writers.
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
    workers: int,
    settings: Mapping[str, str] | None = None,
    *,
    box_office: bool = False,
    data_dir: Path | None = None,
    batch_scheduling: bool = True,
) -> Iterator[Installation]:
    """Start an installation on free ports, and stop it at the end.

    It is in trial mode unless `settings` say otherwise, and stops when this process dies.

    Args:
        workers: Processes of the queue service. The booking service has one.
        settings: Further settings, by name in lower case; they take precedence.
        box_office: Whether to start the box office; measurements of the line do not need it.
        data_dir: Its data folder; `None` for a temporary one.
        batch_scheduling: Whether it and this thread run under SCHED_BATCH, for measurements.

    Raises:
        Unavailable: It did not start; the message contains the end of its output.
    """
    with ExitStack() as stack:
        if batch_scheduling:
            stack.enter_context(machine.taking_turns())
        # Not nested deeply: the path of a unix socket has a maximum length.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-")))
        data_dir = data_dir or folder / "data"
        chosen = {
            "mode": "trial",
            "queue_port": str(free_port()),
            "booking_port": str(free_port()),
            "queue_management_port": str(free_port()),
            "booking_management_port": str(free_port()),
            "workers": str(workers),
            "booking_workers": "1",
            "box_office": str(box_office),
            "data_dir": str(data_dir),
            **(settings or {}),
        }
        log_file = folder / "up.log"
        process = stack.enter_context(_running(chosen, log_file))
        _await_up(process, log_file)
        try:
            yield Installation(
                port=int(chosen["queue_port"]),
                booking_port=int(chosen["booking_port"]),
                management_urls=_management_urls(chosen),
                valkey_url=chosen.get("valkey_url") or _read(data_dir / "valkey.url"),
                database_url=chosen.get("database_url") or _read(data_dir / "postgres.url"),
                data_dir=data_dir,
                process=process,
                operator_key=_read(data_dir / "operator.key"),
                log_file=log_file,
            )
        except BaseException as failure:
            tail = log_file.read_text("utf-8", "replace")[-TAIL_CHARS:]
            failure.add_note(f"--- end of the output of `waitline up` ---\n{tail}")
            raise


@contextmanager
def _running(chosen: Mapping[str, str], log_file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            # If this process is killed, end-of-file on standard input stops the installation.
            [sys.executable, "-m", "waitline", "up", "--until-stdin-ends"],
            env={
                **inherited(),
                **{f"WAITLINE_{name}".upper(): value for name, value in chosen.items()},
            },
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)
        assert process.stdin is not None
        process.stdin.close()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process of ours, by SIGKILL if SIGTERM does not."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _management_urls(chosen: Mapping[str, str]) -> tuple[str, str]:
    names = ("queue", "booking")
    if chosen["mode"] == "production":
        names = ("queue_management", "booking_management")
    queue, booking = (f"http://127.0.0.1:{chosen[f'{name}_port']}" for name in names)
    return queue, booking


def _read(path: Path) -> str:
    return path.read_text("utf-8").strip() if path.exists() else ""


def _add_service(roles: dict[str, list[int]], name: str, pid: int) -> None:
    workers = [
        child for child in processes.children(pid) if "spawn_main" in processes.command_line(child)
    ]
    # A single worker is the service's process itself.
    roles[name] = workers or [pid]
    if workers:
        roles.setdefault("parent", []).append(pid)


def _await_up(process: "subprocess.Popen[bytes]", log_file: Path) -> None:
    deadline_s = monotonic() + READY_S
    pause = Event()
    # Wait for its output, not its ports: an older installation may still answer on those.
    while UP.encode() not in log_file.read_bytes():
        if process.poll() is not None or monotonic() > deadline_s:
            last = log_file.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise Unavailable(f"the installation did not start: {' / '.join(last)}")
        pause.wait(POLL_S)
