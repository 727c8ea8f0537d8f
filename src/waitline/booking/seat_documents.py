"""Documents as they are sent: encoded and compressed once, for whoever asks. Pure.

A list of all seats is long and changes in few places at a time, so it is encoded and compressed in
pieces, and what has not changed is not done again.
"""

import struct
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from itertools import compress
from typing import NamedTuple

import brotli  # type: ignore[import-untyped]

PIECE_SEATS = 256
"""Seats in a piece. Measured where 40 seats have changed: a third of the time that all anew takes
with 60 000 seats, half with 10 000. Pieces of 64 are a sixth larger to send."""

GZIP_LEVEL = 1
"""Measured: level 6 takes twice the time and saves a fourteenth."""

BROTLI_QUALITY = 1
"""Measured: a third of the time of gzip at level 1, and a quarter smaller. Quality 5 takes ten
times as long and saves another fifth."""

_TAG_BYTES = 16

# Deflate without a header of its own, 32 KiB of memory.
_RAW_DEFLATE = -15

# No name, no time: the same content is the same everywhere. Source: RFC 1952, 2.3.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


class Document(NamedTuple):
    """A document in each form that it is sent in.

    Attributes:
        etag: Names its content, quoted; the same on every instance.
        plain: Its JSON.
        gzip: The same, compressed.
        br: The same, compressed otherwise.
    """

    etag: bytes
    plain: bytes
    gzip: bytes
    br: bytes


def compressed(plain: bytes) -> Document:
    """Compress a document as a whole."""
    pieces = [_deflated(plain)]
    return Document(tag(plain), plain, _gzip(plain, pieces), _brotli(plain))


def tag(*contents: bytes) -> bytes:
    """Return the entity tag of contents."""
    digest = blake2b(digest_size=_TAG_BYTES)
    for content in contents:
        digest.update(content)
    return b'"' + digest.hexdigest().encode("ascii") + b'"'


class _Piece(NamedTuple):
    key: bytes
    plain: bytes
    deflated: bytes


class SeatListing:
    """A JSON array of seats, of those that are free or of all. Not for several threads at once.

    Args:
        heads: The JSON of each seat up to its state, in their order.
        tails: What follows, by the byte that tells its state; seats in no such state are left out.
        digest: Of the heads.
        chosen: Where the states of these seats are among those of the schedule; `None` if these
            are all its seats.
    """

    def __init__(
        self,
        heads: Sequence[bytes],
        tails: dict[int, bytes],
        digest: bytes,
        chosen: Sequence[int] | None = None,
    ) -> None:
        self._chosen = chosen
        self._heads = [
            heads[start : start + PIECE_SEATS] for start in range(0, len(heads), PIECE_SEATS)
        ]
        self._tails = tails
        self._digest = digest
        self._pieces = [_Piece(b"", b"", b"")] * len(self._heads)
        # States that are left out are one to whoever compares.
        self._shown = bytes(state if state in tails else 0 for state in range(256))
        self._made: tuple[bytes, Document] | None = None

    def document(self, states: bytes) -> Document:
        """Encode and compress what has changed since the last time, and put it together.

        Args:
            states: A byte per seat of the schedule.
        """
        if self._chosen is not None:
            states = bytes(map(states.__getitem__, self._chosen))
        shown = states.translate(self._shown)
        if self._made is None or self._made[0] != shown:
            self._made = (shown, self._make(shown))
        return self._made[1]

    def _make(self, states: bytes) -> Document:
        self._renew(states)
        full = [piece for piece in self._pieces if piece.plain]
        # Each piece begins with a comma, which the first has no use for.
        first = b"[" + full[0].plain[1:] if full else b"["
        plain = b"".join([first, *(piece.plain for piece in full[1:]), b"]"])
        deflated = [_deflated(first), *(piece.deflated for piece in full[1:]), _deflated(b"]")]
        # The states say as much as the whole text, and are a hundredth of its length.
        etag = tag(self._digest, bytes(self._tails), states)
        return Document(etag, plain, _gzip(plain, deflated), _brotli(plain))

    def _renew(self, states: bytes) -> None:
        for at, heads in enumerate(self._heads):
            key = states[at * PIECE_SEATS : (at + 1) * PIECE_SEATS]
            if key != self._pieces[at].key:
                plain = self._encoded(heads, key)
                self._pieces[at] = _Piece(key, plain, _deflated(plain) if plain else b"")

    def _encoded(self, heads: Sequence[bytes], states: bytes) -> bytes:
        if len(self._tails) > 1:
            tails = self._tails
            return b"".join(
                [b"," + head + tails[state] for head, state in zip(heads, states, strict=True)]
            )
        (tail,) = self._tails.values()
        (wanted,) = self._tails
        chosen = list(compress(heads, [state == wanted for state in states]))
        return b"," + (tail + b",").join(chosen) + tail if chosen else b""


def _deflated(plain: bytes) -> bytes:
    """Compress to blocks that may stand before and after any others."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    return packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)


def _gzip(plain: bytes, deflated: Sequence[bytes]) -> bytes:
    # An empty last block, then what checks the whole. Source: RFC 1951, 3.2.3; RFC 1952, 2.3.1.
    end = b"\x03\x00" + struct.pack("<LL", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
    return b"".join([_GZIP_HEAD, *deflated, end])


def _brotli(plain: bytes) -> bytes:
    compressed: bytes = brotli.compress(plain, quality=BROTLI_QUALITY)
    return compressed
