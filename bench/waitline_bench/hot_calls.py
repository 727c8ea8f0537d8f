"""Measure one hot call once: at full load by wrk, or at a fixed request rate."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import NamedTuple

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.trial import ValkeyServer, processes
from waitline.trial.installation import free_port
from waitline_bench.paced import PacedPlan

CONNECTIONS = 64
ROOM = RoomId("bench")
WAITING = 20_000
"""Waiting visitors whose status is requested."""

ADMITTED = 1_000
"""Visitors whose tokens are validated."""

PACES_PER_S = (1_000, 3_000, 5_000)
"""Request rates of a quiet day, when batches are small."""

READY_S = 40.0
"""Timeout of a server's first answer."""

BENCH = Path(__file__).parents[1]
"""Folder of the request scripts (wrk/). Only in a checkout, not in the wheel."""


class Server(NamedTuple):
    """A server under test.

    Attributes:
        port: Port on 127.0.0.1.
        pid: Process whose CPU time is measured.
    """

    port: int
    pid: int


class FlatOutTarget(NamedTuple):
    """A call that wrk sends as fast as it is answered.

    Attributes:
        name: Name in the table.
        server: Name of the server.
        path: Path of a plain GET; empty with a script.
        script: The request script in bench/wrk, or empty.
        arguments: Arguments of the script.
        naive: Name of the naive server's target that it is compared with, or empty.
    """

    name: str
    server: str
    path: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    naive: str = ""


class FlatOut(NamedTuple):
    """One flat-out measurement.

    Attributes:
        per_s: Requests per second.
        cpu_us: CPU time of the server per request.
    """

    per_s: float
    cpu_us: float


class Paced(NamedTuple):
    """One paced measurement: CPU time per request of server and store, and latency."""

    cpu_us: float
    store_us: float
    p50_ms: float
    p99_ms: float


def flat_out_targets(tokens: Path, number: int) -> list[FlatOutTarget]:
    """Return the targets of one round.

    Args:
        tokens: File of the tokens to validate, a line `visitor token` each.
        number: Makes the names of visitors that enter differ from those of earlier rounds.
    """
    room = str(ROOM)
    status = (room, "w", str(WAITING))
    return [
        FlatOutTarget("empty handler", "empty", "/"),
        FlatOutTarget("naive enter", "naive", "/", "enter.lua", (room, f"n{number}-")),
        FlatOutTarget("naive status", "naive", "/", "status.lua", (room, f"n{number}-", "100")),
        FlatOutTarget("enter", "waitline", "/", "enter.lua", (room, f"e{number}-"), "naive enter"),
        FlatOutTarget("status", "waitline", "/", "status.lua", status, "naive status"),
        FlatOutTarget("validate", "waitline", "/", "validate.lua", (room, str(tokens))),
        FlatOutTarget("now-serving", "waitline", f"/api/v1/rooms/{room}/now-serving"),
    ]


def paced_targets(
    tokens: Path, number: int, seconds: float, paces: Sequence[int] = PACES_PER_S
) -> list[tuple[str, str, PacedPlan]]:
    """Return name, server and plan of each paced measurement; arguments as `flat_out_targets`."""
    room = str(ROOM)
    return [
        (name, server, PacedPlan(0, per_s, seconds, call, room, names, visitors))
        for per_s in paces
        for name, server, call, names, visitors in (
            ("empty handler", "empty", "/", "", 0),
            ("enter", "waitline", "enter", f"p{number}-{per_s}-", 0),
            ("status", "waitline", "status", "w", WAITING),
            ("validate", "waitline", "validate", str(tokens), 0),
        )
    ]


def require_tools() -> None:
    """Check that wrk and the request scripts are here.

    Raises:
        Misconfigured: One of them is missing.
    """
    if not (BENCH / "wrk" / "enter.lua").exists():
        raise Misconfigured("the request scripts are not here: run this in a checkout")
    if shutil.which("wrk") is None:
        raise Misconfigured("wrk is missing: apt-get install wrk")


def run_flat_out(target: FlatOutTarget, server: Server, core: int, seconds: float) -> FlatOut:
    """Send one call as fast as it is answered.

    Args:
        target: The call.
        server: The server under test.
        core: CPU core of wrk.
        seconds: Length of the measurement.

    Raises:
        Unavailable: More than a fiftieth of the requests was refused.
    """
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s"]
    if target.script:
        command += ["-s", str(BENCH / "wrk" / target.script)]
    command += [f"http://127.0.0.1:{server.port}{target.path}", "--", *target.arguments]
    before_s = processes.cpu_s(server.pid)
    printed = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=True, timeout=seconds + 30
    ).stdout
    used_s = processes.cpu_s(server.pid) - before_s
    done = re.search(r"(\d+) requests in", printed)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert done is not None
    assert rate is not None
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    # wrk requests one message from its script that it never sends, so one name in a hundred may be
    # missing.
    if refused and int(refused[1]) > int(done[1]) / 50:
        sent = counted(int(done[1]), "request was", "requests were")
        raise Unavailable(f"{target.name}: {refused[1]} of {sent} refused")
    return FlatOut(float(rate[1]), used_s / int(done[1]) * 1e6)


def run_paced(plan: PacedPlan, server: Server, store_pid: int, core: int) -> Paced:
    """Send one call at a fixed rate, from a generator process.

    Args:
        plan: What to send; its port is the server's.
        server: The server under test.
        store_pid: Process id of its Valkey.
        core: CPU core of the generator.

    Raises:
        Unavailable: A request was refused or not answered.
    """
    words = json.dumps(plan._replace(port=server.port)._asdict())
    command = ["taskset", "-c", str(core), sys.executable, "-m", "waitline_bench.paced", words]
    before_s, store_before_s = processes.cpu_s(server.pid), processes.cpu_s(store_pid)
    printed = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=True, timeout=plan.seconds + 30
    ).stdout
    used_s = processes.cpu_s(server.pid) - before_s
    store_s = processes.cpu_s(store_pid) - store_before_s
    outcome = json.loads(printed)
    answered = outcome["answered"]
    if outcome["bad"] or answered < outcome["offered"]:
        raise Unavailable(
            f"{plan.call} at {plan.per_s:,.0f}/s: {answered:,} of "
            f"{counted(outcome['offered'], 'request was', 'requests were')} answered, "
            f"{outcome['bad']:,} of them with a refusal; the machine is too busy"
        )
    return Paced(
        used_s / answered * 1e6, store_s / answered * 1e6, outcome["p50_ms"], outcome["p99_ms"]
    )


def medians(figures: Sequence[Paced]) -> dict[str, float]:
    """Return the median of each figure of several paced measurements."""
    columns = zip(*figures, strict=True)
    return {name: median(column) for name, column in zip(Paced._fields, columns, strict=True)}


@contextmanager
def pinned_store(folder: Path, core: int) -> Iterator[ValkeyServer]:
    """Run a store on one core, in a folder of its own."""
    store = ValkeyServer(folder)
    store.start()
    try:
        processes.set_affinity(store.pid, [core])
        yield store
    finally:
        store.stop()


@contextmanager
def start_server(
    name: str,
    arguments: Sequence[str],
    *,
    port: int | None = None,
    core: int,
    folder: Path,
    environment: Mapping[str, str],
    python: str = sys.executable,
) -> Iterator[Server]:
    """Start a Python server on its core, and stop it at the end.

    Args:
        name: Name of its log, and in messages.
        arguments: After the interpreter; `{port}` stands for the port.
        port: Its port; a free one if omitted.
        core: Its CPU core.
        folder: Its working directory, and that of its log.
        environment: Environment of the process.
        python: Its interpreter.

    Raises:
        Unavailable: It did not answer in time.
    """
    port = port or free_port()
    words = [word.format(port=port) for word in arguments]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            ["taskset", "-c", str(core), python, *words],  # noqa: S607
            cwd=folder,
            env=dict(environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}/", name)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _await_answer(url: str, name: str) -> None:
    until_s = monotonic() + READY_S
    pause = Event()
    while monotonic() < until_s:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own address
        except urllib.error.HTTPError:
            return
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise Unavailable(f"the {name} server did not start within {READY_S:.0f} s")
