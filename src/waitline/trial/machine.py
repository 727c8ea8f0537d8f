"""Machine description, free ports, and CPU affinity and scheduling for measurements."""

import errno
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waitline import __version__
from waitline.kernel.clock import SystemClock

PORT_MIN = 10_000
"""Lowest port to choose; well-known servers have lower ones."""

PORT_END_MIN = 20_000
"""Ports below this one are chosen even where the system gives them to connections too."""

PORT_TRIES = 1_000
"""Ports to try. A few hundred of some 20 000 are taken where many tests run."""


def cores() -> tuple[int, int]:
    """Return the core for the server and the core for all other processes.

    They are the same on a machine with one core; measurements there mean little.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, for a server that this process starts later.

    Until then, nothing takes it: the system gives outgoing connections and servers without a port
    of their own higher ones, and no other process that calls this gets it.

    Raises:
        OSError: None of many ports is free.
    """
    for _ in range(PORT_TRIES):
        port = PORT_MIN + secrets.randbelow(_port_end() - PORT_MIN)
        if _claim(port):
            return port
    raise OSError(errno.EADDRINUSE, f"none of {PORT_TRIES} ports is free")


def _port_end() -> int:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii")
    return max(int(given.split()[0]), PORT_END_MIN)


def _claim(port: int) -> bool:
    """Claim a port for as long as this process runs, unless it is taken or claimed."""
    claim = socket.socket(socket.AF_UNIX)
    with socket.socket() as probe:
        try:
            # An abstract address: it ends with its last process, and leaves no file.
            claim.bind(f"\0waitline-port-{port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            return False
    claim.detach()
    return True


def memory_bytes() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def taking_turns() -> Iterator[None]:
    """Run this thread and the processes that it starts under SCHED_BATCH: fewer preemptions.

    Where load and servers share cores, each client that gets an answer would otherwise preempt the
    worker that writes the next one. In alternating runs of `waitline-bench entry --size 100k` p95
    was 153 and 178 ms without this, 86 and 103 ms with it.
    """
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def described() -> dict[str, str | int]:
    """Return the conditions to report with a measurement: hardware, system and version."""
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
    # Without git or a checkout, the commit is unknown.
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
