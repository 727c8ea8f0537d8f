"""Audit after a run: k6 cannot see whether line and sale are consistent."""

import asyncio
from collections.abc import Callable
from threading import Event
from time import monotonic

from waitline.kernel.clock import SystemClock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit
from waitline.queue.rooms import Rooms
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import verify_token
from waitline.trial.installation import Installation
from waitline.valkey.client import ValkeyClient
from waitline_bench.scenario.samples import info
from waitline_bench.scenario.verdict import RoomFound

DRAIN_S = 10.0
"""Time for rooms to become empty once all visitors have left: the slot of a buyer is freed by an
event, within a second on an idle machine."""

DRAIN_LOOK_S = 0.2


def drain(stack: Installation) -> None:
    """Wait until no visitor waits or holds a slot, at most `DRAIN_S`."""

    async def held() -> int:
        store = ValkeyClient(stack.valkey_url, timeout_s=audit.READ_S)
        try:
            rooms = Rooms(store)
            seen = [await rooms.survey(name) for name in await rooms.names()]
            return sum(room.waiting + room.admitted for room in seen)
        finally:
            await store.close()

    until_s = monotonic() + DRAIN_S
    while asyncio.run(held()) and monotonic() < until_s:
        Event().wait(DRAIN_LOOK_S)


def inspect(stack: Installation) -> tuple[list[RoomFound], dict[str, str]]:
    """Audit every room; return the findings and Valkey's statistics by command.

    Invariant:
        Q1 to Q9, as `waitline audit` checks them.
    """
    ring = KeyringFile(stack.data_dir / "keys" / "keys.json").load_or_create(SystemClock().now_ms())

    def serves(room: RoomId) -> Callable[[VisitorId, int, int, VisitorId], bool]:
        def serves_there(owner: VisitorId, place: int, joined_ms: int, visitor: VisitorId) -> bool:
            ticket = mint_ticket(ring, room, owner, place, joined_ms)
            return verify_token(ring, room, visitor, ticket).genuine

        return serves_there

    async def run() -> tuple[list[RoomFound], dict[str, str]]:
        store = ValkeyClient(stack.valkey_url, timeout_s=audit.READ_S)
        try:
            # Read before the audit's own commands count.
            commands = await info(store, "commandstats", "latencystats")
            names = sorted(await Rooms(store).names(), key=lambda name: (len(name), name))
            return [
                _found(await audit.take_snapshot(store, name), serves(name)) for name in names
            ], commands
        finally:
            await store.close()

    return asyncio.run(run())


def _found(
    seen: audit.RoomSnapshot, serves: Callable[[VisitorId, int, int, VisitorId], bool]
) -> RoomFound:
    findings = audit.examine(seen, serves)
    return RoomFound(
        room=str(seen.room),
        waiting=len(seen.waiting),
        admitted=len(seen.admitted),
        entered=seen.number("entered"),
        active_max=seen.number("active_max"),
        admit_per_s=float(seen.fields["admit_per_s"]),
        findings=[f"{finding.invariant}: {finding.text}" for finding in findings],
    )
