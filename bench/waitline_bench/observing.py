"""What it costs to observe requests: `enter` with access log and traces off, sampled, and on.

Each variant has a worker of its own, all on one core; Valkey, wrk and the collector of traces share
the other. The variants take turns, in an order that is reversed every other round, so that slow
drift of the machine affects all alike.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from typing_extensions import override

from waitline import settings as chosen
from waitline.trial import machine
from waitline_bench import hot_calls, hot_path
from waitline_bench.host_steal import measure_undisturbed
from waitline_bench.hot_calls import FlatOut, Server

SAMPLED = 0.01
"""Share of the requests in a sampled access log, and of the traces that are recorded: the default
of the setting."""

OFF = "off"

# Nobody is admitted, so all of a measurement wait.
_ROOM = {"WAITLINE_ROOM_WAITING_MAX": "10000000"}


class Variant(NamedTuple):
    """What is observed.

    Attributes:
        access_log: Share of the requests in the access log.
        traces: Share of the traces that are recorded; `None` for no traces.
    """

    access_log: float
    traces: float | None


VARIANTS = {
    OFF: Variant(0.0, None),
    "access log, 1 %": Variant(SAMPLED, None),
    "access log, all": Variant(1.0, None),
    "traces, 1 %": Variant(0.0, SAMPLED),
    "traces, all": Variant(0.0, 1.0),
    "both, 1 %": Variant(SAMPLED, SAMPLED),
}

Progress = Callable[[str], None]


def run_observing(on_progress: Progress, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure `enter` in each variant, several rounds.

    Args:
        on_progress: Receives the current step as text.
        seconds: Length of one measurement.
        rounds: Number of rounds.

    Returns:
        `variants`: a row each with `per_s` and `cpu_us`, the medians of the rounds, and
        `cpu_ratio`, the median of the ratios to `off` in the same round, with its least and most;
        `counting_us` and `stolen` as of `hot_path.run_hot_path`.

    Raises:
        Misconfigured: wrk, or the libraries for traces, are missing.
        Unavailable: A server did not start, or refused requests.
    """
    hot_calls.require_tools()
    own_core, other_core = machine.cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        on_progress("starting the servers")
        valkey = stack.enter_context(hot_calls.pinned_store(folder / "valkey", other_core))
        collector = stack.enter_context(_collector())
        servers = {
            name: stack.enter_context(
                _worker(
                    f"v{number}",
                    variant,
                    folder,
                    valkey_url=valkey.url,
                    collector=collector,
                    core=own_core,
                )
            )
            for number, (name, variant) in enumerate(VARIANTS.items())
        }
        found: dict[str, list[FlatOut]] = {name: [] for name in servers}
        stolen: list[float] = []
        entered = 0
        for number in range(rounds):
            order = list(servers) if number % 2 == 0 else list(servers)[::-1]
            for name in order:
                on_progress(f"round {number + 1} of {rounds}: {name}")
                entered += 1
                run = partial(_enter, servers[name], entered, other_core, seconds)
                one, taken = measure_undisturbed(run)
                found[name].append(one)
                stolen.append(taken)
    return {
        "variants": [_row(name, found) for name in found],
        "counting_us": hot_path.counting_us(),
        "stolen": max(stolen),
    }


def _enter(server: Server, number: int, core: int, seconds: float) -> FlatOut:
    targets = hot_calls.flat_out_targets(Path(), number)
    target = next(one for one in targets if one.name == "enter")
    return hot_calls.run_flat_out(target, server, core, seconds)


def _row(name: str, found: Mapping[str, list[FlatOut]]) -> dict[str, Any]:
    ratios = [one.cpu_us / off.cpu_us for one, off in zip(found[name], found[OFF], strict=True)]
    return {
        "name": name,
        "per_s": median(one.per_s for one in found[name]),
        "cpu_us": median(one.cpu_us for one in found[name]),
        "cpu_ratio": {"median": median(ratios), "least": min(ratios), "most": max(ratios)},
    }


@contextmanager
def _worker(
    name: str, variant: Variant, folder: Path, *, valkey_url: str, collector: str, core: int
) -> Iterator[Server]:
    settings = chosen.load(
        data_dir=folder / name,
        valkey_url=valkey_url,
        access_log=variant.access_log,
        traces_url=None if variant.traces is None else collector,
        traces_share=variant.traces,
    )
    arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
    with hot_calls.start_server(
        name,
        [*arguments, "--queue-port", "{port}"],
        core=core,
        folder=folder,
        environment={**chosen.environment(settings), **_ROOM},
    ) as server:
        yield server


@contextmanager
def _collector() -> Iterator[str]:
    """Run a collector that accepts all traces and keeps none; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()
