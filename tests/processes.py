"""Child processes of tests: start, observe, stop."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.until import until

# Seconds that a program gets between SIGTERM and SIGKILL: more than it takes to stop its store.
STOP_S = 15.0

# Bytes of output that a failure shows.
TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs in a session of its own, so its id is that of its group too."""

    process: subprocess.Popen[bytes]
    output_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything it has written so far, to stdout and stderr."""
        return self.output_file.read_text("utf-8", errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal_group(self, signum: signal.Signals) -> None:
        """Signal the program and its children, whichever of them are left."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signum)

    def end(self) -> None:
        if self.alive:
            self.signal_group(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        self.signal_group(signal.SIGKILL)
        self.process.wait()


@contextmanager
def started(
    argv: Sequence[str | Path],
    env: Mapping[str, str],
    ready: Callable[[], bool],
    deadline_s: float,
) -> Iterator[Program]:
    """Run a program until the block ends; a failure in the block shows the end of its output.

    It sees `env` on top of `environment`.
    """
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        output_file = Path(folder) / "output"
        with output_file.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the tests say what they run
                [str(word) for word in argv],
                env={**environment(), **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        program = Program(process, output_file)
        try:
            until(lambda: not program.alive or ready(), deadline_s, f"{argv[0]} is ready")
            assert program.alive, f"{argv[0]} ended at start with {process.returncode}"
            yield program
        except BaseException as failure:
            tail = program.output[-TAIL_BYTES:]
            failure.add_note(f"--- the last words of {argv[0]} ---\n{tail}")
            raise
        finally:
            program.end()


def finished(
    argv: Sequence[str | Path], folder: Path, deadline_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with its output as text.

    It runs in a session of its own, and its children end with it, also if it takes too long.

    Raises:
        subprocess.TimeoutExpired: It does, and has been ended.
    """
    words = [str(word) for word in argv]
    process = subprocess.Popen(  # noqa: S603 - the tests say what they run
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=deadline_s)
        return subprocess.CompletedProcess(words, process.returncode, output, errors)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def halted(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes (SIGSTOP) during the block, in the given order."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def environment() -> dict[str, str]:
    """Return our environment without our own settings, for a program that a test starts.

    A developer's shell must not decide what a test finds. The rest belongs to the program: without
    PYTHONPATH it may be another version of it. Services do not drain: no balancer would notice.
    """
    ours = os.environ.items()  # noqa: TID251 - programs inherit it, PATH above all
    kept = {name: value for name, value in ours if not name.startswith("WAITLINE_")}
    return kept | {"WAITLINE_DRAIN_S": "0"}
