"""This machine: its description beside a figure, and the cores and scheduling of a measurement."""

import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waitline import __version__
from waitline.kernel.clock import SystemClock


def cores() -> tuple[int, int]:
    """Return the core for the server, and the one for everything else.

    They are the same where there is only one, and then nothing measured here means much.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory_bytes() -> int:
    """Return how much memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def taking_turns() -> Iterator[None]:
    """Let this thread and the processes that it starts finish their turns on a core.

    Where load and servers share the cores, everybody who gets an answer would else interrupt the
    worker that is writing the next one. In alternating runs of `waitline-bench entry --size 100k`
    p95 was 153 and 178 ms without this, 86 and 103 ms with it.
    """
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def described() -> dict[str, str | int]:
    """Return what a figure needs beside it to mean something."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "waitline": __version__,
        "commit": _commit(),
        "at_ms": SystemClock().now_ms(),
    }


def _commit() -> str:
    # Where there is no git, or no checkout, figures go without it.
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git there is
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
