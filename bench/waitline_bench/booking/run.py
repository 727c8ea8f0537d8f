"""Measure the box office: seat map, reservations, payments, and ten times overload.

The bare statements are measured on the same server in the same run, and a measurement disturbed by
steal is repeated, so that ratios are valid on a shared machine.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib import request

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable
from waitline.kernel.plurals import counted
from waitline.trial import installation
from waitline.trial.installation import Installation
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.durability import Durability
from waitline_bench import booking_audit
from waitline_bench.booking import bare
from waitline_bench.booking.buyers import BuyerPlan, Errand
from waitline_bench.booking.hall import Crowds
from waitline_bench.booking.stored import stored
from waitline_bench.host_steal import measure_undisturbed

SEATS = 10_000
"""Seats of the seat map, and requests per second. Source: the target of the measurement."""
SEATS_PER_S = 500.0

CHANGES_PER_S = 50.0
"""Seat changes per second meanwhile."""

CONNECTIONS = 64
OVERLOAD = 10.0
"""Factor of arrivals over what can be served."""

OVERLOAD_CONNECTIONS = 8_000
RESERVE_PER_S, BUY_PER_S, OVERLOAD_PER_S = 6_000, 1_500, 6_000
"""Prepared buyers per second of each part: more than two cores can serve or send."""

SPARE_S = 40.0
"""Extra time of a generator beyond its arrival period, in s."""

CLUSTER_S = 60.0
"""Timeout of the start of a cluster, in s."""

METRICS_LATE_S = 2.5
"""Longest delay of a count, in s: a process writes its counts once a second, and the page with all
of them is made at most once a second."""

_STATEMENTS = re.compile(
    r'^database_statement_duration_seconds_count\{[^}]*statement="(\w+)"[^}]*\} (\S+)', re.MULTILINE
)

OnProgress = Callable[[str], None]
Figures = dict[str, Any]


def run_booking(seconds: float, workers: int, on_progress: OnProgress) -> Figures:
    """Measure all parts; return their figures, each with its share of CPU steal.

    Args:
        seconds: Length of each part.
        workers: Processes of the booking service.
        on_progress: Receives the current step as text.

    Raises:
        Unavailable: The installation or a generator failed.
    """
    on_progress("starting the servers")
    settings = {"booking_workers": str(workers), "sandbox_latency": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="waitline-office-") as name,
        installation.start(1, settings, box_office=True) as stack,
    ):
        office = _BookingRun(stack, Path(name), seconds, on_progress)
        figures: Figures = {
            "seats": office.looked("the seat map, whole", "seats"),
            "seats, 304": office.looked("the seat map, known", "seats again"),
            "sections": office.looked("the sections", "sections"),
            "seats, changing": office.looked_while_it_changed(),
            "bare reservations": office.bare("reservations"),
            "reserve": office.bought("reservations", "reserve", RESERVE_PER_S),
            "bare bookings": office.bare("bookings"),
            "buy": office.bought("bookings", "buy", BUY_PER_S),
        }
        rate = min(OVERLOAD * figures["buy"]["per_s"], OVERLOAD_PER_S)
        figures["overload"] = office.overrun(rate)
        on_progress("the audit")
        figures["audit"] = booking_audit.audited(stack)
    return figures


def run_confirmed(seconds: float, rounds: int, on_progress: OnProgress) -> dict[str, list[Figures]]:
    """Measure bookings with events confirmed on a replica, and not, in turn; on clusters of 3+3.

    Args:
        seconds: Length of each measurement.
        rounds: Measurements of each.
        on_progress: Receives the current step as text.

    Returns:
        By durability, the figures of each round.

    Raises:
        Unavailable: A server or a generator failed.
    """
    durabilities: list[Durability] = ["memory", "replicated"]
    figures: dict[str, list[Figures]] = {name: [] for name in durabilities}
    for number in range(rounds):
        for name in durabilities if number % 2 else reversed(durabilities):
            on_progress(f"round {number + 1} of {rounds}: {name}")
            figures[name].append(_bought_with(name, seconds, on_progress))
    return figures


def _bought_with(durability: Durability, seconds: float, on_progress: OnProgress) -> Figures:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        cluster = ValkeyCluster(Path(name) / "cluster", Size(3, 3))
        try:
            cluster.start(CLUSTER_S)
            settings = {
                "valkey_url": cluster.url,
                "durability": durability,
                "sandbox_latency": "0",
            }
            with installation.start(1, settings, box_office=True) as stack:
                office = _BookingRun(stack, Path(name), seconds, on_progress)
                return office.bought("bookings", "buy", BUY_PER_S)
        finally:
            cluster.stop()


class _BookingRun:
    """Runs the parts of the benchmark on an installation.

    Args:
        installation: The installation.
        folder: Folder for buyers and scripts.
        seconds: Length of each part.
        on_progress: Receives the current step as text.
    """

    def __init__(
        self, installation: Installation, folder: Path, seconds: float, on_progress: OnProgress
    ) -> None:
        self._installation = installation
        self._folder = folder
        self._seconds = seconds
        self._on_progress = on_progress
        self._crowds = Crowds(installation, folder)
        self._lookers = self._come(SEATS)

    def looked(self, what: str, errand: Errand) -> Figures:
        """Fetch the seat map at a fixed rate."""
        return self._quietly(what, lambda: self._look(errand, self._lookers))

    def looked_while_it_changed(self) -> Figures:
        """Fetch the seat map while seats are reserved at a fixed rate."""

        def read_while_held() -> Figures:
            crowd = self._come(SEATS)
            with self._process("reserve", crowd, CHANGES_PER_S) as process:
                found = self._look("seats", crowd)
                self._found(process)
            return found

        return self._quietly("the seat map while it changes", read_while_held)

    def bare(self, what: bare.Kind) -> Figures:
        """Run the bare statements by pgbench."""
        url, folder, seconds = self._installation.database_url, self._folder, self._seconds
        return self._quietly(
            f"the statements of {what} alone",
            lambda: {"per_s": bare.rate(what, url, folder, seconds)},
        )

    def bought(self, what: str, errand: Errand, most_per_s: int) -> Figures:
        """Run new buyers, at full load."""

        def buy() -> Figures:
            crowd = self._come(round(most_per_s * self._seconds))
            before = self._statements()
            stored_before = stored(self._installation.database_url)
            with self._process(errand, crowd) as process:
                found = self._found(process)
            took = zip(stored(self._installation.database_url), stored_before, strict=True)
            ran = {name: count - before.get(name, 0) for name, count in self._statements().items()}
            each = {name: count / found["done"] for name, count in ran.items() if count > 0}
            tables, log = ((after - was) / found["done"] for after, was in took)
            return {**found, "statements": each, "table_bytes": tables, "log_bytes": log}

        return self._quietly(what, buy)

    def overrun(self, per_s: float) -> Figures:
        """Run at overload: more arrivals than can be served."""

        def buy() -> Figures:
            crowd = self._come(round(per_s * self._seconds))
            with self._process("buy", crowd, per_s, OVERLOAD_CONNECTIONS) as process:
                return self._found(process)

        return self._quietly(f"bookings, {OVERLOAD:.0f} times as many", buy)

    def _quietly(self, what: str, run: Callable[[], Figures]) -> Figures:
        def noted() -> Figures:
            self._on_progress(what)
            return run()

        found, stolen = measure_undisturbed(noted)
        return {**found, "stolen": stolen}

    def _come(self, size: int) -> Path:
        self._on_progress(f"admitting {counted(size, 'buyer')}")
        return self._crowds.come(size)

    def _look(self, errand: Errand, crowd: Path) -> Figures:
        with self._process(errand, crowd, SEATS_PER_S) as process:
            return self._found(process)

    def _statements(self) -> dict[str, float]:
        """Return how often each statement has run, once all that ran before are counted."""
        Event().wait(METRICS_LATE_S)
        url = f"{self._installation.management_urls[1]}/actuator/prometheus"
        with request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            text = answer.read().decode()
        return {name: float(count) for name, count in _STATEMENTS.findall(text)}

    @contextmanager
    def _process(
        self, errand: Errand, crowd: Path, per_s: float = 0, connections: int = CONNECTIONS
    ) -> Iterator["subprocess.Popen[str]"]:
        plan = BuyerPlan(
            port=self._installation.booking_port,
            errand=errand,
            buyers=str(crowd),
            per_s=per_s,
            seconds=self._seconds,
            connections=connections,
        )
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "waitline_bench.booking.buyers", json.dumps(plan._asdict())],
            env=chosen.inherited(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _found(self, process: "subprocess.Popen[str]") -> Figures:
        try:
            printed, _ = process.communicate(timeout=self._seconds + SPARE_S)
        except subprocess.TimeoutExpired:
            raise Unavailable("the load generator did not finish in time") from None
        if process.returncode:
            raise Unavailable("the load generator failed; see its output above")
        found: Figures = json.loads(printed)
        return {**found, "per_s": found["done"] / found["took_s"]}
