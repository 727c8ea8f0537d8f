"""The metrics page: one rendering a second, and each figure by itself."""

import asyncio
import gzip
import os
from collections.abc import Iterable
from math import inf, nan
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from waitline.http import metrics_page
from waitline.http.metric_families import FamilySamples
from waitline.http.metrics_page import MetricsPage
from waitline.kernel import process_metrics, telemetry
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.kernel.instruments import OTHER, Family
from waitline.kernel.metric_files import STALE_S, MetricFile
from waitline.kernel.process_metrics import ProcessMetrics

OF_SOURCE = Family("of_source", "gauge", "things", "Of a source")

SHARED = {"service": "tests", "instance": "here"}


class Source:
    """A figure that can fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.value = 7.0
        self.failure: Exception | None = None

    async def collect(self) -> Iterable[FamilySamples]:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return [FamilySamples(OF_SOURCE, [((), self.value)], [])]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with instruments at zero."""
    for counter in telemetry.INSTRUMENTS.counters.values():
        monkeypatch.setattr(counter, "values", {})
    for histogram in telemetry.INSTRUMENTS.histograms.values():
        monkeypatch.setattr(histogram, "tallies", {})


def page_of(folder: Path, source: Source, **more: Any) -> MetricsPage:  # noqa: ANN401 - options
    tallies = ProcessMetrics(folder, "tests")
    return MetricsPage(
        tallies, {"source": source.collect}, clock=SystemClock(), shared=SHARED, about={}, **more
    )


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *(v for k, v in sorted(one.labels.items()) if k not in SHARED)): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def test_however_many_ask_it_is_rendered_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source()

    async def play() -> None:
        page = page_of(tmp_path, source)
        shown = await asyncio.gather(*(page.page() for _ in range(200)))
        assert len({*map(id, shown)}) == 1
        assert source.calls == 1
        assert samples(shown[0].plain)["metrics_renderings_total",] == 1
        assert await page.page() is shown[0]
        monkeypatch.setattr(page._cache, "_ttl_s", 0.0)  # noqa: SLF001 - a second has passed
        page = page_of(tmp_path, source)
        assert samples((await page.page()).plain)["metrics_renderings_total",] == 2

    assert metrics_page.RENDER_S == 1.0
    asyncio.run(play())


def test_a_source_that_fails_costs_itself(tmp_path: Path) -> None:
    source = Source()

    async def rendered() -> dict[tuple[str, ...], float]:
        page._cache._entries.clear()  # noqa: SLF001 - a second has passed
        return samples((await page.page()).plain)

    async def play() -> None:
        failures = (Unavailable("down"), ValueError("bug"), OSError(24, "EMFILE"))
        for count, failure in enumerate(failures, start=1):
            source.failure = failure
            found = await rendered()
            assert ("of_source",) not in found
            assert found["process_cpu_seconds_total",] > 0
            assert found["metrics_failures_total", "source"] == count
        source.failure = None
        assert (await rendered())["of_source",] == 7

    with capture_logs() as logged:
        page = page_of(tmp_path, source)
        asyncio.run(play())
    assert [(one["event"], one["figure"]) for one in logged] == [
        ("metric_failed", "source"),
        ("metric_recovered", "source"),
    ]


def test_files_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    (tmp_path / "worker-0.json").write_bytes(b'{"counters":{"process_cpu_seconds":[[[],5.0]]}}')
    (tmp_path / "worker-1.json").write_bytes(b'{"counters":{"process_cpu_')
    (tmp_path / "worker-2.json").mkdir()
    page = page_of(tmp_path, Source())
    found = samples(asyncio.run(page.page()).plain)
    assert found["process_cpu_seconds_total",] > 5
    assert found["metrics_failures_total", "processes"] == 1


def test_a_folder_that_is_missing_leaves_this_process(tmp_path: Path) -> None:
    page = page_of(tmp_path / "missing", Source())
    found = samples(asyncio.run(page.page()).plain)
    assert found["process_resident_memory_bytes",] > 0
    assert found["metrics_failures_total", "processes"] == 1


def test_what_is_measured_here_fails_by_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_metrics, "Path", lambda _path: tmp_path / "missing")
    tallies = ProcessMetrics()
    tallies.on_flush("pool", lambda: telemetry.POOL_SIZE.set(int("?")))
    with capture_logs() as logged:
        tallies.flush()
        tallies.flush()
    assert sorted(one["figure"] for one in logged) == ["memory", "pool"]
    assert telemetry.FAILURES.values == {("memory",): 2, ("pool",): 2}
    assert telemetry.CPU_SECONDS.values[()] > 0


def test_rooms_that_are_not_shown_are_left_out(tmp_path: Path) -> None:
    for room in ("shown", "hidden", OTHER):
        telemetry.MOVE_SECONDS.tally(room).add(0.001)
    page = page_of(tmp_path, Source(), shows_room=lambda room: room == "shown")
    found = samples(asyncio.run(page.page()).plain)
    rooms = {name[1] for name in found if name[0] == "scheduler_move_duration_seconds_count"}
    assert rooms == {"shown", OTHER}


def test_a_sample_without_a_value_is_dropped_and_counted(tmp_path: Path) -> None:
    source = Source()
    page = page_of(tmp_path, source)
    with capture_logs() as logged:
        for source.value in (nan, inf, 7):
            page._cache._entries.clear()  # noqa: SLF001 - a second has passed
            text = asyncio.run(page.page()).plain
            assert b"NaN" not in text
            assert (("of_source",) in samples(text)) == (source.value == 7)
    assert [(one["event"], one["figure"]) for one in logged] == [("metric_failed", "of_source")]
    assert telemetry.FAILURES.values["of_source",] == 2


def test_a_process_that_no_longer_writes_has_no_gauges(tmp_path: Path) -> None:
    other = MetricFile(tmp_path, "frozen", telemetry.INSTRUMENTS)
    telemetry.POOL_SIZE.set(12)
    telemetry.LOST_LINES.add(3)
    other.claim()
    other.write(other.encode())
    telemetry.POOL_SIZE.value = None
    telemetry.LOST_LINES.values.clear()
    path = tmp_path / f"{other.name}.json"
    for age_s, size in ((0, 12), (STALE_S + 5, None)):
        at_s = SystemClock().now_ms() / 1000 - age_s
        os.utime(path, (at_s, at_s))
        found = samples(asyncio.run(page_of(tmp_path, Source()).page()).plain)
        assert found.get(("database_pool_size",)) == size
        assert found["log_lines_lost_total",] == 3, "what was counted stays"
        assert found["metrics_stale_processes",] == (size is None)


def test_an_admitter_times_a_limited_number_of_rooms() -> None:
    for room in range(telemetry.ROOMS_MAX - 1 + 50):
        telemetry.MOVE_SECONDS.tally(str(room)).add(0.001)
    telemetry.MOVE_SECONDS.tally("0").add(0.001)
    tallies = telemetry.MOVE_SECONDS.tallies
    assert len(tallies) == telemetry.ROOMS_MAX
    assert (sum(tallies[OTHER,].counts), sum(tallies["0",].counts)) == (50, 2)


@pytest.mark.parametrize(
    ("accepts", "coding"), [("gzip", "gzip"), ("br", None), ("", None), ("gzip;q=0", None)]
)
def test_gzip_where_it_is_accepted(tmp_path: Path, accepts: str, coding: str | None) -> None:
    async def play() -> httpx.Response:
        app = FastAPI()
        app.include_router(page_of(tmp_path, Source()).router())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            headers = {"Accept-Encoding": accepts}
            async with client.stream("GET", "/actuator/prometheus", headers=headers) as answer:
                raw = b"".join([part async for part in answer.aiter_raw()])
            answer.extensions["raw"] = raw
            return answer

    answer = asyncio.run(play())
    raw = answer.extensions["raw"]
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert b"process_cpu_seconds_total" in (gzip.decompress(raw) if coding else raw)


@pytest.mark.parametrize(
    ("exemplars", "accept", "media", "shown"),
    [
        (True, "application/openmetrics-text;version=1.0.0,text/plain;q=0.3", "openmetrics", True),
        (True, "text/plain", "text/plain", False),
        (True, "", "text/plain", False),
        (False, "application/openmetrics-text;version=1.0.0", "text/plain", False),
    ],
)
def test_exemplars_are_in_the_openmetrics_format_alone(
    tmp_path: Path, accept: str, media: str, *, exemplars: bool, shown: bool
) -> None:
    """The process that is scraped shows the latest exemplar of each bucket, over all processes."""
    other = ProcessMetrics(tmp_path, "tests")
    for trace_id, seconds in (("a" * 32, 0.003), ("b" * 32, 0.004), ("c" * 32, 2.0)):
        other.http("GET", "/a", 200, seconds, trace_id)
    other.http("GET", "/a", 200, 0.0001)
    other.flush()
    for histogram in telemetry.INSTRUMENTS.histograms.values():
        histogram.tallies.clear()

    async def play() -> httpx.Response:
        app = FastAPI()
        app.include_router(page_of(tmp_path, Source(), exemplars=exemplars).router())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get("/actuator/prometheus", headers={"Accept": accept})

    answer = asyncio.run(play())
    assert media in answer.headers["content-type"]
    assert (answer.headers["vary"] == "Accept, Accept-Encoding") == exemplars
    found = {
        line.partition(" # ")[0].partition('le="')[2].partition('"')[0]: line.partition(" # ")[2]
        for line in answer.text.splitlines()
        if " # {" in line
    }
    if not shown:
        assert found == {}
        return
    assert set(found) == {"0.005", "2.5"}
    assert found["0.005"].startswith('{trace_id="' + "b" * 32 + '"} 0.004 ')
    assert answer.text.endswith("# EOF\n")
