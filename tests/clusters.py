"""What operators do to a real cluster: move slots, one key after the other or at once."""

from contextlib import suppress

from tests.until import until_async
from waitline.trial.valkey_cluster import ValkeyCluster

SOON_S = 20.0

# Timeout of moving keys from one node to another, in ms.
MIGRATE_MS = 5_000


async def owner(cluster: ValkeyCluster, slot: int) -> int:
    """Index of the node that holds a slot, by its own word."""
    for index in range(len(cluster.nodes)):
        if not cluster.nodes[index].alive:
            continue
        for text in (await cluster.send(index, "CLUSTER", "NODES")).splitlines():
            words = text.split()
            if "myself" in words[2] and "master" in words[2] and holds(words[8:], slot):
                return index
    raise AssertionError(f"nobody holds slot {slot}")


def holds(ranges: list[str], slot: int) -> bool:
    for text in ranges:
        if text.startswith("["):
            continue
        first, _, last = text.partition("-")
        if int(first) <= slot <= int(last or first):
            return True
    return False


async def begin_move(cluster: ValkeyCluster, slot: int, to: int) -> int:
    """Put a slot on its way; return where it comes from."""
    source = await owner(cluster, slot)
    source_id = await cluster.send(source, "CLUSTER", "MYID")
    target_id = await cluster.send(to, "CLUSTER", "MYID")
    await cluster.send(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    await cluster.send(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    return source


async def move_keys(cluster: ValkeyCluster, slot: int, source: int, to: int) -> None:
    while keys := await cluster.send(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
        await cluster.send(
            source, "MIGRATE", "127.0.0.1", cluster.port(to), "", 0, MIGRATE_MS,
            "AUTH", cluster.password, "KEYS", *keys,
        )  # fmt: skip


async def end_move(cluster: ValkeyCluster, slot: int, source: int, to: int) -> None:
    target_id = await cluster.send(to, "CLUSTER", "MYID")
    for index in (to, source):
        await cluster.send(index, "CLUSTER", "SETSLOT", slot, "NODE", target_id)


async def move(cluster: ValkeyCluster, slot: int, to: int) -> None:
    """Move a slot as `valkey-cli --cluster reshard` does."""
    source = await begin_move(cluster, slot, to)
    await move_keys(cluster, slot, source, to)
    await end_move(cluster, slot, source, to)


async def move_at_once(cluster: ValkeyCluster, slot: int, to: int) -> None:
    """Move a slot as Valkey does it from version 9 on: in the background, then all keys at once."""
    source = await owner(cluster, slot)
    target_id = await cluster.send(to, "CLUSTER", "MYID")
    await cluster.send(
        source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id
    )

    async def moved() -> bool:
        # For a moment the source has given the slot away and the target has not taken it.
        with suppress(AssertionError):
            return await owner(cluster, slot) == to
        return False

    await until_async(moved, SOON_S, "the slot has moved")


async def everybody_agrees(cluster: ValkeyCluster, slot: int, to: int) -> None:
    """Wait until all nodes have heard who holds a slot."""

    async def agreed() -> bool:
        port = cluster.port(to)
        for index, node in enumerate(cluster.nodes):
            if node.alive and port != await said_by(cluster, index, slot):
                return False
        return True

    await until_async(agreed, SOON_S, "all nodes know who holds the slot")


async def said_by(cluster: ValkeyCluster, index: int, slot: int) -> int | None:
    """Port of the primary of a slot, by the word of a node."""
    for first, last, primary, *_ in await cluster.send(index, "CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return int(primary[1])
    return None
