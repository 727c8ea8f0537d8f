"""The gate's cost: its worker next to an empty handler, and nginx with it next to nginx without it.

Sides take turns in rounds, in an order that is reversed every other round, and each round gives a
ratio. The server under test has a core of its own; all other processes share the other.
"""

import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from waitline import settings as chosen
from waitline.gate.model import parse_document
from waitline.gate.store import Protection
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.ids import VisitorId
from waitline.kernel.mode import DataMode
from waitline.queue.limits import DAY_MS
from waitline.queue.mode import LineMode
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.services.queue.gate_answers import pass_cookie_name
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.passes import mint_pass
from waitline.trial import machine, processes
from waitline.trial.installation import free_port
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient
from waitline_bench import hot_calls
from waitline_bench.host_steal import measure_undisturbed
from waitline_bench.hot_calls import ROOM, FlatOut, FlatOutTarget, Server

VISITORS = 200
"""Visitors with a pass, who ask in turn."""

WARM_UP_S = 1.0
"""Length of an uncounted run of each side: a worker verifies the signature of a pass once."""

PAGE_BYTES = 10_000
"""Size of the site's page."""

RULES = b"""{"version": 0, "rules": [
  {"name": "static files", "action": "bypass", "when": {"path": ["/static/*"]}},
  {"name": "checkout", "action": "queue", "room": "%s",
   "when": {"host": ["127.0.0.1"], "path": ["/buy/*"]}}
]}""" % ROOM.encode()

EMPTY = "empty handler"
ALONE = "nginx, no gate"

# Lines of gate.conf, without which a variant is what its name says.
_ASKS = "auth_request /waitline-gate;"
_KEEPS = "proxy_cache waitline_gate;"
_VARIANTS: Mapping[str, tuple[str, ...]] = {
    ALONE: (_ASKS,),
    "each request asks": (_KEEPS,),
    "answers kept": (),
}

_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_CONFIG = hot_calls.BENCH.parent / "deploy" / "nginx" / "gate.conf"

Progress = Callable[[str], None]


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        target: What wrk requests.
        server: Whose CPU time is measured.
    """

    target: FlatOutTarget
    server: Server


def run_gate(on_progress: Progress, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure the gate alone and behind nginx.

    Args:
        on_progress: Receives the current step as text.
        seconds: Length of one measurement.
        rounds: Number of rounds.

    Returns:
        `calls`: a row per kind of request that a worker answers; `nginx`: a row per variant of
        nginx. Rows have medians of `per_s` and `cpu_us`, and `ratio`: requests/s relative to the
        first row's in the same round, median, least and most. `stolen`: the largest steal of one
        measurement, as a share of all CPU time.

    Raises:
        Misconfigured: wrk, nginx or the checkout is missing.
        Unavailable: A server did not start, or refused requests.
    """
    hot_calls.require_tools()
    if _NGINX is None:
        raise Misconfigured("nginx is missing: apt-get install nginx-light")
    own_core, other_core = machine.cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-bench-")))
        on_progress("starting the servers")
        valkey = stack.enter_context(hot_calls.pinned_store(folder / "valkey", other_core))
        cookies = folder / "cookies"
        cookies.write_text(_prepare(valkey.url, folder), "utf-8")
        gate = stack.enter_context(_gate(folder, valkey.url, own_core))
        empty = stack.enter_context(_empty(folder, own_core))
        rounds_of = partial(_rounds, on_progress, seconds, rounds, other_core)
        calls, stolen = rounds_of(_calls(gate, empty, cookies))
        # From here on, nginx has the core.
        processes.set_affinity(gate.pid, [other_core])
        site = stack.enter_context(_site(folder, other_core))
        fronts = {
            name: stack.enter_context(
                _front(f"front{number}", missing, folder, (gate, site), own_core)
            )
            for number, (name, missing) in enumerate(_VARIANTS.items())
        }
        nginx, stolen_then = rounds_of(_visits(fronts, cookies))
    return {"calls": calls, "nginx": nginx, "stolen": max(stolen, stolen_then)}


def _calls(gate: Server, empty: Server, cookies: Path) -> list[Side]:
    """Return the empty handler and the kinds of requests; it gets what the good pass sends."""

    def side(name: str, server: Server, cookie: Path | str, path: str) -> Side:
        arguments = (str(cookie), path, "asks")
        return Side(FlatOutTarget(name, "", "/", "gate.lua", arguments), server)

    return [
        side(EMPTY, empty, cookies, "/buy/1"),
        side("good pass", gate, cookies, "/buy/1"),
        side("no pass: redirect", gate, "-", "/buy/1"),
        side("bypass", gate, "-", "/static/app.css"),
    ]


def _visits(fronts: Mapping[str, Server], cookies: Path) -> list[Side]:
    arguments = (str(cookies), "/buy/1")
    return [
        Side(FlatOutTarget(name, "", "/", "gate.lua", arguments), server)
        for name, server in fronts.items()
    ]


def _rounds(
    on_progress: Progress, seconds: float, rounds: int, core: int, sides: Sequence[Side]
) -> tuple[list[dict[str, Any]], float]:
    """Measure each side once a round; return a row per side, and the largest steal."""
    found: dict[str, list[FlatOut]] = {side.target.name: [] for side in sides}
    stolen = []
    for side in sides:
        on_progress(f"warming up: {side.target.name}")
        hot_calls.run_flat_out(side.target, side.server, core, WARM_UP_S)
    for number in range(rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            on_progress(f"round {number + 1} of {rounds}: {side.target.name}")
            run = partial(hot_calls.run_flat_out, side.target, side.server, core, seconds)
            one, taken = measure_undisturbed(run)
            found[side.target.name].append(one)
            stolen.append(taken)
    first = found[sides[0].target.name]
    return [_row(name, runs, first) for name, runs in found.items()], max(stolen)


def _row(name: str, runs: Sequence[FlatOut], first: Sequence[FlatOut]) -> dict[str, Any]:
    ratios = [one.per_s / other.per_s for one, other in zip(runs, first, strict=True)]
    cpu_ratios = [other.cpu_us / one.cpu_us for one, other in zip(runs, first, strict=True)]
    return {
        "name": name,
        "per_s": median(one.per_s for one in runs),
        "cpu_us": median(one.cpu_us for one in runs),
        "ratio": {"median": median(ratios), "least": min(ratios), "most": max(ratios)},
        "per_core": {
            "median": median(cpu_ratios), "least": min(cpu_ratios), "most": max(cpu_ratios),
        },
    }  # fmt: skip


def _prepare(url: str, folder: Path) -> str:
    """Create the room and the rules; return a line per visitor: the cookie with the pass."""
    now_ms = SystemClock().now_ms()
    ring = KeyringFile(folder / "keys" / "keys.json").load_or_create(now_ms)

    async def run() -> None:
        store = ValkeyClient(url, timeout_s=OPERATOR_TIMEOUT_S)
        await LineMode(store).claim(DataMode.TRIAL)
        await Rooms(store).ensure(ROOM, Rules())
        await Protection(store).replace(parse_document(RULES))
        await store.close()

    uvloop.run(run())
    mint = partial(mint_pass, joined_ms=now_ms, admitted_ms=now_ms, expires_ms=now_ms + DAY_MS)
    name = pass_cookie_name(ROOM, secure=False).decode()
    passes = (mint(ring, ROOM, VisitorId(f"a{n}"), n) for n in range(1, VISITORS + 1))
    return "".join(f"{name}={one}\n" for one in passes)


@contextmanager
def _gate(folder: Path, valkey_url: str, core: int) -> Iterator[Server]:
    settings = chosen.load(data_dir=folder, valkey_url=valkey_url, trusted_proxies="127.0.0.1")
    arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
    arguments += ["--queue-port", "{port}"]
    environment = chosen.environment(settings)
    with hot_calls.start_server(
        "gate", arguments, core=core, folder=folder, environment=environment
    ) as server:
        yield server


@contextmanager
def _empty(folder: Path, core: int) -> Iterator[Server]:
    arguments = ["-m", "waitline_bench.naive.serve", "empty", "{port}"]
    environment = chosen.environment(chosen.load(data_dir=folder))
    with hot_calls.start_server(
        "empty", arguments, core=core, folder=folder, environment=environment
    ) as server:
        yield server


@contextmanager
def _site(folder: Path, core: int) -> Iterator[Server]:
    """Run a static site."""
    page = folder / "pages" / "buy" / "1"
    page.parent.mkdir(parents=True)
    page.write_bytes(b"x" * PAGE_BYTES)
    config = f"server {{ listen 80; keepalive_requests 1000000; root {folder}/pages; }}"
    with _nginx("site", config, folder, core) as server:
        yield server


@contextmanager
def _front(
    name: str, missing: Sequence[str], folder: Path, servers: tuple[Server, Server], core: int
) -> Iterator[Server]:
    """Run nginx with the configuration that we ship, without some of its lines."""
    gate, site = servers
    config = _CONFIG.read_text("utf-8")
    config = config.replace("127.0.0.1:8081", f"127.0.0.1:{gate.port}")
    config = config.replace("127.0.0.1:3000", f"127.0.0.1:{site.port}")
    for line in missing:
        assert line in config
        config = config.replace(line, "")
    with _nginx(name, config, folder, core) as server:
        yield server


@contextmanager
def _nginx(name: str, config: str, folder: Path, core: int) -> Iterator[Server]:
    """Run nginx with one worker process."""
    home, port = folder / name, free_port()
    home.mkdir()
    config = config.replace("listen 80;", f"listen 127.0.0.1:{port};")
    config = config.replace("/dev/shm/", f"{home}/")  # noqa: S108 - not a file of ours
    (home / "site.conf").write_text(config, "utf-8")
    paths = "".join(
        f"{kind}_temp_path {home}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # It has to read and write in our folder.
    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    (home / "nginx.conf").write_text(
        f"user {owner} {group}; daemon off; pid {home}/pid; worker_processes 1;\n"
        "events { worker_connections 1024; }\n"
        # As many requests per connection as wrk sends.
        f"http {{ access_log off; keepalive_requests 10000000; {paths} include site.conf; }}\n",
        "utf-8",
    )
    arguments = ["-e", "stderr", "-p", str(home), "-c", "nginx.conf"]
    with hot_calls.start_server(
        name, arguments, port=port, core=core, folder=home, environment={}, python=str(_NGINX)
    ) as server:
        workers = processes.children(server.pid)
        yield Server(port, next(pid for pid in workers if _works(pid)))


def _works(pid: int) -> bool:
    return "worker process" in processes.command_line(pid)
