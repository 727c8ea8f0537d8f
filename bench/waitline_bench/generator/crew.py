"""Start, command and stop the load generator processes of a measurement."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any, Self

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable

STOP_S = 10.0
"""How long a process may take to close its sockets before it is killed."""


class Crew:
    """Processes of one module, each with its own plan.

    A process gets its plan on the first line of stdin, then orders, and ends with stdin. It writes
    reports to stdout, one line of JSON each.

    Args:
        module: Module to run.
        plans: One per process.

    Attributes:
        reports: Last report of each process; empty before the first.
    """

    def __init__(self, module: str, plans: Sequence[Mapping[str, Any]]) -> None:
        self.reports: list[dict[str, Any]] = [{} for _ in plans]
        self._module = module
        self._plans = plans
        self._processes: list[subprocess.Popen[bytes]] = []
        self._parts = [b""] * len(plans)
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        """Start the processes."""
        try:
            for number, plan in enumerate(self._plans):
                self._start(number, plan)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes."""
        self._end()

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [process.pid for process in self._processes]

    def order(self, **words: float) -> None:
        """Send an order to all processes."""
        for process in self._processes:
            self._say(process, words)

    def total(self, name: str) -> int:
        """Return the sum of a number in their last reports."""
        return sum(report.get(name, 0) for report in self.reports)

    def listen(self, until: Callable[[], bool], deadline_s: float, what: str) -> None:
        """Receive reports until a condition holds.

        Raises:
            Unavailable: It did not hold before the deadline, or a process has ended.
        """
        end_s = monotonic() + deadline_s
        while not until():
            if monotonic() > end_s:
                raise Unavailable(f"{what}: not within {deadline_s:.0f} s")
            for key, _ in self._selector.select(0.1):
                self._read(key.data)

    def _start(self, number: int, plan: Mapping[str, Any]) -> None:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", self._module],
            env=chosen.inherited(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The command handles Ctrl-C and ends them. No sessions of their own: a scheduler that
            # is fair by session (autogroup) would give each as much CPU as all workers together.
            process_group=0,
        )
        self._processes.append(process)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, number)
        self._say(process, plan)

    def _say(self, process: "subprocess.Popen[bytes]", words: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        # A process that has ended is detected where reports are read.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(words).encode("ascii") + b"\n")
            process.stdin.flush()

    def _read(self, number: int) -> None:
        stdout = self._processes[number].stdout
        assert stdout is not None
        data = os.read(stdout.fileno(), 1_048_576)
        if not data:
            raise Unavailable("a load generator has ended; see its output above")
        *lines, self._parts[number] = (self._parts[number] + data).split(b"\n")
        if lines:
            self.reports[number] = json.loads(lines[-1])

    def _end(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self._selector.close()
