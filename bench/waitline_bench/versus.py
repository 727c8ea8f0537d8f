"""Two checkouts in one run: the hot calls on a worker of each, alternately, by one load generator.

Each checkout has a worker and a Valkey of its own. Both workers are pinned to one core; both
Valkeys and the generator to the other. The checkouts take turns call by call, in the order
A B, B A, A B, …, so that slow drift of the machine affects both alike. The empty handler is one
server that is measured for both: its ratio is the noise of the run.

Of the other checkout only the commands `waitline queue` and `waitline admitter`, their options, the
`WAITLINE_ROOM_…` variables and the HTTP API are used, so its layout may differ. It is run by
its own `.venv` if it has one, else by this interpreter.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

import msgspec

import waitline
from waitline import settings as chosen
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.sales.http_client import HttpAnswer, HttpClient
from waitline.trial import machine
from waitline_bench import hot_calls
from waitline_bench.host_steal import measure_undisturbed
from waitline_bench.hot_calls import ADMITTED, ROOM, WAITING, FlatOut, Paced, Server

PACES_PER_S = (1_000, 3_000)
"""Request rates at which latency is compared."""

CALLS = frozenset(("empty handler", "enter", "status", "validate"))

ADMIT_S = 60.0
"""How long the other checkout's admitter may take to start and to admit `ADMITTED` visitors."""

_ROOM_SETTINGS = {
    # As many slots as there are tokens to validate: everyone else waits.
    "WAITLINE_ROOM_ACTIVE_MAX": str(ADMITTED),
    "WAITLINE_ROOM_ADMIT_PER_S": "1000000",
    "WAITLINE_ROOM_ADMIT_BURST": "1000000",
    "WAITLINE_ROOM_WAITING_MAX": "10000000",
    "WAITLINE_ROOM_READY_TTL_MS": "86400000",
}

Progress = Callable[[str], None]


class SourceTree(NamedTuple):
    """One of the two sides.

    Attributes:
        name: Name in the figures: `this` or `other`.
        root: Its folder.
        python: The interpreter that runs it.
    """

    name: str
    root: Path
    python: str

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        return {**chosen.inherited(), **_ROOM_SETTINGS, "PYTHONPATH": str(self.root / "src")}


class _Side(NamedTuple):
    """A running side: its worker, the process id of its Valkey, and its file of tokens."""

    worker: Server
    store_pid: int
    tokens: Path


def run_versus(
    on_progress: Progress, other: Path, seconds: float, rounds: int, *, paced: bool = True
) -> dict[str, Any]:
    """Compare the checkout that this runs from with another one.

    Args:
        on_progress: Receives the current step as text.
        other: Root folder of the other checkout.
        seconds: Length of one measurement.
        rounds: Number of rounds.
        paced: Whether to compare latency at fixed rates too.

    Returns:
        `flat_out`: a row per call with `this` and `other` (`per_s`, `cpu_us`) and the ratios this /
        other, the median over the rounds with its least and most; `paced`: a row per rate and call
        with `cpu_us`, `p50_ms` and `p99_ms` of both; `stolen`: as of `hot_path.run_hot_path`.

    Raises:
        Misconfigured: wrk is missing, or the folder is not a checkout.
        Unavailable: A server did not start, or refused requests.
    """
    hot_calls.require_tools()
    checkouts = (_this_checkout(), _other_checkout(other.resolve()))
    own_core, other_core = machine.cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waitline-versus-")))
        sides: dict[str, _Side] = {}
        for checkout in checkouts:
            on_progress(f"{checkout.name}: starting, {WAITING:,} visitors join")
            sides[checkout.name] = stack.enter_context(
                _start_side(checkout, folder / checkout.name, own_core, other_core)
            )
        empty = stack.enter_context(
            hot_calls.start_server(
                "empty",
                ["-m", "waitline_bench.naive.serve", "empty", "{port}"],
                core=own_core,
                folder=folder,
                environment=chosen.inherited(),
            )
        )
        comparison = _Comparison(sides, empty, other_core, seconds, on_progress)
        for number in range(rounds):
            comparison.run_round(number, rounds, paced=paced)
    return {"other": str(checkouts[1].root), **comparison.figures()}


class _Comparison:
    """Measures each call on both sides, and compares them round by round."""

    def __init__(
        self,
        sides: Mapping[str, _Side],
        empty: Server,
        core: int,
        seconds: float,
        on_progress: Progress,
    ) -> None:
        self._sides = sides
        self._empty = empty
        self._core = core
        self._seconds = seconds
        self._on_progress = on_progress
        self._number = 0
        self._stolen: list[float] = []
        self._flat_out: dict[str, dict[str, list[FlatOut]]] = {}
        self._paced: dict[tuple[int, str], dict[str, list[Paced]]] = {}

    def run_round(self, number: int, rounds: int, *, paced: bool) -> None:
        """Measure every call once on each side."""
        title = f"round {number + 1} of {rounds}"
        order = list(self._sides) if number % 2 == 0 else list(self._sides)[::-1]
        for at, target in enumerate(hot_calls.flat_out_targets(Path(), 0)):
            if target.name not in CALLS:
                continue
            for side in order:
                self._on_progress(f"{title}: {target.name}, {side}")
                found, stolen = measure_undisturbed(partial(self._run_flat_out, at, side))
                self._stolen.append(stolen)
                both = self._flat_out.setdefault(target.name, {})
                both.setdefault(side, []).append(found)
        if not paced:
            return
        plans = hot_calls.paced_targets(Path(), 0, self._seconds, PACES_PER_S)
        for at, (name, _, plan) in enumerate(plans):
            for side in order:
                self._on_progress(f"{title}: {name} at {plan.per_s:,.0f}/s, {side}")
                used, stolen = measure_undisturbed(partial(self._run_paced, at, side))
                self._stolen.append(stolen)
                both_paced = self._paced.setdefault((int(plan.per_s), name), {})
                both_paced.setdefault(side, []).append(used)

    def _run_flat_out(self, at: int, side: str) -> FlatOut:
        self._number += 1
        one = self._sides[side]
        target = hot_calls.flat_out_targets(one.tokens, self._number)[at]
        server = self._empty if target.server == "empty" else one.worker
        return hot_calls.run_flat_out(target, server, self._core, self._seconds)

    def _run_paced(self, at: int, side: str) -> Paced:
        self._number += 1
        one = self._sides[side]
        targets = hot_calls.paced_targets(one.tokens, self._number, self._seconds, PACES_PER_S)
        _, server, plan = targets[at]
        worker = self._empty if server == "empty" else one.worker
        return hot_calls.run_paced(plan, worker, one.store_pid, self._core)

    def figures(self) -> dict[str, Any]:
        """Return the figures of all rounds."""
        return {
            "flat_out": [_flat_out_row(name, both) for name, both in self._flat_out.items()],
            "paced": [
                {
                    "per_s": pace,
                    "name": name,
                    **{side: hot_calls.medians(found) for side, found in both.items()},
                }
                for (pace, name), both in sorted(self._paced.items())
            ],
            "stolen": max(self._stolen),
        }


def _flat_out_row(name: str, both: Mapping[str, list[FlatOut]]) -> dict[str, Any]:
    pairs = list(zip(both["this"], both["other"], strict=True))
    row: dict[str, Any] = {"name": name}
    for side, found in both.items():
        row[side] = {
            field: median(getattr(one, field) for one in found) for field in FlatOut._fields
        }
    for field in FlatOut._fields:
        ratios = [getattr(this, field) / getattr(other, field) for this, other in pairs]
        row[f"{field}_ratio"] = {
            "median": median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
    return row


def _this_checkout() -> SourceTree:
    package = Path(waitline.__file__).parent
    return SourceTree("this", package.parents[1], sys.executable)


def _other_checkout(root: Path) -> SourceTree:
    if not (root / "src" / "waitline" / "__main__.py").exists():
        raise Misconfigured(f"{root} is not a checkout: it has no src/waitline")
    own = root / ".venv" / "bin" / "python"
    return SourceTree("other", root, str(own) if own.exists() else sys.executable)


@contextmanager
def _start_side(checkout: SourceTree, folder: Path, own_core: int, core: int) -> Iterator[_Side]:
    folder.mkdir()
    with hot_calls.pinned_store(folder / "valkey", core) as valkey:
        stored = ["--data-dir", str(folder / "data"), "--valkey-url", valkey.url]
        arguments = ["-m", "waitline", "queue", "--mode", "trial", "--workers", "1"]
        arguments += ["--queue-port", "{port}", *stored]
        with hot_calls.start_server(
            checkout.name,
            arguments,
            core=own_core,
            folder=folder,
            environment=checkout.environment(),
            python=checkout.python,
        ) as worker:
            tokens = folder / "tokens"
            tokens.write_text(_fill(checkout, worker, folder, stored), "utf-8")
            yield _Side(worker, valkey.pid, tokens)


def _fill(checkout: SourceTree, worker: Server, folder: Path, stored: list[str]) -> str:
    """Let `ADMITTED` visitors in and `WAITING` wait; return a line `visitor token` per admitted."""
    url = f"http://127.0.0.1:{worker.port}"
    admitted = [f"a{number}" for number in range(ADMITTED)]
    tokens = asyncio.run(_enter(url, admitted))
    with (folder / "admitter.log").open("wb") as log:
        admitter = subprocess.Popen(  # noqa: S603 - our own command
            [checkout.python, "-m", "waitline", "admitter", *stored],
            cwd=folder,
            env=checkout.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        asyncio.run(_await_admission(url, admitted))
    finally:
        admitter.terminate()
        admitter.wait()
    asyncio.run(_enter(url, [f"w{number}" for number in range(1, WAITING + 1)]))
    return "".join(f"{name} {tokens[name]}\n" for name in admitted)


async def _enter(url: str, visitors: list[str]) -> dict[str, str]:
    """Let visitors enter; return their tokens."""
    client = HttpClient(url)

    async def enter(visitor: str) -> tuple[str, str]:
        body = msgspec.json.encode({"concertId": str(ROOM), "userId": visitor})
        answer = await client.request("POST", "/api/v1/queue/enter", None, body)
        return visitor, str(_data(answer)["token"])

    try:
        return dict(await asyncio.gather(*map(enter, visitors)))
    finally:
        client.close()


async def _await_admission(url: str, visitors: list[str]) -> None:
    client = HttpClient(url)
    until_s = monotonic() + ADMIT_S
    try:
        for visitor in visitors:
            path = f"/api/v1/queue/status?concertId={ROOM}&userId={visitor}"
            while _data(await client.request("GET", path))["status"] != "READY":
                if monotonic() > until_s:
                    raise Unavailable(f"{visitor} was not admitted within {ADMIT_S:.0f} s")
                await asyncio.sleep(0.1)
    finally:
        client.close()


def _data(answer: HttpAnswer) -> Any:  # noqa: ANN401 - JSON
    document = msgspec.json.decode(answer.body)
    if "data" not in document or document["data"] is None:
        raise Unavailable(f"HTTP {answer.status}: {answer.body[:200]!r}")
    return document["data"]
