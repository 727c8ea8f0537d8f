"""`waitline up` killed at any moment: nothing of it stays, and the next start works."""

import json
import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.stack import SOON_S, START_S, WAITLINE, Stack, up
from tests.until import until
from waitline.trial.machine import free_port
from waitline.trial.supervisor import UP

pytestmark = pytest.mark.long

# Seconds into the start at which it is killed: from the first import to the services' readiness.
MOMENTS_S = [0.3, 0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0]


@pytest.fixture
def long_folder() -> Iterator[Path]:
    """A data folder whose path is too long for a socket, so that a temporary one is used too."""
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        folder = Path(name, "x" * 90)
        folder.mkdir()
        yield folder


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that no other program of the machine uses."""
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def concerned(folder: Path) -> list[str]:
    """Return the command line of every process that was started for a data folder."""
    wanted, found = str(folder), []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE and (
                wanted in words
                or wanted in process.cwd()
                or process.environ().get("WAITLINE_DATA_DIR", "").startswith(wanted)
            ):
                found.append(words)
    return found


def command(folder: Path) -> list[str]:
    ports = ("--queue-port", str(free_port()), "--booking-port", str(free_port()))
    return [*WAITLINE, "up", "--workers", "1", *ports, "--data-dir", str(folder)]


def killed_after(folder: Path, moment_s: float) -> None:
    """Start an installation and kill it after some seconds."""
    program = subprocess.Popen(  # noqa: S603 - our own command
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with suppress(subprocess.TimeoutExpired):
        program.wait(moment_s)
    program.kill()
    program.wait()


def test_nothing_of_a_killed_up_stays_and_the_next_one_starts(
    long_folder: Path, temporary: Path
) -> None:
    for moment_s in MOMENTS_S:
        killed_after(long_folder, moment_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        until(lambda: not concerned(long_folder), START_S, f"nothing stays after {moment_s} s")
    # At once after the last death, while its processes still end.
    killed_after(long_folder, MOMENTS_S[-1])
    with up(long_folder, workers=1, box_office=True) as stack:
        assert stack.whole()
        assert list(temporary.glob("waitline-*")), "the sockets' folder"
        os.kill(stack.program.pid, signal.SIGKILL)
        stack.program.process.wait()
        until(lambda: not concerned(long_folder), START_S, "nothing of the whole one stays")
    until(lambda: not list(temporary.glob("waitline-*")), SOON_S, "no temporary folder stays")


@contextmanager
def running(words: list[str], log_file: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run an installation that is up."""
    with (
        log_file.open("wb") as log,
        subprocess.Popen(words, stdout=log, stderr=log) as program,  # noqa: S603 - our own command
    ):
        until(lambda: UP in log_file.read_text("utf-8"), START_S, "it is up")
        yield program


def rooms(data: Path) -> list[str]:
    listed = subprocess.run(  # noqa: S603 - our own command
        [*WAITLINE, "rooms", "list", "--json", "--data-dir", str(data)],
        capture_output=True,
        text=True,
        check=True,
        timeout=START_S,
    )
    return [one["room"] for one in json.loads(listed.stdout)]


def test_nothing_of_a_killed_cluster_stays_and_the_next_one_has_its_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    data = folder / "data"
    words = [*command(data), "--no-box-office", "--cluster", "3+3"]
    for round_no in range(3):
        with running(words, folder / f"{round_no}.log") as program:
            assert rooms(data) == [f"r{number}" for number in range(round_no)]
            made = [*WAITLINE, "rooms", "create", f"r{round_no}", "--data-dir", str(data)]
            subprocess.run(made, capture_output=True, check=True, timeout=START_S)  # noqa: S603 - our own command
            program.kill()
            program.wait()
        until(lambda: not concerned(data), START_S, "nothing stays")


def guards(stack: Stack) -> list[int]:
    found = []
    for child in psutil.Process(stack.program.pid).children():
        with suppress(psutil.Error):
            if "waitline.trial.guard" in child.cmdline():
                found.append(child.pid)
    return found


def test_a_guard_that_comes_late_leaves_the_next_start_alone(folder: Path) -> None:
    with up(folder, workers=1) as stack:
        (late,) = guards(stack)
        os.kill(late, signal.SIGSTOP)
        os.kill(stack.program.pid, signal.SIGKILL)
        stack.program.process.wait()
    with up(folder, workers=1) as stack:
        servers = [one for one in psutil.Process(stack.program.pid).children() if serves(one)]
        assert servers
        os.kill(late, signal.SIGCONT)
        until(lambda: not psutil.pid_exists(late), START_S, "the guard has ended")
        assert all(one.is_running() for one in servers)


def serves(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.name() in {"valkey-server", "postgres"}
    return False


def test_a_guard_that_was_killed_is_replaced(folder: Path) -> None:
    with up(folder, workers=1) as stack:
        (first,) = guards(stack)
        os.kill(first, signal.SIGKILL)
        until(lambda: guards(stack) not in ([first], []), SOON_S, "there is another")
        os.kill(stack.program.pid, signal.SIGKILL)
        stack.program.process.wait()
        until(lambda: not concerned(folder), START_S, "nothing stays")
