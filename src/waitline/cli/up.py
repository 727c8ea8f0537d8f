"""Everything on this machine: Valkey, the queue service, the admitter."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType

from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.embedded import StartError, Valkey
from waitline.errors import WaitlineError

LOAD_S = 60.0
"""How long the embedded server may take to load what it had: 600 000 visitors took 2.4 s."""

READY_S = 30.0
"""How long the services may take until they answer."""

PORT_S = 3.0
"""How long the port may take to be free: what was started by an `up` that was killed needs about a
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
class _Part:
    """One process of ours that must run.

    Attributes:
        name: What it is called on the screen.
        arguments: Of `waitline`.
        process: The one that runs now.
        restarts: When it was started again, in s on the monotonic clock.
    """

    name: str
    arguments: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    restarts: list[float] = field(default_factory=list)


def up(
    queue_port: options.QueuePort = None,
    workers: options.Workers = None,
    host: options.Host = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    mode: options.Mode = None,
) -> None:
    """Start everything on this machine and say where it runs. Ctrl-C stops it all.

    In trial mode unless told otherwise: whoever names a visitor is believed, and a room appears at
    its first visitor. What was in the line is still there at the next start.
    """
    settings = chosen.read(
        queue_port=queue_port,
        workers=workers,
        host=host,
        data_dir=data_dir,
        valkey_url=valkey_url,
        mode=mode or chosen.given("mode") or "trial",
    )
    options.log_to_stderr()
    _Supervisor(settings).run()


class _Supervisor:
    """Starts the parts, keeps them running, and stops them in the right order."""

    def __init__(self, settings: chosen.Settings) -> None:
        self._console = Console(stderr=False, highlight=False)
        self._stopping = threading.Event()
        self._data_dir = settings.data_dir.absolute()
        self._valkey: Valkey | None = None
        self._valkey_restarts: list[float] = []
        self._synced = 0.0
        self._settings = settings
        self._parts = [
            _Part("queue service", ["queue", "--until-stdin-ends"]),
            _Part("admitter", ["admitter", "--until-stdin-ends"]),
        ]
        # Nothing is ever written to it. Only this process holds the writing end, so the parts see
        # the end of it however this process dies.
        self._lifeline, self._lifeline_end = os.pipe()

    def run(self) -> None:
        # A terminal that is closed sends the last.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_soon)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
            if not self._stopping.is_set():
                self._show()
            while not self._stopping.wait(LOOK_S):
                self._look_after()
        finally:
            self._stop()

    def _stop_soon(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _start(self) -> None:
        settings = self._settings
        if settings.valkey_url is None:
            valkey = Valkey(
                self._data_dir / "valkey",
                maxmemory_bytes=settings.valkey_memory_mb * 1024**2,
                appendfsync="always" if settings.sync == "write" else "no",
            )
            valkey.start(LOAD_S)
            # Ours from here on: one that did not start may be another's, who uses this folder.
            self._valkey = valkey
            (self._data_dir / "valkey.url").write_text(self._valkey.url, "utf-8")
            settings = settings.model_copy(update={"valkey_url": self._valkey.url})
        self._settings = settings.model_copy(update={"data_dir": self._data_dir})
        shutil.rmtree(self._settings.metrics_dir, ignore_errors=True)
        self._settings.metrics_dir.mkdir(parents=True)
        chosen.operator_key(self._settings)
        self._await_port()
        for part in self._parts:
            self._spawn(part)
        self._await_ready()

    def _spawn(self, part: _Part) -> None:
        # In a session of its own: Ctrl-C reaches this process alone, which stops the others in
        # the right order.
        part.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *part.arguments],
            env=chosen.environment(self._settings),
            stdin=self._lifeline,
            start_new_session=True,
        )

    def _await_port(self) -> None:
        # Somebody else's service there would answer that it is ready, and ours never would.
        until = monotonic() + PORT_S
        host, port = self._settings.host, self._settings.queue_port
        while not self._stopping.is_set():
            try:
                with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
            except OSError as error:
                if monotonic() > until:
                    raise GaveUp(
                        f"cannot listen on {host}, port {port}: {error.strerror}; "
                        "--queue-port chooses another"
                    ) from None
                self._stopping.wait(LOOK_S)
            else:
                return

    def _await_ready(self) -> None:
        until = monotonic() + READY_S
        url = f"{self._url()}/actuator/health/readiness"
        while not self._stopping.wait(0.05):
            for part in self._parts:
                if part.process is not None and part.process.poll() is not None:
                    raise GaveUp(
                        f"the {part.name} ended with status {part.process.returncode} at the "
                        "start; its last lines above say why"
                    )
            try:
                with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                    return
            except (urllib.error.URLError, OSError):
                if monotonic() > until:
                    raise GaveUp(f"no answer from {url} within {READY_S:.0f} s") from None

    def _look_after(self) -> None:
        if self._valkey is not None and self._settings.sync == "second":
            now = monotonic()
            if now - self._synced >= SYNC_S:
                self._synced = now
                self._valkey.sync()
        if self._valkey is not None and not self._valkey.alive:
            self._count("Valkey", self._valkey_restarts)
            try:
                self._valkey.start(LOAD_S)
            except StartError as error:
                self._console.print(f"[red]{error}[/]")
        for part in self._parts:
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
        now = monotonic()
        restarts[:] = [at for at in restarts if now - at < RESTARTS_WITHIN_S]
        if len(restarts) >= RESTARTS_MAX:
            raise GaveUp(
                f"{name} ended {RESTARTS_MAX + 1} times within {RESTARTS_WITHIN_S:.0f} s; its log "
                f"above, or in {self._data_dir}, says why"
            )
        restarts.append(now)
        self._console.print(f"[yellow]{name} ended; starting it again[/]")

    def _stop(self) -> None:
        for part in self._parts:
            if part.process is not None and part.process.poll() is None:
                part.process.terminate()
        for part in self._parts:
            if part.process is not None:
                _ended(part.process)
        if self._valkey is not None:
            # Last: whoever is still being answered needs it.
            self._valkey.stop()
            (self._data_dir / "valkey.url").unlink(missing_ok=True)
            self._console.print(f"Stopped. Everybody's place is kept in {self._data_dir}")

    def _url(self) -> str:
        host = self._settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - for display
        return f"http://{shown}:{self._settings.queue_port}"

    def _show(self) -> None:
        settings, url = self._settings, self._url()
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        rows = [
            ("waiting page", f"[bold]{url}/rooms/demo[/]"),
            (
                "queue service",
                f"{url}  ({_many(settings.workers, 'worker')}, {settings.mode} mode)",
            ),
            ("its calls", f"{url}/docs"),
            ("metrics", f"{url}/actuator/prometheus"),
            ("admitter", "letting visitors in"),
            ("Valkey", str(settings.valkey_url)),
            ("data", f"{self._data_dir}  (operator key in operator.key)"),
        ]
        for name, text in rows:
            table.add_row(f"[cyan]{name}[/]", text)
        self._console.print("\n[bold green]Waitline is up.[/] Ctrl-C stops it.\n")
        self._console.print(table, soft_wrap=True)
        self._console.print()


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


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
