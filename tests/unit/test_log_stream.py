"""The log's stream: whatever becomes of its reader, who logs goes on."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from waitline.kernel.log_stream import PATIENCE_MS, PIECE_BYTES, LogStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for one in (reading, writing):
        try:
            os.close(one)
        except OSError:
            continue


def test_lines_are_written_whole(pipe: tuple[int, int]) -> None:
    stream = LogStream(pipe[1])
    for line in ("plain\n", "대기열\n", "\udc80\n", "x" * 3 * PIECE_BYTES + "\n"):
        stream.write(line)
        assert os.read(pipe[0], 65_536).decode() == line.replace("\udc80", "\\udc80")
    assert stream.take_lost() == 0


def test_a_reader_that_has_gone_costs_lines(pipe: tuple[int, int]) -> None:
    stream = LogStream(pipe[1])
    os.close(pipe[0])
    for _ in range(3):
        stream.write("line\n")
    assert (stream.take_lost(), stream.take_lost()) == (3, 0)


def test_a_full_disk_costs_lines() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        stream = LogStream(full.fileno())
        stream.write("line\n")
        assert stream.lost == 1


def test_a_reader_that_does_not_read_holds_nobody_up(pipe: tuple[int, int]) -> None:
    stream = LogStream(pipe[1])
    started_s = time.monotonic()
    lines = 0
    while not stream.lost:
        stream.write("x" * 1_000 + "\n")
        lines += 1
    for _ in range(1_000):
        stream.write("lost\n")
    # The first waits for a moment, the others do not: they would take twice this time.
    assert time.monotonic() - started_s < 500 * PATIENCE_MS / 1_000
    assert stream.lost >= 900
    assert lines > 40
    # It reads again, and the next line arrives.
    os.read(pipe[0], 1_000_000)
    stream.write("back\n")
    assert os.read(pipe[0], 1_000_000).endswith(b"back\n")


def test_a_closed_descriptor_costs_lines(pipe: tuple[int, int]) -> None:
    stream = LogStream(pipe[1])
    os.close(pipe[1])
    stream.write("line\n")
    assert stream.lost == 1
