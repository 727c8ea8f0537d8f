"""Requests/s of the hot calls, next to an empty handler and a naive server in the same run.

One worker has a core for itself; Valkey and wrk share the other. All of them are asked in turn,
several rounds, and the median counts. The worker's processor time per request is given too: it
hardly changes with the neighbours of the machine.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

from waitline import settings as chosen
from waitline.bench import machine, scripts
from waitline.bench.stack import free_port
from waitline.embedded import Valkey
from waitline.errors import Misconfigured, Unavailable
from waitline.ids import RoomId

CONNECTIONS = 64
ROOM = RoomId("bench")
WAITING = 20_000
"""Visitors that wait while their status is asked."""

ADMITTED = 1_000
"""Visitors whose tokens are validated."""

READY_S = 15.0


class Target(NamedTuple):
    """One thing that is measured.

    Attributes:
        name: What it is called in the table.
        server: Which server it is asked of.
        path: Where, if wrk's own request will do.
        script: The request script in load/wrk, or empty.
        arguments: Of the script.
        naive: Whom of the naive server it is compared with, by name.
    """

    name: str
    server: str
    path: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    naive: str = ""


def measure(note: Callable[[str], None], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure every target in turn, several rounds.

    Args:
        note: Told what is being done.
        seconds: Length of one measurement.
        rounds: How many of each.

    Returns:
        A row per target, in the order of the table.

    Raises:
        Misconfigured: wrk or the checkout is missing.
    """
    load = _load_folder()
    if shutil.which("wrk") is None:
        raise Misconfigured("wrk is missing: apt-get install wrk")
    own_core, other_core = machine.cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        note("starting the servers")
        valkey = Valkey(folder / "valkey")
        valkey.start()
        stack.callback(valkey.stop)
        machine.pin(valkey.pid, other_core)
        servers = {
            name: stack.enter_context(_server(name, folder, valkey.url, load, own_core))
            for name in ("waitline", "naive", "empty")
        }
        note(f"{WAITING:,} visitors join, {ADMITTED:,} are admitted")
        tokens = folder / "tokens"
        tokens.write_text(scripts.fill(valkey.url, folder, ROOM, WAITING, ADMITTED), "utf-8")
        runs: dict[str, list[tuple[float, float]]] = {}
        for number in range(rounds):
            for target in _targets(tokens, number):
                note(f"round {number + 1} of {rounds}: {target.name}")
                runs.setdefault(target.name, []).append(
                    _run(target, servers[target.server], load, other_core, seconds)
                )
    return _rows(runs)


def _targets(tokens: Path, number: int) -> list[Target]:
    room = str(ROOM)
    status = (room, "w", str(WAITING))
    return [
        Target("empty handler", "empty", "/"),
        Target("naive enter", "naive", "/", "enter.lua", (room, f"n{number}-")),
        Target("naive status", "naive", "/", "status.lua", (room, f"n{number}-", "500")),
        Target("enter", "waitline", "/", "enter.lua", (room, f"e{number}-"), "naive enter"),
        Target("status", "waitline", "/", "status.lua", status, "naive status"),
        Target("validate", "waitline", "/", "validate.lua", (room, str(tokens))),
        Target("now-serving", "waitline", f"/api/v1/rooms/{room}/now-serving"),
    ]


def _rows(runs: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    rates = {name: median(rate for rate, _ in figures) for name, figures in runs.items()}
    comparisons = {target.name: target.naive for target in _targets(Path(), 0)}
    return [
        {
            "name": name,
            "per_s": rates[name],
            "least_per_s": min(rate for rate, _ in figures),
            "most_per_s": max(rate for rate, _ in figures),
            "of_empty": rates[name] / rates["empty handler"],
            "of_naive": rates[name] / rates[other] if (other := comparisons[name]) else None,
            "cpu_us": median(cpu_us for _, cpu_us in figures),
        }
        for name, figures in runs.items()
    ]


def _run(
    target: Target, server: tuple[int, int], load: Path, core: int, seconds: float
) -> tuple[float, float]:
    """Return requests/s, and the worker's processor time per request in us."""
    port, pid = server
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s"]
    if target.script:
        command += ["-s", str(load / "wrk" / target.script)]
    command += [f"http://127.0.0.1:{port}{target.path}", "--", *target.arguments]
    before_s = machine.cpu_s(pid)
    printed = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=True, timeout=seconds + 30
    ).stdout
    used_s = machine.cpu_s(pid) - before_s
    done = re.search(r"(\d+) requests in", printed)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert done is not None
    assert rate is not None
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    if refused and int(refused[1]) > int(done[1]) / 100:
        raise Unavailable(f"{target.name}: {refused[1]} of {done[1]} requests were refused")
    return float(rate[1]), used_s / int(done[1]) * 1e6


@contextmanager
def _server(
    name: str, folder: Path, valkey_url: str, load: Path, core: int
) -> Iterator[tuple[int, int]]:
    """Start a server on its core and yield its port and process id."""
    port = free_port()
    if name == "waitline":
        arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
        arguments += ["--queue-port", str(port)]
    else:
        module = "app" if name == "naive" else "empty"
        arguments = ["-m", "load.naive.serve", module, str(port)]
    settings = chosen.read(data_dir=folder, valkey_url=valkey_url)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            ["taskset", "-c", str(core), sys.executable, *arguments],  # noqa: S607
            cwd=load.parent,
            env={**chosen.environment(settings), "NAIVE_VALKEY_URL": valkey_url},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}/", name)
        yield port, process.pid
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


def _load_folder() -> Path:
    folder = Path(__file__).parents[3] / "load"
    if not (folder / "naive" / "app.py").exists():
        raise Misconfigured("the servers to compare with are not here: run this in a checkout")
    return folder
