"""Encoder for seat lists: JSON once per change, compressed once per content coding in use.

A list is compressed as a whole, in the content codings that clients request (decision 0019).
"""

import asyncio
import gzip
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

import brotli  # type: ignore[import-untyped]

GZIP_LEVEL = 1
"""Measured: level 6 takes twice the time and saves a sixteenth."""

BROTLI_QUALITY = 1
"""Measured: half the time of gzip at level 1, and a third smaller. Quality 5 takes ten times as
long and saves another third."""

_TAG_BYTES = 16


def _gzip(plain: bytes) -> bytes:
    # Without a timestamp, the same content gives the same bytes on every instance.
    return gzip.compress(plain, GZIP_LEVEL, mtime=0)


def _brotli(plain: bytes) -> bytes:
    compressed: bytes = brotli.compress(plain, quality=BROTLI_QUALITY)
    return compressed


COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"br": _brotli, "gzip": _gzip}
)
"""Compressors by content coding. Source: RFC 9110, section 8.4.1; RFC 7932."""


class Document:
    """A JSON document and its compressed forms.

    Attributes:
        etag: Entity tag of the content, quoted; the same on every instance.
        plain: The JSON.
    """

    def __init__(self, etag: bytes, plain: bytes) -> None:
        self.etag = etag
        self.plain = plain
        self._forms: dict[str, asyncio.Task[bytes]] = {}

    @classmethod
    def of(cls, plain: bytes) -> "Document":
        """Return a document whose entity tag is a hash of its content."""
        return cls(tag(plain), plain)

    async def compressed(self, coding: str) -> bytes:
        """Return a compressed form, made in a thread on first use (single flight).

        Args:
            coding: One of `COMPRESSORS`.
        """
        task = self._forms.get(coding)
        # One that failed, for want of a thread or of memory, is made again.
        if task is None or failed(task):
            making = asyncio.to_thread(COMPRESSORS[coding], self.plain)
            task = self._forms[coding] = asyncio.create_task(making)
        # A caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(task)


def failed(task: asyncio.Task[Any]) -> bool:
    """Return whether a task has ended without a result."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def tag(*contents: bytes) -> bytes:
    """Return the entity tag of some content."""
    digest = blake2b(digest_size=_TAG_BYTES)
    for content in contents:
        digest.update(content)
    return b'"' + digest.hexdigest().encode("ascii") + b'"'


class SeatListing:
    """A JSON array of the seats of a schedule that are in certain states.

    Args:
        heads: The JSON of each seat up to its state, in order.
        tails: The rest of the JSON, by the byte of the state. Other states are left out.
        digest: Hash of the heads.
        chosen: Indices of the seats in the schedule; `None` for all seats.
    """

    def __init__(
        self,
        heads: Sequence[bytes],
        tails: dict[int, bytes],
        digest: bytes,
        chosen: Sequence[int] | None = None,
    ) -> None:
        self._heads = heads
        self._tails = tails
        self._digest = digest
        self._chosen = chosen
        # States that are left out all become 0, so that they compare as equal.
        self._listed = bytes(state if state in tails else 0 for state in range(256))
        self._latest: tuple[bytes, Document] | None = None

    def document(self, states: bytes) -> Document:
        """Return the list; encode it only if it has changed since the last call.

        Args:
            states: One byte per seat of the schedule.
        """
        if self._chosen is not None:
            states = bytes(map(states.__getitem__, self._chosen))
        listed = states.translate(self._listed)
        if self._latest is None or self._latest[0] != listed:
            # Hash the states, not the text: they determine it, at a hundredth of its length.
            etag = tag(self._digest, bytes(self._tails), listed)
            self._latest = (listed, Document(etag, self._encode(listed)))
        return self._latest[1]

    def _encode(self, listed: bytes) -> bytes:
        tails = self._tails
        seats = [
            head + tails[state] for head, state in zip(self._heads, listed, strict=True) if state
        ]
        return b"[" + b",".join(seats) + b"]"
