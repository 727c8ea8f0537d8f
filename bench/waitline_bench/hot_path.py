"""Requests/s of the hot calls, next to an empty handler and a naive server in the same run.

One worker has a core of its own; Valkey and wrk share the other. Calls are measured in turn over
several rounds, and the median counts; measurements disturbed by steal are repeated. The worker's
CPU time per request is reported too, since it hardly depends on other load of the host.
"""

import tempfile
import timeit
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from waitline import settings as chosen
from waitline.trial import machine
from waitline_bench import hot_calls, scripts
from waitline_bench.host_steal import measure_undisturbed
from waitline_bench.hot_calls import ADMITTED, ROOM, WAITING, FlatOut, Paced, Server

COUNTED = 20_000
T = TypeVar("T")


def run_hot_path(on_progress: Callable[[str], None], seconds: float, rounds: int) -> dict[str, Any]:
    """Measure every hot call, several rounds.

    Args:
        on_progress: Receives the current step as text.
        seconds: Length of one measurement.
        rounds: Number of rounds.

    Returns:
        `flat_out`: a row per target, at full load; `paced`: a row per rate and call, at rates
        that leave the worker idle most of the time; `counting_us`: CPU time of a request's metrics;
        `stolen`: the largest steal of one measurement, as a share of all CPU time.

    Raises:
        Misconfigured: wrk or the checkout is missing.
    """
    hot_calls.require_tools()
    own_core, other_core = machine.cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        on_progress("starting the servers")
        valkey = stack.enter_context(hot_calls.pinned_store(folder / "valkey", other_core))
        servers = {
            name: stack.enter_context(_server(name, folder, valkey.url, own_core))
            for name in ("waitline", "naive", "empty")
        }
        on_progress(f"{WAITING:,} visitors join, {ADMITTED:,} are admitted")
        tokens = folder / "tokens"
        tokens.write_text(scripts.fill(valkey.url, folder, ROOM, WAITING, ADMITTED), "utf-8")
        setup = _Setup(servers, valkey.pid, tokens, other_core, seconds)
        measured = _Rounds(setup, on_progress)
        for number in range(1, rounds + 1):
            measured.run(f"round {number} of {rounds}")
    return {**measured.figures(), "counting_us": counting_us()}


class _Setup(NamedTuple):
    """Setup of the measurements.

    Attributes:
        servers: By name.
        store_pid: Process id of Valkey.
        tokens: File of the tokens to validate.
        core: CPU core of the load generators.
        seconds: Length of one measurement.
    """

    servers: Mapping[str, Server]
    store_pid: int
    tokens: Path
    core: int
    seconds: float


class _Rounds:
    """Measures every call once a round, and sums the rounds up."""

    def __init__(self, setup: _Setup, on_progress: Callable[[str], None]) -> None:
        self._setup = setup
        self._on_progress = on_progress
        # No visitor enters twice, even if a measurement is repeated.
        self._entered = 0
        self._stolen: list[float] = []
        self._flat_out: dict[str, list[FlatOut]] = {}
        self._paced: dict[tuple[int, str], list[Paced]] = {}

    def run(self, title: str) -> None:
        """Measure each call once."""
        tokens, seconds = self._setup.tokens, self._setup.seconds
        for at, target in enumerate(hot_calls.flat_out_targets(tokens, 0)):
            self._on_progress(f"{title}: {target.name}")
            found = self._quietly(partial(self._run_flat_out, at))
            self._flat_out.setdefault(target.name, []).append(found)
        for at, (name, _, plan) in enumerate(hot_calls.paced_targets(tokens, 0, seconds)):
            self._on_progress(f"{title}: {name} at {plan.per_s:,.0f}/s")
            used = self._quietly(partial(self._run_paced, at))
            self._paced.setdefault((int(plan.per_s), name), []).append(used)

    def figures(self) -> dict[str, Any]:
        """Return the figures of all rounds."""
        paced = [
            {"per_s": pace, "name": name, **hot_calls.medians(found)}
            for (pace, name), found in sorted(self._paced.items())
        ]
        return {"flat_out": _rows(self._flat_out), "paced": paced, "stolen": max(self._stolen)}

    def _quietly(self, run: Callable[[], T]) -> T:
        found, stolen = measure_undisturbed(run)
        self._stolen.append(stolen)
        return found

    def _run_flat_out(self, at: int) -> FlatOut:
        setup = self._setup
        # The naive server's status is that of the visitors who entered it just before.
        self._entered += hot_calls.flat_out_targets(setup.tokens, 0)[at].script == "enter.lua"
        target = hot_calls.flat_out_targets(setup.tokens, self._entered)[at]
        server = setup.servers[target.server]
        return hot_calls.run_flat_out(target, server, setup.core, setup.seconds)

    def _run_paced(self, at: int) -> Paced:
        setup = self._setup
        self._entered += 1
        targets = hot_calls.paced_targets(setup.tokens, self._entered, setup.seconds)
        _, server, plan = targets[at]
        return hot_calls.run_paced(plan, setup.servers[server], setup.store_pid, setup.core)


def counting_us() -> float:
    """Return the time that counting a request takes, with its two readings of the clock."""
    # Imported late: it must not be loaded before a service has its settings.
    from waitline.kernel.process_metrics import ProcessMetrics  # noqa: PLC0415

    tallies = ProcessMetrics()

    def count() -> None:
        started = perf_counter()
        tallies.http("POST", "/api/v1/queue/enter", 201, perf_counter() - started)

    return min(timeit.repeat(count, number=COUNTED, repeat=7)) / COUNTED * 1e6


def _rows(runs: dict[str, list[FlatOut]]) -> list[dict[str, Any]]:
    rates = {name: median(one.per_s for one in found) for name, found in runs.items()}
    comparisons = {one.name: one.naive for one in hot_calls.flat_out_targets(Path(), 0)}
    return [
        {
            "name": name,
            "per_s": rates[name],
            "least_per_s": min(one.per_s for one in found),
            "most_per_s": max(one.per_s for one in found),
            "of_empty": rates[name] / rates["empty handler"],
            "of_naive": rates[name] / rates[other] if (other := comparisons[name]) else None,
            "cpu_us": median(one.cpu_us for one in found),
        }
        for name, found in runs.items()
    ]


@contextmanager
def _server(name: str, folder: Path, valkey_url: str, core: int) -> Iterator[Server]:
    if name == "waitline":
        arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
        arguments += ["--queue-port", "{port}"]
    else:
        module = "app" if name == "naive" else "empty"
        arguments = ["-m", "waitline_bench.naive.serve", module, "{port}"]
    settings = chosen.load(data_dir=folder, valkey_url=valkey_url)
    environment = {**chosen.environment(settings), "NAIVE_VALKEY_URL": valkey_url}
    with hot_calls.start_server(
        name, arguments, core=core, folder=folder, environment=environment
    ) as server:
        yield server
