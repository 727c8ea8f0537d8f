"""Starts servers and processes, keeps them running, and stops them in the right order."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console

from waitline.kernel.errors import WaitlineError
from waitline.trial import PostgresServer, StartError, ValkeyServer

LOAD_S = 60.0
"""How long an embedded server may take to load what it had: 600 000 visitors took 2.4 s."""

READY_S = 60.0
"""How long the services may take until they answer: seven interpreters start at once."""

PORT_S = 3.0
"""How long a port may take to be free: what was started by an `up` that was killed needs about a
second to notice and end. Whoever else listens there will still do so then."""

LOOK_S = 0.2
"""How often the processes are looked after."""

SYNC_S = 1.0
"""How much of the line a power cut may cost at most, unless every reply waits for the disk."""

STOP_S = 10.0
"""How long a process may take to end before it is killed."""

RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 60.0
"""A process that ends more often than this has a reason that starting it again does not mend."""


class GaveUp(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """Something cannot be kept running."""


@dataclass(slots=True)
class Part:
    """One process of ours that must run.

    Attributes:
        name: What it is called on the screen.
        arguments: Of `waitline`.
        ready: What answers once it can serve; `None` where nobody asks it anything.
        process: The one that runs now.
        restarts: When it was started again, in s on the monotonic clock.
    """

    name: str
    arguments: list[str]
    ready: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    restarts: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Server:
    """One embedded server that must run.

    Attributes:
        name: What it is called on the screen.
        server: It.
        noted: The file that says where it is, for other commands on the same folder.
        sync: What has the disk take all that was written, if nothing else does.
        restarts: As in `Part`.
    """

    name: str
    server: ValkeyServer | PostgresServer
    noted: Path
    sync: Callable[[], None] | None
    restarts: list[float] = field(default_factory=list)


class Supervisor:
    """Keeps an installation running from the first server on; leaving its block stops everything.

    Args:
        data_dir: Folder of the installation.
        console: Where to say what was started again.
    """

    def __init__(self, data_dir: Path, console: Console) -> None:
        self._data_dir = data_dir
        self._console = console
        self._stopping = threading.Event()
        self._servers: list[_Server] = []
        self._waves: Sequence[Sequence[Part]] = ()
        self._environment: Mapping[str, str] = {}
        self._synced_s = 0.0
        # Nothing is ever written to it. Only this process holds the writing end, so the parts see
        # the end of it however this process dies.
        self._lifeline, self._lifeline_end = os.pipe()

    def __enter__(self) -> Self:
        """Take the signals that end the installation. A closed terminal sends the last."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop everything: what was started last, first."""
        self._stop()

    def _stop_soon(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether somebody wants it to end."""
        return self._stopping.is_set()

    def serve(
        self,
        name: str,
        server: ValkeyServer | PostgresServer,
        note: str,
        sync: Callable[[], None] | None = None,
    ) -> str:
        """Start an embedded server, and return and note where it is.

        Args:
            name: What it is called on the screen.
            server: It.
            note: File of the data folder for where it is; gone when it has stopped.
            sync: Called every `SYNC_S`.

        Raises:
            StartError: It does not start.
        """
        server.start(LOAD_S)
        # Ours from here on: one that did not start may be another's, who uses this folder.
        noted = self._data_dir / note
        self._servers.append(_Server(name, server, noted, sync))
        noted.write_text(server.url, "utf-8")
        return server.url

    def start(self, waves: Sequence[Sequence[Part]], environment: Mapping[str, str]) -> None:
        """Start processes and wait until they answer.

        Args:
            waves: Those of a wave need those of the waves before it, and are stopped before them.
            environment: Of all of them.

        Raises:
            GaveUp: One of them ended, or did not answer in time.
        """
        self._waves, self._environment = waves, environment
        for part in self._parts():
            self._spawn(part)
        until_s = monotonic() + READY_S
        for part in self._parts():
            if part.ready is not None:
                self._await_ready(part.ready, until_s)

    def run(self) -> None:
        """Look after everything until somebody wants it to end.

        Raises:
            GaveUp: Something ends again and again.
        """
        while not self._stopping.wait(LOOK_S):
            self._look_after()

    def await_port(self, host: str, port: int, option: str) -> None:
        """Return once a port is free.

        Somebody else's service there would answer that it is ready, and ours never would.

        Raises:
            GaveUp: It does not become free; the message names the option that chooses another.
        """
        until_s = monotonic() + PORT_S
        while not self._stopping.is_set():
            try:
                with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
            except OSError as error:
                if monotonic() > until_s:
                    raise GaveUp(
                        f"cannot listen on {host}, port {port}: {error.strerror}; "
                        f"{option} chooses another"
                    ) from None
                self._stopping.wait(LOOK_S)
            else:
                return

    def _parts(self) -> list[Part]:
        return [part for wave in self._waves for part in wave]

    def _spawn(self, part: Part) -> None:
        # In a session of its own: Ctrl-C reaches this process alone, which stops the others in
        # the right order.
        part.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *part.arguments],
            env=self._environment,
            stdin=self._lifeline,
            start_new_session=True,
        )

    def _await_ready(self, url: str, until_s: float) -> None:
        while not self._stopping.wait(0.05):
            for part in self._parts():
                if part.process is not None and part.process.poll() is not None:
                    raise GaveUp(
                        f"the {part.name} ended with status {part.process.returncode} at the "
                        "start; its last lines above say why"
                    )
            try:
                with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                    return
            except (urllib.error.URLError, OSError):
                if monotonic() > until_s:
                    raise GaveUp(f"no answer from {url} within {READY_S:.0f} s") from None

    def _look_after(self) -> None:
        now_s = monotonic()
        due = now_s - self._synced_s >= SYNC_S
        if due:
            self._synced_s = now_s
        for one in self._servers:
            if due and one.sync is not None:
                one.sync()
            if not one.server.alive:
                self._count(one.name, one.restarts)
                try:
                    one.server.start(LOAD_S)
                except StartError as error:
                    self._console.print(f"[red]{error}[/]")
        for part in self._parts():
            if part.process is not None and part.process.poll() is not None:
                # Workers that outlived the process that listens for them would keep its port.
                _end_group(part.process.pid)
                self._count(part.name, part.restarts)
                self._spawn(part)

    def _count(self, name: str, restarts: list[float]) -> None:
        """Note a restart.

        Raises:
            GaveUp: There were too many.
        """
        now_s = monotonic()
        restarts[:] = [at for at in restarts if now_s - at < RESTARTS_WITHIN_S]
        if len(restarts) >= RESTARTS_MAX:
            raise GaveUp(
                f"{name} ended {RESTARTS_MAX + 1} times within {RESTARTS_WITHIN_S:.0f} s; its log "
                f"above, or in {self._data_dir}, says why"
            )
        restarts.append(now_s)
        self._console.print(f"[yellow]{name} ended; starting it again[/]")

    def _stop(self) -> None:
        for wave in reversed(self._waves):
            for part in wave:
                if part.process is not None and part.process.poll() is None:
                    part.process.terminate()
            for part in wave:
                if part.process is not None:
                    _ended(part.process)
        # Last: whoever is still being answered needs them.
        for one in reversed(self._servers):
            one.server.stop()
            one.noted.unlink(missing_ok=True)
        if self._servers:
            self._console.print(f"Stopped. All that was in there is kept in {self._data_dir}")


def _ended(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _end_group(process.pid)


def _end_group(leader: int) -> None:
    """Kill what is left of the processes that one of ours has started.

    Its id is not given to another process as long as one of its group lives.
    """
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
