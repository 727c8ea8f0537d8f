"""Client of a Valkey or Redis server: scripts by hash, commands, transactions, timeouts.

Error replies are translated by the table in `replies.py`: what is not about our command is
`Unavailable`; the others are raised as they came.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from waitline.kernel.errors import Unavailable
from waitline.valkey.address import address
from waitline.valkey.connection import Connection, Mark
from waitline.valkey.replies import CommandError
from waitline.valkey.scripts import Row, Script

CALL_TIMEOUT_S = 0.5
"""Timeout of one call, in s. With the longest time that a request may queue before it (`patience_s`
of the batch limits, 0.4 s), a visitor gets 503 within a second."""

OPERATOR_TIMEOUT_S = 5.0
"""Timeout of one call of the command line, in s: an operator prefers waiting to trying again."""


def _ignore(_script: str, _seconds: float) -> None:
    """Observe nothing."""


class ValkeyClient:
    """A Valkey or Redis server (7 or newer), reached by URL.

    Args:
        url: As in `address.address`.
        on_script: Called after each script call with the script's name and the duration in s.
        timeout_s: Timeout of one call, in s.
        mark: As in `Connection`.

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
    ) -> None:
        self._connection = Connection(address(url), mark)
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
            rows: Sequence[Row] = await self._connection.call(words, self._timeout_s)
        except CommandError as error:
            if error.code != "NOSCRIPT":
                raise _translate(error) from None
            # Both calls share one timeout: the caller's wait is bounded by it.
            rest_s = max(0.0, started + self._timeout_s - time.perf_counter())
            rows = await self._evaluate(("EVAL", script.source, *words[2:]), rest_s)
        if type(rows) is not list or (rows and type(rows[0]) is not list):
            # The reply of something else: whatever follows on this connection is in doubt too.
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

    async def _evaluate(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        try:
            return await self._connection.call(words, timeout_s)
        except CommandError as error:
            raise _translate(error) from None

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


def _translate(error: CommandError) -> Exception:
    """Return the error itself if it is about our command, else `Unavailable`."""
    return error if error.verdict.ours else Unavailable(f"the store refuses service: {error}")
