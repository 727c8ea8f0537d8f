"""Tracing by itself: who decides, its limits, and a collector that does not answer."""

import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
from structlog.testing import capture_logs

from tests.observing.collector import HANGS_S, Collector
from tests.until import until
from waitline.kernel import tracing
from waitline.kernel.tracing import TRACES_PER_S, Tracing
from waitline.trial.machine import free_port

SOON_S = 20.0
KEY = b"a key that both services have"


class Make(Protocol):
    def __call__(self, url: str, share: float, key: bytes = KEY) -> Tracing: ...


@pytest.fixture
def made() -> Iterator[Make]:
    """Make tracings whose threads end with the test."""
    rng = random.Random(1)  # noqa: S311 - a sample
    with ExitStack() as closing:

        def make(url: str, share: float, key: bytes = KEY) -> Tracing:
            traces = Tracing(url, share, key, service="tests", instance="here", rng=rng)
            closing.callback(traces.close)
            return traces

        yield make
    # One that goes on trying would draw random pauses while Hypothesis draws its examples.
    until(lambda: not exporting(), SOON_S, "the exporters' threads have ended")


def exporting() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("Otel")]


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "TRACES_PER_S", 1_000_000)


@pytest.fixture
def silent() -> str:
    """Return the address of a collector that does not run."""
    return f"http://127.0.0.1:{free_port()}/v1/traces"


def parent(trace_id: str, flags: str = "01") -> bytes:
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}".encode()


def recorded(traces: Tracing, given: bytes | None, *, believed: bool = False) -> bool:
    span = traces.begin(given, believed=believed)
    return span is not None


@pytest.mark.usefixtures("unlimited")
def test_strangers_neither_force_nor_choose_what_is_recorded(made: Make, silent: str) -> None:
    ids = [secrets.token_hex(16) for _ in range(2_000)]
    traces, again, other = made(silent, 0.1), made(silent, 0.1), made(silent, 0.1, b"another key")
    chosen = [one for one in ids if recorded(traces, parent(one))]
    assert 100 < len(chosen) < 320
    assert chosen == [one for one in ids if recorded(again, parent(one, "00"))]
    assert chosen != [one for one in ids if recorded(other, parent(one))]
    assert sum(recorded(traces, None) for _ in ids) in range(100, 320)


@pytest.mark.usefixtures("unlimited")
def test_a_trusted_proxy_decides_for_its_own_traces(made: Make, silent: str) -> None:
    traces = made(silent, 0.0)
    assert recorded(traces, parent(secrets.token_hex(16)), believed=True)
    assert not recorded(made(silent, 1.0), parent(secrets.token_hex(16), "00"), believed=True)


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"00-" + b"0" * 32 + b"-1111111111111111-01",
        b"00-11111111111111111111111111111111-0000000000000000-01",
        b"ff-11111111111111111111111111111111-1111111111111111-01",
        b"00-1111111111111111111111111111111-1111111111111111-01",
        b"00-1111111111111111111111111111111G-1111111111111111-01",
        b"00-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-1111111111111111-01",
        b"00-11111111111111111111111111111111-1111111111111111-01, 00-2",
        b"x" * 10_000,
    ],
)
def test_a_malformed_parent_does_not_count(made: Make, silent: str, given: bytes) -> None:
    span = made(silent, 1.0).begin(given, believed=True)
    assert span is not None
    assert "11111111" not in span.trace_id
    assert not recorded(made(silent, 0.0), given, believed=True)


def test_a_later_version_with_more_members_is_taken(made: Make, silent: str) -> None:
    trace_id = secrets.token_hex(16)
    span = made(silent, 0.0).begin(
        b"01-" + trace_id.encode() + b"-1111111111111111-01-more", believed=True
    )
    assert span is not None
    assert span.trace_id == trace_id


def test_even_believed_callers_get_a_limited_number_a_second(
    made: Make, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "monotonic", lambda: 7.5)
    traces = made(silent, 1.0)
    asked = [recorded(traces, parent(secrets.token_hex(16)), believed=True) for _ in range(500)]
    assert asked == [True] * TRACES_PER_S + [False] * (500 - TRACES_PER_S)
    monkeypatch.setattr(tracing, "monotonic", lambda: 8.0)
    assert recorded(traces, None)


@pytest.mark.usefixtures("unlimited")
def test_a_collector_that_fails_is_logged_once_and_its_return_too(
    made: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "EXPORT_MS", 20)
    monkeypatch.setattr(tracing, "TIMEOUT_S", 0.2)
    collector = Collector()
    with capture_logs() as logs:
        traces = made(collector.url, 1.0)

        def record() -> None:
            span = traces.begin(None, believed=False)
            assert span is not None
            span.answered("GET", "/tests", 200, "id")

        record()
        until(lambda: len(logs) == 1, SOON_S, "the failure is logged")
        with collector.served():
            collector.status = 500

            def refused() -> bool:
                record()
                return collector.requests >= 3

            until(refused, SOON_S, "the collector has refused some")
            collector.status = 200

            def accepted() -> bool:
                record()
                return len(logs) > 1

            until(accepted, SOON_S, "the return is logged")
            traces.close()
    assert [line["event"] for line in logs] == ["trace_export_failed", "trace_export_recovered"]
    assert collector.spans


@pytest.mark.usefixtures("unlimited")
def test_a_collector_that_hangs_costs_spans_and_nothing_else(made: Make) -> None:
    with Collector().served() as collector:
        collector.opened.clear()
        traces = made(collector.url, 1.0)
        for _ in range(3 * tracing.SPANS_MAX):
            span = traces.begin(None, believed=False)
            assert span is not None
            span.end()
        started_s = time.monotonic()
        traces.close()
        assert time.monotonic() - started_s < HANGS_S / 2
        collector.opened.set()
    assert len(collector.spans) <= tracing.SPANS_MAX + 2 * tracing.BATCH_MAX
