"""Death of a room's primary under load: what visitors see of it, and what it loses.

Visitors enter a room of a real cluster, each again until answered 201; those whose turn comes
activate their pass, and every second one leaves. Every answer is kept. The room's primary is
killed, or frozen until its replica has taken over, or killed after its replicas have heard nothing
of it for a while. Then the line is compared with the answers.
"""

import asyncio
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue import audit, keys
from waitline.queue.audit import RoomSnapshot
from waitline.queue.limits import Limits
from waitline.queue.model import State
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.sales.http_client import HttpClient
from waitline.trial.installation import start
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey.client import ValkeyClient
from waitline.valkey.durability import Durability
from waitline.valkey.replies import CommandError
from waitline.valkey.slots import slot_of
from waitline_bench.slow_disk import slow_disk

ROOM = RoomId("failing over")

SIZES: Mapping[Durability, Size] = {
    "memory": Size(3, 3),
    "disk": Size(3, 3),
    "replicated": Size(3, 6),
}
"""Primaries and replicas. With `replicated`, the promoted replica needs one too."""

CALLERS = 6
"""Visitors who enter at the same time, each after the answer to the one before."""

AGAIN_S = 0.05
"""Pause, in s, before a visitor who was refused enters again."""

CALL_S = 5.0
SOON_S = 60.0
"""Timeouts, in s: of a call that looks at the line, and of a failover."""

LAG_S = 0.5
"""Replication lag, in s, of the fault `lag`: short enough that nobody takes a replica for lost."""

SLOW_WRITES_PER_S = 50
"""Writes per second that the disk takes in the fault `slow`, for as long as the load before it. A
disk of a data centre takes thousands."""

Fault = Literal["kill", "freeze", "lag", "slow"]
OnProgress = Callable[[str], None]


class AnsweredEntry(NamedTuple):
    """An entry that was answered 201.

    Attributes:
        place: The place in the answer's token.
        asked_s: When it was first asked for.
        answered_s: When the answer came.
        refused: How often it was refused before.
    """

    place: int
    asked_s: float
    answered_s: float
    refused: int


@dataclass(slots=True)
class Entrants:
    """Visitors of one room, and their own log of answers.

    Attributes:
        client: Sends their requests.
        answers: Answered entries.
        activated: Visitors whose activation was answered.
        leaving: Those of them who have asked to leave; `left`: whom the answer confirmed it.
        refusals: Entries that were refused, by status.
        stopping: Whether nobody comes any more.
    """

    client: HttpClient
    answers: dict[str, AnsweredEntry] = field(default_factory=dict)
    activated: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    refusals: Counter[int] = field(default_factory=Counter)
    stopping: bool = False
    numbers: Any = field(default_factory=lambda: count(1))

    async def enter(self) -> None:
        """Enter one visitor after the other until stopped."""
        while not self.stopping:
            visitor = f"v{next(self.numbers)}"
            body = json.dumps({"concertId": ROOM, "userId": visitor}).encode()
            asked_s, refused = perf_counter(), 0
            while True:
                status, place = await self._once(body)
                if place is not None:
                    self.answers[visitor] = AnsweredEntry(place, asked_s, perf_counter(), refused)
                    break
                refused += 1
                self.refusals[status] += 1
                await asyncio.sleep(AGAIN_S)

    async def take_turns(self) -> None:
        """Activate passes in the order of the line; every second visitor leaves."""
        names: list[str] = []
        while not self.stopping:
            names = names or [name for name in self.answers if name not in self.activated][:CALLERS]
            for visitor in names:
                if await self._answers("POST", "activate", visitor):
                    self.activated.add(visitor)
                    if len(self.activated) % 2:
                        self.leaving.add(visitor)
            names = [name for name in names if name not in self.activated]
            for visitor in self.leaving - self.left:
                if await self._answers("DELETE", "remove", visitor):
                    self.left.add(visitor)
            await asyncio.sleep(AGAIN_S)

    async def _answers(self, method: str, verb: str, visitor: str) -> bool:
        names = urlencode({"concertId": ROOM, "userId": visitor})
        try:
            answer = await self.client.request(method, f"/api/v1/queue/{verb}?{names}")
        except Unavailable:
            return False
        return answer.status == 200  # noqa: PLR2004 - the contract's

    async def _once(self, body: bytes) -> tuple[int, int | None]:
        try:
            answer = await self.client.request("POST", "/api/v1/queue/enter", body=body)
        except Unavailable:
            return 0, None
        if answer.status != 201:  # noqa: PLR2004 - the contract's
            return answer.status, None
        token = str(json.loads(answer.body)["data"]["token"])
        return answer.status, int(token.split(".")[2])


def run_failover(
    on_progress: OnProgress,
    durabilities: list[Durability],
    faults: list[Fault],
    seconds: float,
) -> list[dict[str, Any]]:
    """Return a row of figures for each durability and fault.

    Raises:
        Unavailable: The cluster or the service did not start, or no replica took over in time.
    """
    rows = []
    for durability in durabilities:
        for fault in faults:
            on_progress(f"{durability}, {fault}")
            figures = fail_over(durability, fault, seconds)
            rows.append({"durability": durability, "fault": fault, **figures})
    return rows


def fail_over(durability: Durability, fault: Fault, seconds: float) -> dict[str, Any]:
    """Let the primary of a room die under load, and audit what is left.

    Args:
        durability: That of the installation.
        fault: `kill`; `freeze`, until a replica has taken over; `lag`, a kill after `LAG_S` in
            which the replicas heard nothing; or `slow`, a kill after a time with a slow disk.
        seconds: Load before the fault and after the failover.

    Returns:
        `joins` answered; of these `lost`, `moved` (another place than answered), `twice` (places
        answered to two visitors) and `unordered` (a lower place for one who asked after another's
        answer); `turns`: activations and departures answered, and `turns_lost`;
        `refused` by status (0: no answer); `first_s` and `last_s` from the fault to the first and
        the last answer to visitors who were refused; `admitted_by_old`: whether the old
        primary admitted anybody after the fault; `findings` of the audit.
    """
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        cluster = ValkeyCluster(
            Path(folder) / "cluster",
            SIZES[durability],
            appendfsync="always" if durability == "disk" else "no",
        )
        try:
            cluster.start(SOON_S)
            settings = {"valkey_url": cluster.url, "durability": durability}
            with start(1, settings, batch_scheduling=False) as up:
                return asyncio.run(_measured(cluster, up.url, fault, seconds))
        finally:
            cluster.stop()


async def _measured(
    cluster: ValkeyCluster, url: str, fault: Fault, seconds: float
) -> dict[str, Any]:
    store = ValkeyClient(cluster.url, timeout_s=CALL_S)
    limits = Limits(admit_per_s=100, active_max=100_000, waiting_max=10_000_000)
    await Rooms(store).ensure(ROOM, Rules(limits=limits))
    visitors = Entrants(HttpClient(url))
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(visitors.enter())
        group.create_task(visitors.take_turns())
        try:
            old = await _primary(cluster)
            with _slowed(cluster, old) if fault == "slow" else nullcontext():
                await asyncio.sleep(seconds)
            fault_s, fault_ms = perf_counter(), SystemClock().now_ms()
            await _break(cluster, old, fault)
            await _taken_over(cluster, old)
            await _answered(visitors)
            await asyncio.sleep(seconds)
            admitted_ms = await _come_back(cluster, old, fault)
        finally:
            visitors.stopping = True
    visitors.client.close()
    await Rooms(store).change(ROOM, {"mode": "paused"})
    seen = await audit.take_snapshot(store, ROOM)
    await store.close()
    again = [one.answered_s for one in visitors.answers.values() if one.answered_s > fault_s]
    waited = [
        one.answered_s
        for one in visitors.answers.values()
        if one.refused and one.answered_s > fault_s
    ]
    return {
        "joins": len(visitors.answers),
        "turns": len(visitors.activated) + len(visitors.left),
        **compare(visitors, seen),
        "refused": dict(visitors.refusals),
        "first_s": min(waited or again) - fault_s,
        "last_s": max(waited or again) - fault_s,
        "admitted_by_old": admitted_ms > fault_ms + 100,
        "findings": [str(finding) for finding in audit.examine(seen)],
    }


def compare(visitors: Entrants, seen: RoomSnapshot) -> dict[str, int]:
    """Compare a line with what its visitors were answered; see `fail_over`."""
    places = {str(visitor): place for visitor, place in seen.waiting.items()}
    places |= {str(visitor): slot.place for visitor, slot in seen.slots.items()}
    active = {str(name) for name, slot in seen.slots.items() if slot.state == State.ACTIVE}
    answers = visitors.answers
    stayed = answers.keys() - visitors.leaving
    given = Counter(answer.place for answer in answers.values())
    earliest_s, unordered = float("inf"), 0
    in_line = sorted(
        (one for name, one in answers.items() if name in places), key=lambda one: -one.place
    )
    for later, one in pairwise(in_line):
        earliest_s = min(earliest_s, later.answered_s)
        unordered += one.asked_s > earliest_s
    return {
        "lost": len(stayed - places.keys()),
        "moved": sum(places.get(name, one.place) != one.place for name, one in answers.items()),
        "twice": sum(number - 1 for number in given.values()),
        "unordered": unordered,
        "turns_lost": len((visitors.activated - visitors.leaving) - active)
        + len(visitors.left & places.keys()),
    }


async def _primary(cluster: ValkeyCluster, but: int = -1) -> int:
    """Return the node that holds the room, by its own word."""
    slot = slot_of(keys.of(ROOM).room)
    for index, node in enumerate(cluster.nodes):
        if index == but or not node.alive:
            continue
        with suppress(Unavailable):
            for line in str(await cluster.send(index, "CLUSTER", "NODES")).splitlines():
                words = line.split()
                ranges = [part.split("-") for part in words[8:] if "[" not in part]
                if {"myself", "master"} <= set(words[2].split(",")) and any(
                    int(ends[0]) <= slot <= int(ends[-1]) for ends in ranges
                ):
                    return index
    raise Unavailable(f"no node holds slot {slot}")


def _slowed(cluster: ValkeyCluster, old: int) -> AbstractContextManager[None]:
    return slow_disk(cluster.nodes[old].pid, Path(tempfile.gettempdir()), SLOW_WRITES_PER_S)


async def _break(cluster: ValkeyCluster, old: int, fault: Fault) -> None:
    """Let the fault happen."""
    behind = await _replicas(cluster, old) if fault == "lag" else []
    for index in behind:
        os.kill(cluster.nodes[index].pid, signal.SIGSTOP)
    if behind:
        # Else the stream would wait for them in their sockets.
        await cluster.send(old, "CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(LAG_S)
    os.kill(cluster.nodes[old].pid, signal.SIGSTOP if fault == "freeze" else signal.SIGKILL)
    for index in behind:
        os.kill(cluster.nodes[index].pid, signal.SIGCONT)


async def _replicas(cluster: ValkeyCluster, primary: int) -> list[int]:
    """Return the nodes that replicate a primary."""
    own_id = await cluster.send(primary, "CLUSTER", "MYID")
    found = []
    for index in range(len(cluster.nodes)):
        words = str(await cluster.send(index, "CLUSTER", "NODES")).split("myself,", 1)[1].split()
        if own_id in words[:2]:
            found.append(index)
    return found


async def _taken_over(cluster: ValkeyCluster, old: int) -> None:
    async with asyncio.timeout(SOON_S):
        while True:
            with suppress(Unavailable):
                await _primary(cluster, but=old)
                return
            await asyncio.sleep(AGAIN_S)


async def _answered(visitors: Entrants) -> None:
    """Wait until all who were refused have an answer, and others come."""
    enough = len(visitors.answers) + 10 * CALLERS
    async with asyncio.timeout(SOON_S):
        while True:
            if len(visitors.answers) >= enough:
                return
            await asyncio.sleep(AGAIN_S)


async def _come_back(cluster: ValkeyCluster, old: int, fault: Fault) -> float:
    """Bring the old primary back; return when it last admitted anybody, in ms, before it knew."""
    node, latest_ms = cluster.nodes[old], 0.0
    if fault != "freeze":
        await asyncio.to_thread(node.start, SOON_S)
    else:
        os.kill(node.pid, signal.SIGCONT)
    async with asyncio.timeout(SOON_S):
        while True:
            # It may know that the slot has moved before it is a replica.
            with suppress(Unavailable, CommandError):
                role = await cluster.send(old, "ROLE")
                if role[0] == "slave":
                    return latest_ms
                admitted = await cluster.send(old, "HGET", keys.of(ROOM).record, "last_at")
                latest_ms = max(latest_ms, float(admitted or 0))
