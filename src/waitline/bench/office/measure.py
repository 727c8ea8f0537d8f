"""Measure the box office: the seat map, reserving, paying, and what happens at ten times the load.

One installation, one run: the statements alone are measured on the same server in between, so that
ratios hold whatever the machine is doing.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib import request

from waitline import settings as chosen
from waitline.bench import books, stack
from waitline.bench.office import bare, hall
from waitline.bench.office.buyers import Errand, Plan
from waitline.bench.stack import Stack
from waitline.errors import Unavailable

SEATS_PER_S = 500.0
"""How often the seat map is asked for. Source: the aim that it is measured against."""

CHANGES_PER_S = 50.0
"""How often it changes meanwhile."""

CONNECTIONS = 64
OVERLOAD = 10.0
"""How many times more come than can be served."""

OVERLOAD_CONNECTIONS = 1_000
RESERVE_MOST, BUY_MOST, OVERLOAD_MOST = 2_500, 3_500, 3_000
"""Buyers of each part: each has one of the demo concert's 10 000 seats to itself."""

SPARE_S = 40.0
"""How long a generator may take beyond its seconds."""

_STATEMENTS = re.compile(
    r'^database_statement_duration_seconds_count\{[^}]*statement="(\w+)"[^}]*\} (\S+)', re.MULTILINE
)

Note = Callable[[str], None]


def measure(seconds: float, workers: int, note: Note) -> dict[str, Any]:
    """Return all figures of one run.

    Args:
        seconds: Length of each part.
        workers: Processes of the booking service.
        note: Told what is being done.

    Raises:
        Unavailable: The installation or a generator failed.
    """
    note("starting the servers")
    settings = {"booking_workers": str(workers), "sandbox_latency": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="waitline-office-") as name,
        stack.running(1, settings, box_office=True) as installation,
    ):
        note("letting the buyers in")
        office = _Office(installation, hall.fill(installation, Path(name)), seconds)
        note("the seat map, whole")
        figures: dict[str, Any] = {"seats": office.looked("seats")}
        note("the seat map, known")
        figures["seats, 304"] = office.looked("seats again")
        note("the sections")
        figures["sections"] = office.looked("sections")
        note("the seat map while it changes")
        with office.changing():
            figures["seats, changing"] = office.looked("seats")
        note("the statements alone")
        figures["bare"] = bare.rates(installation.database_url, Path(name), seconds)
        note("reservations")
        figures["reserve"] = office.bought("reserve", RESERVE_MOST)
        note("bookings")
        before = office.statements()
        figures["buy"] = office.bought("buy", BUY_MOST)
        after = office.statements()
        figures["statements"] = {
            statement: (after[statement] - before.get(statement, 0.0)) / figures["buy"]["done"]
            for statement in after
            if after[statement] > before.get(statement, 0.0)
        }
        note("ten times as many")
        rate = OVERLOAD * figures["buy"]["per_s"]
        figures["overload"] = office.bought("buy", OVERLOAD_MOST, rate, OVERLOAD_CONNECTIONS)
        note("the audit")
        figures["audit"] = books.audited(installation)
    return figures


class _Office:
    """The generator's side of an installation."""

    def __init__(self, installation: Stack, buyers: Path, seconds: float) -> None:
        self._installation = installation
        self._buyers = buyers
        self._seconds = seconds
        self._used = 0

    def looked(self, errand: Errand) -> dict[str, Any]:
        """Read the seat map at a fixed pace."""
        with self._process(errand, most=hall.SEATS, per_s=SEATS_PER_S) as process:
            return self._found(process)

    def bought(
        self, errand: Errand, most: int, per_s: float = 0, connections: int = CONNECTIONS
    ) -> dict[str, Any]:
        """Let buyers come who have not been here before."""
        with self._process(errand, most=most, per_s=per_s, connections=connections) as process:
            return self._found(process)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Reserve seats at a fixed pace meanwhile."""
        with self._process("reserve", most=1_000, per_s=CHANGES_PER_S) as process:
            yield
            self._found(process)

    def statements(self) -> dict[str, float]:
        """Return how often each statement was run so far."""
        url = f"{self._installation.booking_url}/actuator/prometheus"
        with request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            text = answer.read().decode()
        return {name: float(count) for name, count in _STATEMENTS.findall(text)}

    @contextmanager
    def _process(
        self, errand: Errand, *, most: int, per_s: float, connections: int = CONNECTIONS
    ) -> Iterator["subprocess.Popen[str]"]:
        plan = Plan(
            port=self._installation.booking_port,
            errand=errand,
            buyers=str(self._buyers),
            first=self._used if errand in {"reserve", "buy"} else 0,
            most=most,
            per_s=per_s,
            seconds=self._seconds,
            connections=connections,
        )
        if errand in {"reserve", "buy"}:
            self._used += most
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "waitline.bench.office.buyers", json.dumps(plan._asdict())],
            env=chosen.inherited(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _found(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        try:
            printed, _ = process.communicate(timeout=self._seconds + SPARE_S)
        except subprocess.TimeoutExpired:
            raise Unavailable("the generator did not come to an end") from None
        if process.returncode:
            raise Unavailable("the generator failed; what it printed above says why")
        found: dict[str, Any] = json.loads(printed)
        return {**found, "per_s": found["done"] / found["took_s"]}
