"""A whole installation whose stores refuse it: no process ends, no 500, a short log, and back."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import asyncpg
import httpx
import pytest
import redis

from tests.faults.stack import SOON_S, Stack, family, is_ready, up
from tests.until import until

# Seconds for which a store refuses. Loops and requests fail hundreds of times meanwhile.
OUTAGE_S = 3.0

# Lines of all processes in that time. Each has about ten loops, with a line each when it begins to
# fail and when it works again, and one line in ten seconds about requests.
LINES_MAX = 60


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="wl-") as name,
        up(Path(name), workers=1, box_office=True) as running,
    ):
        until(running.whole, SOON_S, "everything runs")
        yield running


def sql(stack: Stack, user: str, *texts: str) -> None:
    async def run() -> None:
        url = (stack.data_dir / "postgres.url").read_text("utf-8")
        connection = await asyncpg.connect(url.replace("waitline@", f"{user}@"), timeout=SOON_S)
        for text in texts:
            await connection.execute(text)
        await connection.close()

    asyncio.run(run())


def no_room_for_clients(stack: Stack) -> Callable[[], None]:
    db = redis.Redis.from_url(stack.url)
    limit = db.config_get("maxclients")["maxclients"]
    db.config_set("maxclients", 1)
    db.client_kill_filter(_type="normal", skipme=True)

    def mend() -> None:
        db.config_set("maxclients", limit or 10_000)
        db.close()

    return mend


def no_logins(stack: Stack) -> Callable[[], None]:
    with suppress(asyncpg.DuplicateObjectError):
        sql(stack, "waitline", "CREATE ROLE rescue LOGIN SUPERUSER")
    sql(
        stack,
        "rescue",
        "ALTER ROLE waitline NOLOGIN",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'waitline'",
    )
    return lambda: sql(stack, "rescue", "ALTER ROLE waitline LOGIN")


def backends_ended(stack: Stack) -> Callable[[], None]:
    text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with suppress(asyncpg.PostgresError):
        sql(stack, "waitline", text)
    return lambda: None


def read_only(stack: Stack) -> Callable[[], None]:
    db = redis.Redis.from_url(stack.url)
    db.replicaof("127.0.0.1", "1")

    def mend() -> None:
        db.replicaof("NO", "ONE")
        db.close()

    return mend


TROUBLES = {
    "no room for clients": (no_room_for_clients, True),
    "store read-only": (read_only, True),
    "no logins": (no_logins, True),
    "backends ended": (backends_ended, False),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_store_that_refuses_ends_nothing(name: str, stack: Stack) -> None:
    trouble, noticed = TROUBLES[name]
    processes = family(stack.program.pid)
    lines = len(stack.program.output.splitlines())
    mend = trouble(stack)
    try:
        statuses, unready = outage(stack, noticed=noticed)
    finally:
        mend()
    assert 500 not in statuses, statuses
    assert unready or not noticed, "readiness says that nothing is wrong"
    until(
        lambda: is_ready(stack.port) and is_ready(stack.booking_port), SOON_S, "it is ready again"
    )
    assert set(processes) & set(services(stack)) == set(services(stack)), "a process was replaced"
    written = stack.program.output.splitlines()[lines:]
    assert len(written) <= LINES_MAX, Counter(line[:80] for line in written).most_common(10)
    assert not [line for line in written if "Traceback" in line or '"level": "error"' in line]


def services(stack: Stack) -> list[int]:
    """Return the processes that are ours; the server of a database starts others as it likes."""
    return [stack.queue, stack.admitter, stack.booking, stack.sandbox]


def outage(stack: Stack, *, noticed: bool) -> tuple[Counter[int], bool]:
    """Make calls to both services; return how they were answered, and if one was not ready."""
    statuses: Counter[int] = Counter()
    unready = False
    queue, booking = f"http://127.0.0.1:{stack.port}", f"http://127.0.0.1:{stack.booking_port}"
    until_s = monotonic() + OUTAGE_S
    # What a probe has found serves for a second: on a slow machine a single round may be within it.
    unready_s = monotonic() + SOON_S if noticed else until_s
    number = 0
    with httpx.Client(timeout=SOON_S) as client:
        while monotonic() < until_s or (not unready and monotonic() < unready_s):
            number += 1
            body = {"concertId": "refused", "userId": f"v{number}"}
            statuses[client.post(f"{queue}/api/v1/queue/enter", json=body).status_code] += 1
            headers = {"X-User-Id": "1", "X-Queue-Token": "none"}
            for path in ("/api/v1/concerts/1/schedules", f"/api/v1/reservations/{number}"):
                answer = client.get(booking + path, headers=headers)
                statuses[answer.status_code] += 1
            unready |= not (is_ready(stack.port) and is_ready(stack.booking_port))
            assert client.get(f"{booking}/actuator/health/liveness").status_code == 200
            assert client.get(f"{queue}/actuator/health/liveness").status_code == 200
    return statuses, unready
