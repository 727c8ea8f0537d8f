"""Compressed forms of a document: right, made once, and only where they are asked for."""

import asyncio
import gzip
import threading
from types import SimpleNamespace

import brotli  # type: ignore[import-untyped]
import pytest

from waitline.booking import seat_documents
from waitline.booking.seat_documents import Document, SeatListing
from waitline.booking.seat_maps import _Encoder

PLAIN = b'[{"seatId":1}]' * 1_000
DEADLINE_S = 20.0


def test_each_form_holds_the_content() -> None:
    document = Document.of(PLAIN)
    assert gzip.decompress(asyncio.run(document.compressed("gzip"))) == PLAIN
    assert brotli.decompress(asyncio.run(document.compressed("br"))) == PLAIN


def test_the_same_content_has_the_same_tag_and_bytes() -> None:
    one, two = Document.of(PLAIN), Document.of(PLAIN)
    assert one.etag == two.etag != Document.of(b"[]").etag
    assert asyncio.run(one.compressed("gzip")) == asyncio.run(two.compressed("gzip"))


def test_a_form_is_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end = threading.Event(), threading.Event()
    made: list[bytes] = []

    def compress(plain: bytes) -> bytes:
        made.append(plain)
        begun.set()
        assert end.wait(DEADLINE_S)
        return b"small"

    async def run() -> None:
        document = Document.of(PLAIN)
        first, *others = (asyncio.create_task(document.compressed("gzip")) for _ in range(9))
        assert await asyncio.to_thread(begun.wait, DEADLINE_S)
        first.cancel()
        end.set()
        assert await asyncio.gather(*others) == [b"small"] * 8

    monkeypatch.setattr(seat_documents, "COMPRESSORS", {"gzip": compress})
    asyncio.run(run())
    assert made == [PLAIN]


def test_a_form_that_could_not_be_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([RuntimeError("can't start new thread"), MemoryError()])

    def compress(plain: bytes) -> bytes:
        for failure in calls:
            raise failure
        return plain[::-1]

    async def play() -> None:
        document = Document.of(b"abc")
        for kind in (RuntimeError, MemoryError):
            with pytest.raises(kind):
                await document.compressed("gzip")
        assert await document.compressed("gzip") == b"cba"

    monkeypatch.setattr(seat_documents, "COMPRESSORS", {"gzip": compress})
    asyncio.run(play())


def test_a_listing_that_could_not_be_encoded_is_encoded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = iter([RuntimeError("can't start new thread")])
    listing = SeatListing([b"a"], {ord("A"): b"b"}, b"digest")
    encode = listing.document

    def failing(states: bytes) -> Document:
        for failure in failures:
            raise failure
        return encode(states)

    async def play() -> None:
        encoder, snapshot = _Encoder(listing), SimpleNamespace(states=b"A")
        with pytest.raises(RuntimeError):
            await encoder.document(snapshot)  # type: ignore[arg-type]
        document = await encoder.document(snapshot)  # type: ignore[arg-type]
        assert document.plain == b"[ab]"

    monkeypatch.setattr(listing, "document", failing)
    asyncio.run(play())
