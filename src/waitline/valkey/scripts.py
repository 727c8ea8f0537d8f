"""Load Lua scripts by name and run them by hash."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol

from waitline.kernel.errors import Unavailable
from waitline.valkey import connection

CALL_TIMEOUT_S = 0.5
"""How long one call may take. With the time that a request may queue before it, a visitor hears
within a second that the store does not answer."""

OPERATOR_TIMEOUT_S = 5.0
"""How long a command waits for the store. An operator would rather wait than try again."""

REFUSES_SERVICE = frozenset(
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
"""Refusals that are the server's state, not the command's fault: full, loading, failing over."""

_SECTION = re.compile(r"^(KEYS|ARGV|RETURNS).*\n((?:  .*\n)+)", re.MULTILINE)

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script and the contract that its header declares.

    Attributes:
        name: File name without `.lua`; also the metric label.
        source: The whole file, as sent to the server.
        digest: SHA-1 of the source in hex, by which the server knows it.
        keys: Key names, in KEYS order.
        args: Argument names, in ARGV order; the last ones may be repeated.
        outcomes: First element of every row that the script can return.
    """

    name: str
    source: str
    digest: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    outcomes: tuple[str, ...]


class Runner(Protocol):
    """Whatever runs a script on the server and decodes the reply."""

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | float]
    ) -> Sequence[Row]:
        """Return the script's rows; raise `Unavailable` if none came in time."""
        ...


def load(package: str, name: str) -> Script:
    """Read `package/lua/name.lua` and parse its header.

    Raises:
        ValueError: The header numbers its lines wrongly.
    """
    source = files(package).joinpath(f"lua/{name}.lua").read_text("utf-8")
    header, _, _ = source.partition("]]")
    sections = {title: body.splitlines() for title, body in _SECTION.findall(header)}
    return Script(
        name=name,
        source=source,
        digest=sha1(source.encode(), usedforsecurity=False).hexdigest(),
        keys=_numbered(name, sections.get("KEYS", [])),
        args=_numbered(name, sections.get("ARGV", [])),
        outcomes=tuple(line.split()[0] for line in sections.get("RETURNS", [])),
    )


def _numbered(name: str, lines: list[str]) -> tuple[str, ...]:
    words: list[str] = []
    for line in lines:
        number, word, *_ = line.split()
        # A line that begins with no number goes on with the one above.
        if not number.isdecimal():
            continue
        if int(number) != len(words) + 1:
            raise ValueError(f"{name}.lua: line {line!r} should be number {len(words) + 1}")
        words.append(word)
    return tuple(words)


def _nothing(_script: str, _seconds: float) -> None:
    """Measure nothing."""


class Valkey:
    """A Valkey or Redis server (7 or newer), reached by URL.

    Args:
        url: As in `connection.address`.
        measure: Told the name of each script and the seconds that its call took.
        timeout_s: How long a call may take.

    Raises:
        Misconfigured: The URL cannot be read.
    """

    def __init__(
        self,
        url: str,
        measure: Callable[[str, float], None] = _nothing,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._connection = connection.Connection(connection.address(url), timeout_s)
        self._measure = measure
        self._timeout_s = timeout_s

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | float]
    ) -> Sequence[Row]:
        """Run a script by its hash; send the source where the server has forgotten it.

        Raises:
            Unavailable: No answer in time, or one that refuses service for now.
        """
        started = time.perf_counter()
        words = ("EVALSHA", script.digest, len(keys), *keys, *args)
        try:
            rows: Sequence[Row] = await self._connection.call(words, self._timeout_s)
        except connection.CommandError as error:
            if error.word != "NOSCRIPT":
                raise _translated(error) from None
            # The rest of the time: whoever waits cannot tell two calls from one.
            rest_s = max(0.0, started + self._timeout_s - time.perf_counter())
            rows = await self._command(("EVAL", script.source, *words[2:]), rest_s)
        self._measure(script.name, time.perf_counter() - started)
        return rows

    async def command(self, *words: str | float) -> Any:  # noqa: ANN401 - whatever it replies
        """Run one command.

        Raises:
            Unavailable: No answer in time, or one that refuses service for now.
        """
        return await self._command(words, self._timeout_s)

    async def _command(self, words: Sequence[str | float], timeout_s: float) -> Any:  # noqa: ANN401
        try:
            return await self._connection.call(words, timeout_s)
        except connection.CommandError as error:
            raise _translated(error) from None

    async def transaction(
        self, commands: Sequence[Sequence[str | float]], timeout_s: float
    ) -> list[Any]:
        """Run several commands as one step and return their replies.

        Raises:
            Unavailable: No answer in time, or one that refuses service for now.
        """
        try:
            return await self._connection.transaction(commands, timeout_s)
        except connection.CommandError as error:
            raise _translated(error) from None

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _translated(error: connection.CommandError) -> Exception:
    """Tell a server that cannot serve now from a command that is wrong."""
    if error.word in REFUSES_SERVICE:
        return Unavailable(f"the store refuses service: {error}")
    return error
