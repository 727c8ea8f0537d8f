"""Requests/s of the hot calls, next to an empty handler and a naive server in the same run.

One worker has a core for itself; Valkey and wrk share the other. All of them are asked in turn,
several rounds, and the median counts; what the machine's host took too much of is measured again.
The worker's processor time per request is given too: it hardly changes with the neighbours of the
machine.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import timeit
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic, perf_counter
from typing import Any, NamedTuple, TypeVar

from waitline import settings as chosen
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.ids import RoomId
from waitline.trial import ValkeyServer, machine
from waitline.trial.installation import free_port
from waitline_bench import paced, scripts
from waitline_bench.host_steal import quietly

CONNECTIONS = 64
ROOM = RoomId("bench")
WAITING = 20_000
"""Visitors that wait while their status is asked."""

ADMITTED = 1_000
"""Visitors whose tokens are validated."""

PACES_PER_S = (1_000, 3_000, 5_000)
"""Requests per second of a day without a rush, when batches are small."""

COUNTED = 20_000
T = TypeVar("T")
READY_S = 40.0


class Target(NamedTuple):
    """One thing that is measured.

    Attributes:
        name: What it is called in the table.
        server: Which server it is asked of.
        path: Where, if wrk's own request will do.
        script: The request script in bench/wrk, or empty.
        arguments: Of the script.
        naive: Whom of the naive server it is compared with, by name.
    """

    name: str
    server: str
    path: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    naive: str = ""


def measure(note: Callable[[str], None], seconds: float, rounds: int) -> dict[str, Any]:
    """Measure every target in turn, several rounds.

    Args:
        note: Told what is being done.
        seconds: Length of one measurement.
        rounds: How many of each.

    Returns:
        `flat_out`: a row per target, as fast as it goes; `paced`: a row per pace and call, at a
        pace that leaves the worker idle most of the time; `counting_us`: what the metrics take of
        a request; `stolen`: the largest share of all processors' time that the host took of one
        measurement.

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
        valkey = ValkeyServer(folder / "valkey")
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
        turns = _Turns(_Bench(servers, valkey.pid, load, tokens, other_core, seconds), note)
        for number in range(1, rounds + 1):
            turns.take(f"round {number} of {rounds}")
    return {**turns.figures(), "counting_us": _counting_us()}


class _Paced(NamedTuple):
    """One paced run: processor time per request, and how long the answers took."""

    cpu_us: float
    store_us: float
    p50_ms: float
    p99_ms: float


class _Bench(NamedTuple):
    """What is measured, and how.

    Attributes:
        servers: Port and process id, by name.
        store: Process id of Valkey.
        load: Folder of the request scripts.
        tokens: File of who may be validated.
        core: For whoever asks.
        seconds: Length of one measurement.
    """

    servers: Mapping[str, tuple[int, int]]
    store: int
    load: Path
    tokens: Path
    core: int
    seconds: float


class _Turns:
    """Measures everything in turn.

    Args:
        bench: What.
        note: Told what is being done.
    """

    def __init__(self, bench: _Bench, note: Callable[[str], None]) -> None:
        self._bench = bench
        self._note = note
        # No visitor enters twice, not even where something is measured again.
        self._entered = 0
        self._stolen: list[float] = []
        self._flat_out: dict[str, list[tuple[float, float]]] = {}
        self._paced: dict[tuple[int, str], list[_Paced]] = {}

    def take(self, turn: str) -> None:
        """Measure each thing once."""
        bench = self._bench
        for at, target in enumerate(_targets(bench.tokens, 0)):
            self._note(f"{turn}: {target.name}")
            found = self._quietly(partial(self._run, at))
            self._flat_out.setdefault(target.name, []).append(found)
        for at, (name, _, plan) in enumerate(_plans(bench.tokens, 0, bench.seconds)):
            self._note(f"{turn}: {name} at {plan.per_s:,.0f}/s")
            used = self._quietly(partial(self._run_paced, at))
            self._paced.setdefault((int(plan.per_s), name), []).append(used)

    def figures(self) -> dict[str, Any]:
        """Return what came of all turns."""
        paced = [
            {"per_s": pace, "name": name, **_medians(found)}
            for (pace, name), found in sorted(self._paced.items())
        ]
        return {"flat_out": _rows(self._flat_out), "paced": paced, "stolen": max(self._stolen)}

    def _quietly(self, run: Callable[[], T]) -> T:
        found, stolen = quietly(run)
        self._stolen.append(stolen)
        return found

    def _run(self, at: int) -> tuple[float, float]:
        servers, _, load, tokens, core, seconds = self._bench
        self._entered += _targets(tokens, 0)[at].script == "enter.lua"
        target = _targets(tokens, self._entered)[at]
        return _run(target, servers[target.server], load, core, seconds)

    def _run_paced(self, at: int) -> _Paced:
        servers, store, _, tokens, core, seconds = self._bench
        self._entered += 1
        _, server, plan = _plans(tokens, self._entered, seconds)[at]
        return _run_paced(plan, servers[server], store, core)


def _plans(tokens: Path, number: int, seconds: float) -> list[tuple[str, str, paced.Plan]]:
    room = str(ROOM)
    return [
        (name, server, paced.Plan(0, per_s, seconds, call, room, names, visitors))
        for per_s in PACES_PER_S
        for name, server, call, names, visitors in (
            ("empty handler", "empty", "/", "", 0),
            ("enter", "waitline", "enter", f"p{number}-{per_s}-", 0),
            ("status", "waitline", "status", "w", WAITING),
            ("validate", "waitline", "validate", str(tokens), 0),
        )
    ]


def _run_paced(plan: paced.Plan, server: tuple[int, int], store: int, core: int) -> _Paced:
    port, pid = server
    words = json.dumps(plan._replace(port=port)._asdict())
    command = ["taskset", "-c", str(core), sys.executable, "-m", "waitline_bench.paced", words]
    before_s, store_before_s = machine.cpu_s(pid), machine.cpu_s(store)
    printed = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=True, timeout=plan.seconds + 30
    ).stdout
    used_s, store_s = machine.cpu_s(pid) - before_s, machine.cpu_s(store) - store_before_s
    outcome = json.loads(printed)
    answered = outcome["answered"]
    if outcome["bad"] or answered < outcome["offered"]:
        raise Unavailable(
            f"{plan.call} at {plan.per_s:,.0f}/s: {answered:,} of {outcome['offered']:,} requests "
            f"were answered, {outcome['bad']:,} of them with a refusal; the machine is too busy"
        )
    return _Paced(
        used_s / answered * 1e6, store_s / answered * 1e6, outcome["p50_ms"], outcome["p99_ms"]
    )


def _medians(figures: list[_Paced]) -> dict[str, float]:
    columns = zip(*figures, strict=True)
    return {name: median(column) for name, column in zip(_Paced._fields, columns, strict=True)}


def _counting_us() -> float:
    """Return what counting a request takes, with the two looks at the clock that it needs."""
    # Imported with the command line, it would be there before a service has its settings.
    from waitline.kernel.telemetry import Tallies  # noqa: PLC0415

    tallies = Tallies()

    def count() -> None:
        started = perf_counter()
        tallies.http("POST", "/api/v1/queue/enter", 201, perf_counter() - started)

    return min(timeit.repeat(count, number=COUNTED, repeat=7)) / COUNTED * 1e6


def _targets(tokens: Path, number: int) -> list[Target]:
    room = str(ROOM)
    status = (room, "w", str(WAITING))
    return [
        Target("empty handler", "empty", "/"),
        Target("naive enter", "naive", "/", "enter.lua", (room, f"n{number}-")),
        Target("naive status", "naive", "/", "status.lua", (room, f"n{number}-", "100")),
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
    # wrk asks its script for one request that it never sends, so one name in a hundred may be
    # missing.
    if refused and int(refused[1]) > int(done[1]) / 50:
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
        arguments = ["-m", "waitline_bench.naive.serve", module, str(port)]
    settings = chosen.load(data_dir=folder, valkey_url=valkey_url)
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
    folder = Path(__file__).parents[1]
    if not (folder / "naive" / "app.py").exists():
        raise Misconfigured("the servers to compare with are not here: run this in a checkout")
    return folder
