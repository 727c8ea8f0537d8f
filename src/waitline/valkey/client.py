"""Client of a Valkey or Redis server: scripts by hash, commands, transactions, timeouts.

Error replies are translated: a server that cannot serve for now is `Unavailable`; any other error
reply is a bug and is raised as it came.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from waitline.kernel.errors import Unavailable
from waitline.valkey import connection
from waitline.valkey.scripts import Row, Script

CALL_TIMEOUT_S = 0.5
"""Timeout of one call, in s. With the longest time that a request may queue before it (`patience_s`
of the batch limits, 0.4 s), a visitor gets 503 within a second."""

OPERATOR_TIMEOUT_S = 5.0
"""Timeout of one call of the command line, in s: an operator prefers waiting to trying again."""

UNAVAILABLE_CODES = frozenset(
    (
        "OOM",
        "LOADING",
        "BUSY",
        "READONLY",
        "MISCONF",
        "MASTERDOWN",
        "NOREPLICAS",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOAUTH",
        "NOPERM",
    )
)
"""Error codes that describe the state of the server, not a fault of the command: memory full,
loading its data, failing over."""


def _ignore(_script: str, _seconds: float) -> None:
    """Observe nothing."""


class ValkeyClient:
    """A Valkey or Redis server (7 or newer), reached by URL.

    Args:
        url: As in `connection.address`.
        on_script: Called after each script call with the script's name and the duration in s.
        timeout_s: Timeout of one call, in s.

    Raises:
        Misconfigured: The URL cannot be parsed.
    """

    def __init__(
        self,
        url: str,
        on_script: Callable[[str, float], None] = _ignore,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._connection = connection.Connection(connection.address(url), timeout_s)
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
        except connection.CommandError as error:
            if error.code != "NOSCRIPT":
                raise _translate(error) from None
            # Both calls share one timeout: the caller's wait is bounded by it.
            rest_s = max(0.0, started + self._timeout_s - time.perf_counter())
            rows = await self._call(("EVAL", script.source, *words[2:]), rest_s)
        self._on_script(script.name, time.perf_counter() - started)
        return rows

    async def command(self, *words: str | float) -> Any:  # noqa: ANN401 - depends on the command
        """Run one command and return its reply.

        Raises:
            Unavailable: No reply in time, or the server cannot serve for now.
        """
        return await self._call(words, self._timeout_s)

    async def _call(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        try:
            return await self._connection.call(words, timeout_s)
        except connection.CommandError as error:
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
        except connection.CommandError as error:
            raise _translate(error) from None

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _translate(error: connection.CommandError) -> Exception:
    """Return `Unavailable` for a server that cannot serve for now, else the error itself."""
    if error.code in UNAVAILABLE_CODES:
        return Unavailable(f"the store refuses service: {error}")
    return error
