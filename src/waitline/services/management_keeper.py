"""Supervisor of a service's management process: restarts it with exponential backoff.

In production mode, metrics, version and API description have an address of their own.

The process that starts the workers opens the management address before them, so that a port that
is taken ends the start, and keeps it open. It runs the management process as a child, and starts
it again when it ends; scrapers wait in the backlog meanwhile. Workers are unaffected: they share
neither its event loop nor its memory (decision 0023).
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from waitline.kernel import listeners
from waitline.kernel.errors import Misconfigured

BACKLOG = 64
"""Connections that may wait to be accepted: a few scrapers and operators."""

RESTART_S = 1.0
RESTART_MAX_S = 30.0
"""First and longest pause before the process is started again, in s; it doubles. A crash loop costs
little then, and two scrapes at most are missed once the cause is gone."""

STEADY_S = 60.0
"""After running for this long, in s, the next pause is the first again."""

STOP_S = 5.0
"""Seconds between SIGTERM and SIGKILL."""

log = structlog.get_logger()


@contextmanager
def kept(module: str, host: str, port: int, variable: str) -> Iterator[None]:
    """Keep a management process running until the block ends.

    Args:
        module: The module that it runs, with the numbers of the listening sockets as arguments.
        host: The management address.
        port: Its port.
        variable: The environment variable that sets the port, for the error.

    Raises:
        Misconfigured: The address cannot be listened on.
    """
    bound = listen(host, port, variable)
    keeper = _Keeper(module, bound)
    thread = threading.Thread(target=keeper.run, daemon=True, name="management-keeper")
    thread.start()
    try:
        yield
    finally:
        keeper.stop()
        thread.join(STOP_S)
        for listener in bound:
            listener.close()


def listen(host: str, port: int, variable: str) -> list[socket.socket]:
    """Listen on each address of the management host, all on one port.

    Args:
        host: IPv4 or IPv6 address, or a name.
        port: Its port.
        variable: The environment variable that sets the port, for the error.

    Raises:
        Misconfigured: It cannot be listened on.
    """
    try:
        bound = listeners.bind(host, port)
        for listener in bound:
            listener.listen(BACKLOG)
    except OSError as error:
        # Python appends the address to some messages.
        reason = str(error.strerror).partition(" (while")[0]
        raise Misconfigured(
            f"cannot listen on the management address {host}, port {port}: {reason}; "
            f"{variable} chooses another port, WAITLINE_MANAGEMENT_HOST another address"
        ) from None
    return bound


class _Keeper:
    """Starts the process, and starts it again when it ends.

    Args:
        module: The module that it runs.
        bound: The listening sockets, which it inherits.
    """

    def __init__(self, module: str, bound: Sequence[socket.socket]) -> None:
        self._module = module
        self._bound = bound
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Run it until `stop` is called."""
        pause_s = RESTART_S
        while not self._stopping.is_set():
            started_s = time.monotonic()
            try:
                status: object = self._run_once()
            except OSError as error:
                # No process can be started now: too many files or processes are open.
                status = error
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s > STEADY_S:
                pause_s = RESTART_S
            log.warning("management_exited", status=str(status), retry_in_s=pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, RESTART_MAX_S)

    def _run_once(self) -> int:
        numbers = [listener.fileno() for listener in self._bound]
        # End of file on its standard input, when this process dies, stops it.
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", self._module, *map(str, numbers)],
            stdin=subprocess.PIPE,
            pass_fds=numbers,
            # Ctrl-C reaches the process that starts the workers alone, which stops this one.
            start_new_session=True,
        )
        with self._process:
            if self._stopping.is_set():
                self._process.terminate()
            return self._process.wait()

    def stop(self) -> None:
        """Stop it."""
        self._stopping.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
