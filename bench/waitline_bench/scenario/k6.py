"""Find k6, inspect a script with it, and run it against an installation.

Scripts address the services by the names that the contract's scripts use. k6 learns, by its option
`hosts` in a configuration file, that these are our ports: so scripts of others run as they are.
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
"""Where the contract's scripts look for the queue service, and for the booking service."""

TREND_STATS = ("avg", "min", "med", "p(90)", "p(95)", "p(99)", "max", "count")
"""What k6 says of each time, unless a script chooses otherwise."""

MEMORY_SHARE = 4
"""One in so many bytes of the machine's memory is what k6 fills before it collects garbage. Go
collects when the heap has doubled; in an entry run that did, every ten seconds there was one in
which a third of the arrivals were missing: the generator's doing, not that of what is measured."""

INSPECT_S = 60.0
"""How long k6 may take to read a script."""

STOP_S = 20.0
"""How long k6 may take to write its summary after it was asked to stop."""

THRESHOLD_CROSSED = 99
"""k6's exit status when a threshold failed, and nothing worse. Source: errext/exitcodes of k6."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of k6.

    Attributes:
        binary: The program.
        script: What it runs.
        variables: Environment of the script, by `-e`.
        folder: Where its files go, and those that the script writes.
        port: Of the queue service, on 127.0.0.1.
        booking_port: Of the booking service; without a box office nothing listens there.
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
    """Return the k6 on PATH, else the one that was installed beside this Python.

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
        Misconfigured: k6 cannot read the script; the message holds its last words.
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
    # The lowest word of all: what the script chooses itself holds.
    config.write_text(json.dumps({"hosts": hosts, "summaryTrendStats": TREND_STATS}), "utf-8")
    command = [str(job.binary), "run", "--config", str(config), *_variables(job.variables)]
    # Without a REST API, which would need a port and is asked by nobody; and without k6's newer
    # summary, which counts every sample a second time.
    command += ["--address", "", "--summary-mode", "legacy", "--no-usage-report"]
    command += ["--quiet", "--no-color", "--log-format", "json"]
    command += ["--summary-export", str(job.summary_file), str(job.script.absolute())]
    output = (job.folder / "k6.txt").open("wb")
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        processes.append(
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                # Here go the files that scripts write beside themselves.
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

    # A signal interrupts the main thread only, at any point. In a thread of its own, k6 is either
    # started and noted or not started at all.
    with output, job.log_file.open("wb") as log, ThreadPoolExecutor(1) as starter:
        try:
            starter.submit(start).result()
            yield processes[0]
        finally:
            starter.shutdown()
            for process in processes:
                _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Once, it writes its summary still; it takes no second asking.
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)


def _variables(variables: Mapping[str, str]) -> list[str]:
    # What happens to be in the shell must not change what is offered.
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
