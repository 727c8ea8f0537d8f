"""Watchdog: stop the embedded servers of a data folder when their `waitline up` dies.

Services stop by themselves when their standard input ends. The servers do not read theirs, and a
signal on the parent's death (PR_SET_PDEATHSIG) does not survive the change of user that PostgreSQL
needs. So a separate process waits for end-of-file on its standard input and stops them.

    python -m waitline.trial.guard DATA_DIR
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from waitline.trial.embedded_server import remove_socket_folder, until

STOP_S = 10.0
"""Seconds between the request to stop and SIGKILL: as long as `waitline up` waits for Valkey."""

SETTLE_S = 0.5
"""Seconds of looking for newly started servers: one that was being started when its `waitline up`
died may not have called exec yet."""

_STOP_SIGNALS = {
    "valkey-server": signal.SIGTERM,
    # Fast shutdown: sessions are ended and their transactions rolled back.
    "postgres": signal.SIGINT,
    "initdb": signal.SIGTERM,
}
_FOLDERS = ("valkey", "valkey-cluster/*", "postgres", "postgres/data", "postgres/data.new")


def main() -> None:
    """Wait for the end of standard input, then stop the servers of the folder in `argv`."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    stop_left(Path(sys.argv[1]))


def stop_left(data_dir: Path) -> None:
    """Stop the servers of a folder that this process's own `waitline up` started."""
    asked: set[psutil.Process] = set()

    def settled() -> bool:
        for process in set(_orphans(data_dir)) - asked:
            asked.add(process)
            _ask(process, data_dir)
        return False

    until(settled, SETTLE_S)
    _, alive = psutil.wait_procs(list(asked), STOP_S)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, 1.0)
    if not any(True for _ in _servers(data_dir)):
        for folder in ("valkey", "valkey-cluster/*", "postgres"):
            for found in data_dir.glob(folder):
                remove_socket_folder(found)


def _orphans(data_dir: Path) -> Iterator[psutil.Process]:
    """Yield the servers whose `waitline up` was that of this process.

    When it dies, all its children get one new parent. The servers of the next `waitline up`, which
    may have started at once, are children of that one.
    """
    for process in _servers(data_dir):
        with suppress(psutil.Error):
            if process.ppid() == os.getppid():
                yield process


def _servers(data_dir: Path) -> Iterator[psutil.Process]:
    folders = {str(found.resolve()) for folder in _FOLDERS for found in data_dir.glob(folder)}
    for process in psutil.process_iter():
        # Processes of other users cannot be read, and any process may exit in the meantime.
        with suppress(psutil.Error, OSError):
            if Path(process.exe()).name in _STOP_SIGNALS and process.cwd() in folders:
                yield process


def _ask(process: psutil.Process, data_dir: Path) -> None:
    """Ask a server to stop; its own children follow it."""
    with suppress(psutil.Error, OSError):
        parent = process.parent()
        if parent is None or parent not in set(_servers(data_dir)):
            process.send_signal(_STOP_SIGNALS[Path(process.exe()).name])


if __name__ == "__main__":
    main()
