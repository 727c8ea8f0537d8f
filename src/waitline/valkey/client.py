"""Client of Valkey or Redis: scripts by hash, commands, transactions, timeouts.

Behind it is one server, the primary that Sentinels name, or a cluster; callers see no difference,
since the keys of one script, transaction or command share a slot (`queue/keys.py`).

Error replies are translated by the table in `replies.py`: those that are not about our command
become `Unavailable`; the others are raised unchanged.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.valkey.address import StoreAddress, Topology, parse
from waitline.valkey.cluster import Cluster
from waitline.valkey.connection import Connection, Mark
from waitline.valkey.durability import CONFIRMATIONS, Durability
from waitline.valkey.replies import OF_A_CLUSTER, CommandError
from waitline.valkey.scripts import Row, Script
from waitline.valkey.sentinel import Sentinels

CALL_TIMEOUT_S = 0.5
"""Timeout of one call, in s. With the longest time that a request may queue before it (`patience_s`
of the batch limits, 0.4 s), a visitor gets 503 within a second."""

OPERATOR_TIMEOUT_S = 5.0
"""Timeout of one call of the command line, in s: an operator would rather wait than retry."""


def _ignore(_script: str, _seconds: float) -> None:
    """Observe nothing."""


class ValkeyClient:
    """Valkey or Redis (7 or newer), reached by URL.

    Args:
        url: As in `address.parse`.
        on_script: Called after each script call with the script's name and the duration in s.
        timeout_s: Timeout of one call, in s.
        mark: As in `Connection`.
        durability: What the writes of a script must have reached before it is answered. Other than
            in memory, later calls of this client wait until then.

    Attributes:
        topology: What the URL names.

    Raises:
        Misconfigured: The URL cannot be parsed.
    """

    def __init__(
        self,
        url: str,
        on_script: Callable[[str, float], None] = _ignore,
        timeout_s: float = CALL_TIMEOUT_S,
        *,
        mark: Mark | None = None,
        durability: Durability = "memory",
    ) -> None:
        where = parse(url)
        self.topology = where.topology
        self._connection = _connected(where, mark)
        self._wait = CONFIRMATIONS.get(durability)
        self._on_script = on_script
        self._timeout_s = timeout_s

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | float]
    ) -> Sequence[Row]:
        """Run a script by its hash; send the source if the server does not know the hash.

        Raises:
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        started = time.perf_counter()
        words = ("EVALSHA", script.digest, len(keys), *keys, *args)
        try:
            rows: Sequence[Row] = await self._called(script, keys[0], words, started)
        except (CommandError, Unavailable) as error:
            code = error.code if isinstance(error, CommandError) else "UNAVAILABLE"
            telemetry.SCRIPT_ERRORS.add(1, script.name, code)
            raise (_translate(error) if isinstance(error, CommandError) else error) from None
        if type(rows) is not list or (rows and type(rows[0]) is not list):
            # Not a script's reply: later replies may be wrong too, so drop the connection.
            self._connection.drop("a script was answered with something else")
            raise Unavailable("the store's answer is not that of a script")
        self._on_script(script.name, time.perf_counter() - started)
        return rows

    async def command(self, *words: str | float, expects: Collection[str] = ()) -> Any:  # noqa: ANN401
        """Run one command and return its reply.

        Args:
            words: The command.
            expects: Error codes that the caller handles.

        Raises:
            CommandError: An error that the caller expects, or a bug.
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        try:
            return await self._connection.call(words, self._timeout_s)
        except CommandError as error:
            if error.code in expects and not error.verdict.reconnect:
                raise
            raise _translate(error) from None

    async def time_ms(self, key: str) -> int:
        """Return the clock of the server that holds a key, in ms since the epoch.

        Raises:
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        try:
            seconds, micros = await self._connection.call_at(key, ("TIME",), self._timeout_s)
        except CommandError as error:
            raise _translate(error) from None
        return int(seconds) * 1000 + int(micros) // 1000

    async def each(self, *words: str | float, expects: Collection[str] = ()) -> dict[str, Any]:
        """Run one command on every primary.

        Args:
            words: The command; it has no key.
            expects: Error codes that the caller handles.

        Returns:
            The reply by the server's address; `Unavailable` from one that does not answer, or an
            error that the caller expects.

        Raises:
            CommandError: A bug.
            Unavailable: No server answers.
        """
        replies = await self._connection.each(words, self._timeout_s)
        return _translated(replies, expects)

    async def write_each(self, name: str, *words: str | float) -> dict[str, Any]:
        """Set a key on every primary; returns and raises as `each`, with `OOM` expected.

        Args:
            name: Name of the key; it ends with its hash tag, which a cluster varies.
            words: Arguments of SET after the key.
        """
        keys = await self._connection.keys_everywhere(name, self._timeout_s)
        writes = [
            self._connection.call(("SET", key, *words), self._timeout_s) for key in keys.values()
        ]
        replies = await asyncio.gather(*writes, return_exceptions=True)
        return _translated(dict(zip(keys, replies, strict=True)), ("OOM",))

    async def confirm(self, key: str) -> None:
        """Wait until all that was written before, to the server that holds a key, is confirmed.

        Raises:
            Unconfirmed: It is not confirmed in time.
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        try:
            await self._sent(key, ("EXISTS", key), self._timeout_s)
        except CommandError as error:
            raise _translate(error) from None

    async def _called(
        self, script: Script, key: str, words: tuple[str | float, ...], started: float
    ) -> Any:  # noqa: ANN401
        try:
            if self._wait is None:
                return await self._connection.call(words, self._timeout_s)
            return await self._sent(key, words, self._timeout_s)
        except CommandError as error:
            if error.code != "NOSCRIPT":
                raise
        rest_s = self._timeout_s
        if self._wait is None:
            # Both calls share one timeout: the caller's wait is bounded by it. With a confirmation
            # each has its own: the first may have waited for one although it wrote nothing.
            rest_s = max(0.0, started + self._timeout_s - time.perf_counter())
        return await self._sent(key, ("EVAL", script.source, *words[2:]), rest_s)

    async def _sent(self, key: str, words: tuple[str | float, ...], timeout_s: float) -> Any:  # noqa: ANN401
        """Send a command; where writes are confirmed, wait for that too."""
        if self._wait is None:
            return await self._connection.call(words, timeout_s)
        return await self._connection.call_confirmed(self._wait, key, words, timeout_s)

    async def transaction(
        self, commands: Sequence[Sequence[str | float]], timeout_s: float
    ) -> list[Any]:
        """Run several commands as one step (MULTI, EXEC) and return their replies.

        Raises:
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        try:
            return await self._connection.transaction(commands, timeout_s)
        except CommandError as error:
            raise _translate(error) from None

    def refuse(self, reason: str) -> None:
        """Refuse all calls from now on with a reason; an empty one allows them again."""
        self._connection.refuse(reason)

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _connected(where: StoreAddress, mark: Mark | None) -> Connection | Cluster:
    if where.topology is Topology.CLUSTER:
        return Cluster(where, mark)
    if where.topology is Topology.SENTINEL:
        return Connection(where.seeds[0], mark, locate=Sentinels(where).locate, shown=str(where))
    return Connection(where.seeds[0], mark)


def _translated(replies: Mapping[str, Any], expects: Collection[str]) -> dict[str, Any]:
    """Return what servers replied, with their failures translated."""
    found: dict[str, Any] = {}
    for server, reply in replies.items():
        if isinstance(reply, CommandError) and reply.code not in expects:
            found[server] = _translate(reply)
        else:
            found[server] = reply
    for failure in found.values():
        if isinstance(failure, BaseException) and not isinstance(
            failure, Unavailable | CommandError
        ):
            raise failure
    if found and all(isinstance(reply, Unavailable) for reply in found.values()):
        raise next(iter(found.values()))
    return found


def _translate(error: CommandError) -> Exception:
    """Return the error itself if it is about our command, else `Unavailable`."""
    if error.elsewhere:
        return Unavailable(f"{OF_A_CLUSTER} ({error})")
    return error if error.verdict.ours else Unavailable(f"the store refuses service: {error}")
