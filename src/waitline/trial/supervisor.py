"""Supervisor: start servers and processes, restart those that die, shut down in reverse order."""

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType, TracebackType
from typing import Self

from waitline.kernel import listeners
from waitline.kernel.errors import WaitlineError
from waitline.kernel.terminal import Terminal, styled
from waitline.trial import PostgresServer, StartError, ValkeyServer
from waitline.trial.valkey_cluster import ValkeyCluster

LOAD_S = 60.0
"""Timeout, in s, for an embedded server to load its data. 600 000 visitors took 2.4 s."""

READY_S = 60.0
"""Timeout, in s, until all services are ready: seven interpreters start at once."""

PORT_S = 3.0
"""Timeout, in s, until a port is free. The processes of an `up` that was killed exit within about a
second; a port that stays taken for longer belongs to another program."""

CHECK_S = 0.2
"""Seconds between two liveness checks of all servers and processes."""

READY_CHECK_S = 0.05
"""Seconds between two readiness checks of a starting process."""

SYNC_S = 1.0
"""Seconds between two fsyncs of the line: with `sync` set to `second`, a power cut may lose this
much."""

STOP_S = 10.0
"""Seconds between SIGTERM and SIGKILL at shutdown."""

RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 60.0
"""Crash-loop limit: one more restart within this many seconds ends the installation."""


UP = "Waitline is up."
"""Printed once everything is ready; `installation.py` waits for it."""


class CannotRun(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """A process is in a crash loop, did not become ready, or its port is taken."""


@dataclass(slots=True)
class ManagedProcess:
    """One `waitline` process that must run.

    Attributes:
        name: Name shown to the operator.
        arguments: Arguments of `waitline`.
        ready_url: Readiness URL, which returns 200 once the process is ready; `None` if it serves
            no HTTP.
        process: The present process.
        restarts: Times of the latest restarts, in s on the monotonic clock.
    """

    name: str
    arguments: list[str]
    ready_url: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    restarts: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _ManagedServer:
    """One embedded server that must run.

    Attributes:
        name: Name shown to the operator.
        server: The server.
        url_file: File of its address, for other commands on the same data folder.
        sync: Forces its writes to the disk; `None` if the server does so by itself.
        restarts: As in `ManagedProcess`.
    """

    name: str
    server: ValkeyServer | ValkeyCluster | PostgresServer
    url_file: Path
    sync: Callable[[], None] | None
    restarts: list[float] = field(default_factory=list)


class Supervisor:
    """Runs an installation's servers and processes; leaving its block stops all of them.

    Args:
        data_dir: Folder of the installation.
        console: Where restarts are reported.
    """

    def __init__(self, data_dir: Path, console: Terminal) -> None:
        self._data_dir = data_dir
        self._console = console
        self._stopping = threading.Event()
        self._servers: list[_ManagedServer] = []
        self._waves: Sequence[Sequence[ManagedProcess]] = ()
        self._environment: Mapping[str, str] = {}
        self._synced_s = 0.0
        # Steps that the operating system refused at the last check.
        self._failing: set[str] = set()
        # A pipe to which nothing is ever written. Only this process holds the write end, so the
        # others read end-of-file however this process dies.
        self._lifeline, self._lifeline_end = os.pipe()
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Handle the signals that stop the installation: Ctrl-C, SIGTERM, a closed terminal."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop everything, in the reverse order of the start."""
        self._stop()

    def _stop_soon(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested."""
        return self._stopping.is_set()

    def start_server(
        self,
        name: str,
        server: ValkeyServer | ValkeyCluster | PostgresServer,
        url_file: str,
        sync: Callable[[], None] | None = None,
    ) -> str:
        """Start an embedded server, write its address to a file and return it.

        Args:
            name: Name shown to the operator.
            server: The server.
            url_file: Name of the file in the data folder; removed when the server has stopped.
            sync: Called every `SYNC_S`.

        Raises:
            StartError: The server did not start.
        """
        self._keep_guard()
        server.start(LOAD_S)
        # Only now: if the start fails, the file may belong to another `up` on this folder.
        path = self._data_dir / url_file
        self._servers.append(_ManagedServer(name, server, path, sync))
        # The address of a cluster contains its password.
        path.touch(mode=0o600)
        path.write_text(server.url, "utf-8")
        return server.url

    def start_processes(
        self, waves: Sequence[Sequence[ManagedProcess]], environment: Mapping[str, str]
    ) -> None:
        """Start processes and wait until all are ready.

        Args:
            waves: Groups of processes. Each may depend on the groups before it, and is stopped
                before them.
            environment: Environment of every process.

        Raises:
            CannotRun: A process exited, or was not ready in time.
        """
        self._waves, self._environment = waves, environment
        for managed in self._processes():
            self._spawn(managed)
        deadline_s = monotonic() + READY_S
        for managed in self._processes():
            if managed.ready_url is not None:
                self._await_ready(managed.ready_url, deadline_s)

    def run(self) -> None:
        """Restart servers and processes that die, until a stop is requested.

        Raises:
            CannotRun: A server or process is in a crash loop.
        """
        while not self._stopping.wait(CHECK_S):
            self._check_all()

    def await_port(self, host: str, port: int, option: str) -> None:
        """Return once a port is free.

        Another program on that port could answer the readiness check in place of our service.

        Raises:
            CannotRun: The port stays taken; the message names the option that changes it.
        """
        deadline_s = monotonic() + PORT_S
        while not self._stopping.is_set():
            try:
                for probe in listeners.bind(host, port):
                    probe.close()
            except OSError as error:
                if monotonic() > deadline_s:
                    raise CannotRun(
                        f"cannot listen on {host}, port {port}: {error.strerror}; "
                        f"{option} chooses another"
                    ) from None
                self._stopping.wait(CHECK_S)
            else:
                return

    def _processes(self) -> list[ManagedProcess]:
        return [managed for wave in self._waves for managed in wave]

    def _keep_guard(self) -> None:
        """Start the guard, which stops the servers if this process is killed, unless it runs."""
        if self._guard is None or self._guard.poll() is not None:
            self._guard = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "waitline.trial.guard", str(self._data_dir)],
                stdin=self._lifeline,
                start_new_session=True,
            )

    def _spawn(self, managed: ManagedProcess) -> None:
        # In its own session: Ctrl-C reaches only the supervisor, which stops the others in the
        # right order.
        managed.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *managed.arguments],
            env=self._environment,
            stdin=self._lifeline,
            start_new_session=True,
        )

    def _await_ready(self, url: str, deadline_s: float) -> None:
        while not self._stopping.wait(READY_CHECK_S):
            for managed in self._processes():
                if managed.process is not None and managed.process.poll() is not None:
                    raise CannotRun(
                        f"the {managed.name} exited with status {managed.process.returncode} at "
                        "the start; its last lines above say why"
                    )
            try:
                with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                    return
            except (urllib.error.URLError, OSError):
                if monotonic() > deadline_s:
                    raise CannotRun(f"{url} was not ready within {READY_S:.0f} s") from None

    def _check_all(self) -> None:
        now_s = monotonic()
        sync_due = now_s - self._synced_s >= SYNC_S
        if sync_due:
            self._synced_s = now_s
        if self._servers:
            self._attempt("the guard", self._keep_guard)
        for managed_server in self._servers:
            if sync_due and managed_server.sync is not None:
                self._attempt(f"syncing {managed_server.name}", managed_server.sync)
            self._attempt(managed_server.name, partial(self._keep_server, managed_server))
        for managed in self._processes():
            self._attempt(managed.name, partial(self._keep_process, managed))

    def _attempt(self, what: str, step: Callable[[], None]) -> None:
        """Run a step; if files or memory are exhausted, the next check retries it.

        Raises:
            CannotRun: A crash-loop limit is reached.
        """
        try:
            step()
        except OSError as error:
            if what not in self._failing:
                self._say((f"{what}: {error}; trying again", "red"))
            self._failing.add(what)
        else:
            self._failing.discard(what)

    def _say(self, *parts: str | tuple[str, str]) -> None:
        """Print a line; a closed output must not stop the installation."""
        # Rich exits at a broken pipe.
        with suppress(OSError, SystemExit):
            self._console.print(styled(*parts))

    def _keep_server(self, managed: _ManagedServer) -> None:
        if managed.server.alive:
            return
        self._count_restart(managed.name, managed.restarts)
        try:
            managed.server.start(LOAD_S)
        except StartError as error:
            self._say((str(error), "red"))

    def _keep_process(self, managed: ManagedProcess) -> None:
        if managed.process is not None:
            if managed.process.poll() is None:
                return
            # Workers that outlive their parent would keep its port.
            _kill_group(managed.process.pid)
            managed.process = None
            self._count_restart(managed.name, managed.restarts)
        self._spawn(managed)

    def _count_restart(self, name: str, restarts: list[float]) -> None:
        """Record a restart.

        Raises:
            CannotRun: The crash-loop limit is reached.
        """
        now_s = monotonic()
        restarts[:] = [at for at in restarts if now_s - at < RESTARTS_WITHIN_S]
        if len(restarts) >= RESTARTS_MAX:
            raise CannotRun(
                f"{name} exited {RESTARTS_MAX + 1} times within {RESTARTS_WITHIN_S:.0f} s; see "
                f"its log above, or in {self._data_dir}"
            )
        restarts.append(now_s)
        self._say((f"{name} exited; restarting it", "yellow"))

    def _stop(self) -> None:
        for wave in reversed(self._waves):
            for managed in wave:
                if managed.process is not None and managed.process.poll() is None:
                    managed.process.terminate()
            for managed in wave:
                if managed.process is not None:
                    _await_exit(managed.process)
        # Servers are stopped last: requests that are being drained need them.
        self._stop_servers()

    def _stop_servers(self) -> None:
        for managed in reversed(self._servers):
            managed.server.stop()
            managed.url_file.unlink(missing_ok=True)
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
        # Until then, the error itself is the message to the operator.
        if self._waves:
            self._say(f"Stopped. All data is kept in {self._data_dir}")


def _await_exit(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    """Kill the remaining processes of a group.

    The id of a group is not reused while one of its processes lives.
    """
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
