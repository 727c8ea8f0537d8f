"""Find k6, inspect a script with it, and run it against an installation.

Scripts address the services by the host names of the contract's scripts. k6's option `hosts`, in a
configuration file, maps them to our ports, so other people's scripts run unchanged.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from waitline import settings as chosen
from waitline.kernel.errors import Misconfigured
from waitline.trial import machine
from waitline_bench.scenario.offer import Offer, parse_offer

QUEUE_ALIAS = "queue-service:8081"
BOOKING_ALIAS = "core-service:8080"
"""Addresses of the queue and booking service in the contract's scripts."""

TREND_STATS = ("avg", "min", "med", "p(90)", "p(95)", "p(99)", "max", "count")
"""Statistics of k6's trends, unless a script sets its own."""

MEMORY_SHARE = 4
"""Heap of k6 before Go's garbage collection, as a divisor of the machine's memory. By default Go
collects whenever the heap has doubled: in an entry run, a third of the arrivals were then missing
in one second of every ten, caused by the generator."""

INSPECT_S = 60.0
"""Timeout of inspecting a script."""

STOP_S = 20.0
"""Time for k6 to write its summary after SIGINT."""

THRESHOLD_CROSSED = 99
"""k6's exit status when a threshold failed, and nothing worse. Source: errext/exitcodes of k6."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of k6.

    Attributes:
        binary: The program.
        script: The script.
        variables: Environment of the script, by `-e`.
        folder: Folder of its output, and of files that the script writes.
        port: Port of the queue service on 127.0.0.1.
        booking_port: Port of the booking service; unused without a box office.
    """

    binary: Path
    script: Path
    variables: Mapping[str, str]
    folder: Path
    port: int
    booking_port: int

    @property
    def summary_file(self) -> Path:
        """k6's figures, as JSON."""
        return self.folder / "k6.json"

    @property
    def log_file(self) -> Path:
        """Warnings and errors of k6 and the script, one JSON object per line."""
        return self.folder / "k6.log"


def find() -> Path:
    """Return the k6 on PATH, else the one installed with this Python.

    Raises:
        Misconfigured: There is neither.
    """
    on_path = shutil.which("k6")
    beside = Path(sys.executable).with_name("k6")
    if on_path is not None:
        return Path(on_path)
    if beside.exists():
        return beside
    raise Misconfigured("k6 is missing: make bench installs it, or put a k6 on PATH")


def version(binary: Path) -> str:
    """Return the version of k6."""
    return _asked([str(binary), "version"]).strip()


def offer(binary: Path, script: Path, variables: Mapping[str, str]) -> Offer:
    """Inspect a script with k6.

    Raises:
        Misconfigured: k6 cannot read the script; the message holds the end of its output.
    """
    command = [str(binary), "inspect", "--execution-requirements"]
    return parse_offer(json.loads(_asked([*command, *_variables(variables), str(script)])))


@contextmanager
def running(job: Job) -> Iterator["subprocess.Popen[bytes]"]:
    """Run k6 in a session of its own; it has always ended afterwards."""
    config = job.folder / "k6-config.json"
    hosts = {
        QUEUE_ALIAS: f"127.0.0.1:{job.port}",
        BOOKING_ALIAS: f"127.0.0.1:{job.booking_port}",
    }
    # Lowest precedence: the script's own options override it.
    config.write_text(json.dumps({"hosts": hosts, "summaryTrendStats": TREND_STATS}), "utf-8")
    command = [str(job.binary), "run", "--config", str(config), *_variables(job.variables)]
    # No REST API, which would only take a port, and no new-style summary, which would process every
    # sample twice.
    command += ["--address", "", "--summary-mode", "legacy", "--no-usage-report"]
    command += ["--quiet", "--no-color", "--log-format", "json"]
    command += ["--summary-export", str(job.summary_file), str(job.script.absolute())]
    output = (job.folder / "k6.txt").open("wb")
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        processes.append(
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                # Working directory, for files that scripts write.
                cwd=job.folder,
                env={
                    **_environment(),
                    "GOGC": "off",
                    "GOMEMLIMIT": str(machine.memory_bytes() // MEMORY_SHARE),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )
        )

    # A signal interrupts the main thread only, at any point. In a separate thread, starting k6 and
    # recording its process is not interrupted.
    with output, job.log_file.open("wb") as log, ThreadPoolExecutor(1) as starter:
        try:
            starter.submit(start).result()
            yield processes[0]
        finally:
            starter.shutdown()
            for process in processes:
                _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    # After one signal k6 still writes its summary; a second one would abort it.
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)


def _variables(variables: Mapping[str, str]) -> list[str]:
    # K6_ variables of the shell must not change the offered load.
    words = ["--include-system-env-vars=false"]
    for name, value in variables.items():
        words += ["-e", f"{name}={value}"]
    return words


def _environment() -> dict[str, str]:
    return {name: value for name, value in chosen.inherited().items() if name[:3] != "K6_"}


def _asked(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            capture_output=True,
            text=True,
            timeout=INSPECT_S,
            env=_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Misconfigured(f"{command[0]} does not run: {error}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Misconfigured(f"k6 cannot read {command[-1]}: {_said(lines[-1])}")
    return done.stdout


def _said(line: str) -> str:
    """Return the message of a line of k6's log."""
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    text = found[1].replace("\\n", " ").replace("\\t", " ").replace('\\"', '"') if found else line
    return " ".join(text.split())
