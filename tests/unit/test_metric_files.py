"""Snapshots of processes' metrics: summed, continued, and whatever a disk does to them."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waitline.kernel import metric_files
from waitline.kernel.instruments import (
    OTHER,
    BucketHistogram,
    Counter,
    Family,
    Gauge,
    Instruments,
    Labels,
    Snapshot,
)
from waitline.kernel.metric_files import STALE_S, MetricFile, read_all

NOW_S = 1e12

# Label sets of an instrument.
MOST = 5


def instruments() -> Instruments:
    return Instruments(
        [
            counter("entries", "room"),
            Gauge(Family("size", "gauge", "rooms", "Size")),
            Gauge(Family("lag", "gauge", "s", "Lag"), over="max"),
            Gauge(Family("expiry", "gauge", "s", "Expiry"), over="min"),
            BucketHistogram(histogram_of(1.0, 2.0)),
        ]
    )


def counter(name: str, *labels: str) -> Counter:
    return Counter(Family(name, "counter", "entries", "Entries", labels, MOST))


def histogram_of(*bounds: float) -> Family:
    return Family("seconds", "histogram", "s", "Seconds", ("uri",), MOST, bounds)


def busy(entries: float, size: float, *seconds: float) -> Instruments:
    made = instruments()
    made.counters["entries"].add(entries, "r")
    made.gauges["size"].set(size)
    made.gauges["lag"].set(size)
    made.gauges["expiry"].set(size)
    for one in seconds:
        made.histograms["seconds"].tally("/u").add(one)
    return made


class Process:
    """A process with a file; it ends without a word."""

    def __init__(self, folder: Path, counted: Instruments, role: str = "worker") -> None:
        self.file = MetricFile(folder, role, counted)
        self.file.claim()
        self.file.write(self.file.encode())

    def end(self) -> None:
        assert self.file._lock is not None  # noqa: SLF001 - as its death does it
        os.close(self.file._lock)  # noqa: SLF001


def summed(folder: Path) -> Snapshot:
    found = read_all(folder, 0)
    return instruments().summed([(one.snapshot, one.alive) for one in found if one.snapshot])


def values(snapshot: Snapshot) -> tuple[float, float, float, list[int]]:
    (entries,) = snapshot.counters["entries"]
    (size,) = snapshot.gauges["size"]
    (lag,) = snapshot.gauges["lag"]
    (state,) = snapshot.histograms["seconds"]
    return entries[1], size[1], lag[1], state[1].counts


def test_processes_are_summed(tmp_path: Path) -> None:
    Process(tmp_path, busy(1, 10, 0.5, 1.5))
    Process(tmp_path, busy(2, 20, 1.0, 9.0))
    assert values(summed(tmp_path)) == (3, 30, 20, [2, 1, 1])
    assert summed(tmp_path).gauges["expiry"] == [((), 10)]


@pytest.mark.parametrize("given", [["a"], [], ["a", "b"]])
def test_label_sets_are_limited(given: list[str]) -> None:
    """Whatever values clients invent: the last label set counts all others."""
    made = instruments()
    known = [(one,) for one in given]
    invented: list[Labels] = [(f"x{number}",) for number in range(3 * MOST)]
    for labels in (*known, *invented, *known):
        made.counters["entries"].add(1, *labels)
        made.histograms["seconds"].tally(*labels).add(1)
    counted = dict(made.snapshot().counters["entries"])
    timed = {labels: sum(state.counts) for labels, state in made.snapshot().histograms["seconds"]}
    assert counted == timed
    assert len(counted) == MOST
    assert [counted[labels] for labels in known] == [2] * len(known)
    assert counted[OTHER,] == 3 * MOST - (MOST - 1 - len(known))
    # The sum of several processes is limited, too.
    other = instruments()
    for number in range(3 * MOST):
        other.counters["entries"].add(1, f"y{number}")
    whole = instruments().summed([(made.snapshot(), True), (other.snapshot(), True)])
    assert len(whole.counters["entries"]) == MOST
    assert sum(count for _, count in whole.counters["entries"]) == sum(counted.values()) + 3 * MOST


def test_the_next_process_continues_the_counts_of_one_that_ended(tmp_path: Path) -> None:
    first, other = Process(tmp_path, busy(1, 10, 0.5)), Process(tmp_path, busy(2, 20, 0.5))
    first.end()
    # Its counts stay, its gauges end with it.
    assert values(summed(tmp_path)) == (3, 20, 20, [2, 0, 0])
    again = Process(tmp_path, busy(5, 1, 0.5))
    assert again.file.name == first.file.name != other.file.name
    assert values(summed(tmp_path)) == (8, 21, 20, [3, 0, 0])
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_the_result_of_a_command_lasts_until_the_next(tmp_path: Path) -> None:
    for findings in (3, 0):
        result = Gauge(Family("findings", "gauge", "findings", "Findings"), lasting=True)
        result.set(findings)
        metric_files.forget(tmp_path, "audit")
        Process(tmp_path, Instruments([result]), "audit").end()
        found = read_all(tmp_path, 0)
        whole = Instruments([result]).summed(
            [(one.snapshot, one.alive) for one in found if one.snapshot]
        )
        assert whole.gauges["findings"] == [((), findings)]


def test_roles_do_not_continue_each_other(tmp_path: Path) -> None:
    Process(tmp_path, busy(1, 10, 0.5), "worker").end()
    Process(tmp_path, busy(2, 20, 0.5), "admitter")
    assert values(summed(tmp_path))[0] == 3
    metric_files.forget(tmp_path, "admitter")
    assert values(summed(tmp_path))[0] == 3, "it runs"
    metric_files.forget(tmp_path, "worker")
    assert values(summed(tmp_path))[0] == 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _text: b"", id="truncated to nothing"),
        pytest.param(lambda text: text[: len(text) // 2], id="torn"),
        pytest.param(lambda text: text[:-1], id="one byte short"),
        pytest.param(lambda text: b"\xff" * len(text), id="no text"),
        pytest.param(lambda _text: b'{"counters":{"entries":[["r",-1]]}}', id="another shape"),
        pytest.param(lambda _text: b"x" * (metric_files.FILE_BYTES_MAX + 1), id="endless"),
    ],
)
def test_a_damaged_file_costs_its_own_figures(tmp_path: Path, damage: object) -> None:
    first = Process(tmp_path, busy(1, 10, 0.5))
    Process(tmp_path, busy(2, 20, 0.5))
    path = tmp_path / f"{first.file.name}.json"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    failures = [one.failure for one in read_all(tmp_path, 0) if one.snapshot is None]
    assert [text.partition(":")[0] for text in failures] == [path.name]
    assert values(summed(tmp_path))[0] == 2
    # The process that continues it starts at zero, and the next snapshot replaces it.
    first.end()
    Process(tmp_path, busy(7, 1, 0.5))
    assert values(summed(tmp_path))[0] == 9


def test_figures_of_another_version_are_left_out(tmp_path: Path) -> None:
    later = Instruments(
        [
            counter("entries", "room", "more"),
            counter("new"),
            Gauge(Family("bigger", "gauge", "rooms", "Bigger")),
            BucketHistogram(histogram_of(1.0)),
        ]
    )
    later.counters["entries"].add(1, "r", "m")
    later.counters["new"].add(1)
    later.gauges["bigger"].set(1)
    later.histograms["seconds"].tally("/u").add(1)
    Process(tmp_path, later, "later")
    Process(tmp_path, busy(2, 20, 0.5))
    assert values(summed(tmp_path)) == (2, 20, 20, [1, 0, 0])


def test_a_process_that_cannot_write_is_stale(tmp_path: Path) -> None:
    process = Process(tmp_path, busy(1, 10, 0.5))
    written_s = (tmp_path / f"{process.file.name}.json").stat().st_mtime
    for age_s, stale in ((STALE_S - 1, False), (STALE_S + 1, True), (-3600, False)):
        assert [one.stale for one in read_all(tmp_path, written_s + age_s)] == [stale]
    process.end()
    assert [one.stale for one in read_all(tmp_path, NOW_S)] == [False]


@contextmanager
def no_files_left() -> Iterator[None]:
    """Let no further file be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_nothing_is_lost(tmp_path: Path) -> None:
    process = Process(tmp_path, busy(1, 10, 0.5))
    late = MetricFile(tmp_path, "worker", busy(2, 20, 0.5))
    with no_files_left():
        for call in (late.claim, lambda: process.file.write(b"{}")):
            with pytest.raises(OSError, match="open files") as failed:
                call()
            assert failed.value.errno == errno.EMFILE
    assert values(summed(tmp_path))[0] == 1
    late.claim()
    late.write(late.encode())
    assert values(summed(tmp_path))[0] == 3


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    process = Process(folder, busy(1, 10, 0.5))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        list(read_all(folder, 0))
    for _ in range(2):
        process.file.claim()
        process.file.write(process.file.encode())
    assert values(summed(folder)) == (1, 10, 10, [1, 0, 0])
