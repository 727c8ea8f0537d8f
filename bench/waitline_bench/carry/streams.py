"""Capacity of one worker in idle event streams, and the cost of each."""

import os
from collections import Counter
from math import ceil
from time import monotonic
from typing import Any

from waitline.kernel.plurals import counted
from waitline.trial import installation
from waitline_bench import usage
from waitline_bench.carry.listeners import ListenerPlan
from waitline_bench.carry.polling import OPEN_S, OnProgress
from waitline_bench.generator import sockets
from waitline_bench.generator.crew import Crew
from waitline_bench.measured_room import Room

SETTLE_S = 3.0
"""Settling time after the last stream has begun, before the measurement."""

FILES_SPARE = 200
"""File descriptors of a worker reserved for other uses."""


def run_streams(
    on_progress: OnProgress, streams: int, visitors: int, seconds: float
) -> dict[str, Any]:
    """Open streams on one worker and measure it while they are idle.

    Args:
        on_progress: Receives the current step as text.
        streams: Number of streams; fewer if the limit of open files is lower.
        visitors: Number of waiting visitors. The streams are spread over the line.
        seconds: Length of the measurement. A stream gets a keep-alive every 15 s.

    Returns:
        The figures; `troubles` lists what went wrong.
    """
    held_most = sockets.raise_file_limit() - FILES_SPARE
    wanted = min(streams, held_most)
    waiting = max(visitors, wanted)
    on_progress("starting one worker")
    with installation.start(1, {"streams_max": str(max(1, wanted))}) as stack:
        worker = stack.processes()["worker"]
        room = Room(stack.valkey_url, "streams")
        on_progress(counted(waiting, "visitor joins", "visitors join"))
        room.fill(waiting, admit_per_s=1.0)
        empty_bytes = usage.memory_bytes(worker)
        began_s = monotonic()
        with Crew("waitline_bench.carry.listeners", _plans(stack.port, wanted, waiting)) as crew:

            def settled() -> bool:
                on_progress(f"{crew.total('opened'):,} of {counted(wanted, 'stream')} open")
                return crew.total("settled") >= wanted

            crew.listen(settled, OPEN_S, "opening all streams")
            opening_s = monotonic() - began_s
            opened = crew.total("opened")
            open_bytes = usage.memory_bytes(worker)
            _listen(on_progress, crew, SETTLE_S, "settling")
            roles = {"worker": worker, "valkey": stack.processes()["valkey"]}
            first, alive, events = (
                usage.take_reading(roles),
                crew.total("alive"),
                crew.total("events"),
            )
            _listen(on_progress, crew, seconds, "watching")
            last = usage.take_reading(roles)
            cores = usage.cores_between(first, last)
            alive = crew.total("alive") - alive
            return {
                "streams": streams,
                "opened": opened,
                "waiting": waiting,
                "opening_s": opening_s,
                "bytes_per_stream": (open_bytes - empty_bytes) / opened if opened else None,
                "cores_used": cores,
                "keepalives_per_s": alive / (last.at_s - first.at_s),
                "events_per_s": (crew.total("events") - events) / (last.at_s - first.at_s),
                "us_per_keepalive": (
                    cores["worker"] * (last.at_s - first.at_s) / alive * 1e6 if alive else None
                ),
                "troubles": _troubles(crew),
            }


def _plans(port: int, streams: int, waiting: int) -> list[dict[str, Any]]:
    processes = ceil(streams / (sockets.raise_file_limit() - sockets.FILES_SPARE))
    network = 1 + os.getpid() % 250
    step = waiting // streams
    plans = []
    for process in range(processes):
        count = len(range(process, streams, processes))
        first, every = 1 + step * process, step * processes
        plan = ListenerPlan(process, network, "127.0.0.1", port, "streams", count, first, every)
        plans.append(plan._asdict())
    return plans


def _listen(on_progress: OnProgress, crew: Crew, seconds: float, what: str) -> None:
    until_s = monotonic() + seconds

    def over() -> bool:
        remaining_s = until_s - monotonic()
        on_progress(f"{what}: {max(0.0, remaining_s):.0f} s to go")
        return remaining_s <= 0

    crew.listen(over, seconds + 5, what)


def _troubles(crew: Crew) -> list[str]:
    refused: Counter[str] = Counter()
    for report in crew.reports:
        refused.update(report["refused"])
    troubles = [
        f"{counted(times, 'stream')} had status {code}" for code, times in sorted(refused.items())
    ]
    broken = crew.total("ended") - sum(refused.values())
    if broken:
        troubles.append(f"{counted(broken, 'stream')} ended")
    return troubles
