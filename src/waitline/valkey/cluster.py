"""Routing in a cluster: one pipelined connection for each primary, and the map of slots.

A command goes to the primary that holds its key. Redirects are followed within the caller's
timeout; each means that the command was not executed, so a retry is safe. A command sent to a node
that does not answer is not retried: its outcome is unknown.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from waitline.kernel import telemetry
from waitline.kernel.backoff import Backoff
from waitline.kernel.errors import NeedsOperator, Unavailable
from waitline.valkey import slots, transport
from waitline.valkey.address import StoreAddress
from waitline.valkey.connection import TLS_S, Connection, Mark, require, unreachable
from waitline.valkey.replies import CommandError
from waitline.valkey.slots import Node, SlotMap

MAP_S = 1.0
"""Timeout of asking one node for the map of slots, in s: the next node may answer."""

FIRST_TLS_MAP_S = MAP_S + TLS_S + transport.PROBE_S
"""The same for the first map over TLS, in s: a port without TLS is recognised within it."""

MAP_EVERY_S = 0.25
"""Shortest time between two requests for the map, in s. While a node is down each call to it wants
a new map, and nothing changes until another one is promoted, which takes seconds."""

HOPS = 2
"""Redirects that are followed without a pause. A longer chain means that nodes disagree until a
change has reached all of them."""

PAUSE_S, PAUSE_MAX_S = 0.01, 0.1
"""First and longest pause before a command is sent again, in s: it doubles, with jitter. A key is
moved to another node within milliseconds, and a call lasts half a second."""

TAGS_MAX = 100_000
"""Most hash tags that are tried to find a key for each primary, about 50 ms; a primary with a
hundredth of the slots takes some hundred."""

_AGAIN = frozenset(("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "LOADING", "MASTERDOWN"))
"""Replies after which a command is sent again: it was not executed."""

_NO_SLOTS = (
    "it has no slots: create the cluster first (valkey-cli --cluster create), or give the address "
    "of a node of yours"
)
_NO_CLUSTER = "it is not a cluster; write redis:// instead of redis+cluster://"

Send = Callable[[Connection, float], Awaitable[Any]]

log = structlog.get_logger()


class Cluster:
    """The primaries of a cluster, as one server.

    Args:
        where: Some of its nodes; the others are found through them.
        mark: Checked when a cluster is reached that shares no node with the one before.
    """

    def __init__(self, where: StoreAddress, mark: Mark | None = None) -> None:
        self._where = where
        self._mark = mark
        self._refusal = ""
        self._nodes: dict[Node, Connection] = {}
        self._owners: list[Node | None] = [None] * slots.SLOTS
        self._map = SlotMap((), (), frozenset())
        self._epoch = 0
        self._mapped_s = float("-inf")
        self._mapping: asyncio.Task[None] | None = None
        self._backoff = Backoff()
        self._tags: dict[str, dict[str, str]] = {}

    async def call(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        """Send one command to the primary that holds its key, and return the reply.

        Raises:
            Unavailable: No reply in time, or no such primary. The command may have been executed.
            CommandError: The node refused it.
        """
        slot = slots.slot_of(slots.key_of(words))
        return await self._sent(slot, lambda node, s: node.call(words, s), timeout_s, words)

    async def call_at(self, key: str, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        """Send one command to the primary that holds a key; raises as `call`."""
        return await self._sent(
            slots.slot_of(key), lambda node, s: node.call(words, s), timeout_s, words
        )

    async def call_confirmed(
        self,
        wait: Sequence[str | float],
        key: str,
        words: Sequence[str | float],
        timeout_s: float,
    ) -> Any:  # noqa: ANN401
        """Send one command, and return its reply once confirmed; raises as `Connection` does."""
        return await self._sent(
            slots.slot_of(key),
            lambda node, s: node.call_confirmed(wait, key, words, s),
            timeout_s,
        )

    async def transaction(
        self, commands: Sequence[Sequence[str | float]], timeout_s: float
    ) -> list[Any]:
        """Run several commands on keys of one slot as one transaction; raises as `call`."""
        key = next(slots.key_of(words) for words in commands if len(words) > 1)
        replies: list[Any] = await self._sent(
            slots.slot_of(key), lambda node, s: node.transaction(commands, s), timeout_s
        )
        return replies

    async def each(self, words: Sequence[str | float], timeout_s: float) -> dict[str, Any]:
        """Send one command to every primary; return replies and failures by its address."""
        await self._first_map(timeout_s)
        primaries = self._primaries()
        replies = await asyncio.gather(
            *(self._nodes[node].call(words, timeout_s) for node in primaries),
            return_exceptions=True,
        )
        return {_shown(node): reply for node, reply in zip(primaries, replies, strict=True)}

    async def keys_everywhere(self, name: str, timeout_s: float) -> dict[str, str]:
        """Return a key for each primary, by its address: a name whose hash tag is varied."""
        await self._first_map(timeout_s)
        if name not in self._tags:
            found: dict[Node | None, str] = {}
            missing = set(self._primaries())
            for number in range(TAGS_MAX):
                key = f"{name[:-1]}-{number}}}"
                owner = self._owners[slots.slot_of(key)]
                if owner in missing:
                    missing.discard(owner)
                    found[owner] = key
                if not missing:
                    break
            self._tags[name] = {_shown(node): key for node, key in found.items() if node}
        return self._tags[name]

    async def _sent(
        self,
        slot: int,
        send: Send,
        timeout_s: float,
        words: Sequence[str | float] | None = None,
    ) -> Any:  # noqa: ANN401
        started_s = asyncio.get_running_loop().time()
        node = self._owners[slot]
        if node is None:
            node = await self._owner(slot, timeout_s)
            timeout_s += started_s - asyncio.get_running_loop().time()
        try:
            return await send(self._nodes[node], timeout_s)
        except Unavailable:
            self._map_soon()
            raise
        except CommandError as error:
            if error.code not in _AGAIN:
                raise
            failure = error
        return await self._sent_again(slot, node, failure, send, words, started_s + timeout_s)

    async def _sent_again(  # noqa: PLR0917 - what a call is made of
        self,
        slot: int,
        node: Node,
        failure: CommandError,
        send: Send,
        words: Sequence[str | float] | None,
        until_s: float,
    ) -> Any:  # noqa: ANN401
        """Retry a command for as long as nodes reply that they did not execute it."""
        loop = asyncio.get_running_loop()
        pause_s, hops = PAUSE_S, 0
        while loop.time() < until_s:
            telemetry.STORE_REDIRECTS.add(1, failure.code)
            asks = failure.code == "ASK"
            found = self._redirected(slot, node, failure, can_ask=words is not None)
            hops += 1
            if found is None or hops > HOPS:
                wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - only jitter
                if loop.time() + wait_s >= until_s:
                    raise failure
                await asyncio.sleep(wait_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
                # A new map may have arrived by now.
                found, asks = self._owners[slot] or node, False
            node = found
            try:
                if asks and words is not None:
                    return await self._connection(node).call_asking(words, until_s - loop.time())
                return await send(self._connection(node), until_s - loop.time())
            except Unavailable:
                self._map_soon()
                raise
            except CommandError as error:
                if error.code not in _AGAIN:
                    raise
                failure = error
        raise failure

    def _redirected(
        self, slot: int, node: Node, failure: CommandError, *, can_ask: bool
    ) -> Node | None:
        """Return the node that a reply redirects to; `None` if the command must wait.

        While a slot is being migrated, a transaction cannot go to the importing node: it would need
        ASKING before each of its commands.
        """
        if failure.code == "TRYAGAIN" or (failure.code == "ASK" and not can_ask):
            return None
        if failure.code == "ASK":
            return slots.parse_redirect(str(failure), node.host)
        self._map_soon()
        found = None
        if failure.elsewhere:
            found = slots.parse_redirect(str(failure), node.host)
        if found is not None:
            self._connection(found)
            self._owners[slot] = found
        return found

    async def _owner(self, slot: int, timeout_s: float) -> Node:
        await self._first_map(timeout_s, slot)
        node = self._owners[slot]
        if node is None:
            raise Unavailable(f"the store at {self._where} lacks a primary for slot {slot}")
        return node

    async def _first_map(self, timeout_s: float, slot: int | None = None) -> None:
        """Wait for a map, if there is none, or none of this slot."""
        if self._map.nodes and (slot is None or self._owners[slot] is not None):
            return
        if self._refusal:
            raise Unavailable(self._refusal)
        mapping = self._map_soon()
        if mapping is None:
            raise Unavailable(self._unreachable(self._backoff.reason or "no primary for a slot"))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(mapping)
        except TimeoutError:
            raise Unavailable(self._unreachable("not in time")) from None

    def _map_soon(self) -> asyncio.Task[None] | None:
        """Return the task that gets a new map (single flight); `None` if it is too early."""
        if self._mapping is None:
            loop = asyncio.get_running_loop()
            early = loop.time() - self._mapped_s < MAP_EVERY_S
            if early or self._refusal or not self._backoff.allows(loop.time()):
                return None
            self._mapping = loop.create_task(self._mapped())
            self._mapping.add_done_callback(_retrieve)
        return self._mapping

    async def _mapped(self) -> None:
        """Take the map of the first node that answers and is not cut off from the others."""
        loop = asyncio.get_running_loop()
        reason, failures = "none of its nodes answers", list[type[Exception]]()
        known = list(self._map.nodes)
        random.shuffle(known)
        seeds = [Node(seed.host, seed.port) for seed in self._where.seeds]
        try:
            for node in dict.fromkeys([*known, *seeds]):
                try:
                    await self._take(node, *await self._fetch(node))
                except (CommandError, Unavailable, ValueError) as error:
                    # The connection names its node, and the cluster's message names them all.
                    reason = str(error).removeprefix(unreachable(_shown(node), ""))
                    failures.append(type(error))
                else:
                    self._backoff.succeeded()
                    return
            self._backoff.failed(loop.time(), reason)
            # If one of them is merely down, it may still give a map.
            ours = all(issubclass(failure, NeedsOperator) for failure in failures)
            raise (NeedsOperator if ours else Unavailable)(self._unreachable(reason))
        finally:
            self._mapped_s, self._mapping = loop.time(), None

    async def _fetch(self, node: Node) -> tuple[SlotMap, int]:
        """Ask a node for its map and the latest epoch that it knows.

        Raises:
            Unavailable: It does not answer, or is or was cut off and its map is old.
            CommandError: It is not a cluster, or refuses access.
            ValueError: It has no map.
        """
        connection = self._connection(node)
        try:
            first = not self._map.nodes and self._where.seeds[0].tls
            info = await connection.call(("CLUSTER", "INFO"), FIRST_TLS_MAP_S if first else MAP_S)
            reply = await connection.call(("CLUSTER", "SLOTS"), MAP_S)
        except CommandError as error:
            if "cluster support disabled" in str(error):
                raise NeedsOperator(_NO_CLUSTER) from None
            raise
        found_map = slots.parse_map(reply, node.host)
        if not found_map.nodes:
            raise NeedsOperator(_NO_SLOTS)
        if "cluster_state:ok" not in str(info) and self._map.nodes:
            raise Unavailable("the cluster is down")
        # A primary that was frozen or cut off still believes that it holds its slots.
        epoch = _epoch(str(info))
        if found_map.ids & self._map.ids and epoch < self._epoch:
            raise Unavailable("its map is older than the one known")
        return found_map, epoch

    async def _take(self, source: Node, found: SlotMap, epoch: int) -> None:
        if self._mark and not found.ids & self._map.ids:
            await self._check_mark(source, found, self._mark)
        owners: list[Node | None] = [None] * slots.SLOTS
        for first, last, node in found.ranges:
            owners[first : last + 1] = [node] * (last + 1 - first)
        for node in found.nodes:
            self._connection(node)
        for node in self._nodes.keys() - set(found.nodes):
            self._nodes.pop(node).close()
        telemetry.STORE_MAPS.add(1)
        if self._map.nodes and found.ranges != self._map.ranges:
            log.info("store_slots_mapped", primaries=len({one for *_, one in found.ranges}))
        self._owners, self._map, self._epoch, self._tags = owners, found, epoch, {}

    async def _check_mark(self, source: Node, found: SlotMap, mark: Mark) -> None:
        """Check the mark of a cluster that shares no node with the one before.

        Raises:
            Unavailable: It holds other data, or does not answer.
        """
        slot = slots.slot_of(mark.key)
        for first, last, node in found.ranges:
            if first <= slot <= last:
                require(mark, await self._connection(node).call(("GET", mark.key), MAP_S))
                return
        raise Unavailable(f"{_shown(source)} knows no primary for slot {slot}")

    def _connection(self, node: Node) -> Connection:
        connection = self._nodes.get(node)
        if connection is None:
            where = self._where.seeds[0].at(node.host, node.port)
            connection = self._nodes[node] = Connection(where, any_role=True)
            connection.refuse(self._refusal)
        return connection

    def _primaries(self) -> list[Node]:
        return list(dict.fromkeys(node for _, _, node in self._map.ranges))

    def _unreachable(self, reason: str) -> str:
        return unreachable(str(self._where), reason)

    def drop(self, reason: str) -> None:
        """Close all connections because of what came over one; later calls open others."""
        for connection in self._nodes.values():
            connection.drop(reason)

    def refuse(self, reason: str) -> None:
        """Refuse all calls from now on with a reason; an empty one allows them again."""
        self._refusal = reason
        for connection in self._nodes.values():
            connection.refuse(reason)

    def close(self) -> None:
        """Close all connections; later calls open them again."""
        if self._mapping is not None:
            self._mapping.cancel()
        for connection in self._nodes.values():
            connection.close()


def _epoch(info: str) -> int:
    """Return the configuration epoch that a node has seen, by CLUSTER INFO; 0 if it lacks one."""
    _, _, rest = info.partition("cluster_current_epoch:")
    return int(rest.split()[0]) if rest else 0


def _shown(node: Node) -> str:
    return f"{node.host}:{node.port}"


def _retrieve(mapping: asyncio.Task[None]) -> None:
    """Retrieve the exception, or asyncio logs it as never retrieved when all callers are gone."""
    if not mapping.cancelled():
        mapping.exception()
