"""Traces: spans of the requests that are sampled, sent to a collector by OTLP over HTTP.

The libraries are the extra `traces`; they are imported only where a collector is set. Source: W3C
Trace Context; OpenTelemetry, Trace SDK.
"""

import logging
import random
import re
import threading
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from waitline.kernel.addresses import shown_address
from waitline.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span, Tracer

TRACES_PER_S: Final = 100
"""Most traces of a process that begin in a second. A span takes some 100 us of CPU time, with its
export; without the limit, a proxy that passes on what strangers send could be made to record
everything."""

SPANS_MAX: Final = 2_048
"""Most spans that wait for the collector, some 4 MB; further ones are dropped."""

BATCH_MAX: Final = 512
"""Most spans in one request to the collector."""

EXPORT_MS: Final = 1_000
"""Interval of exports, in ms."""

TIMEOUT_S: Final = 2.0
"""Timeout of one export, with its retries, in s. Spans that wait meanwhile fit the queue."""

CLOSE_S: Final = 1.0
"""How long a process that ends waits for its last export, in s."""

_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_HEX_64 = 1 << 64

log = structlog.get_logger()


class TraceSpan:
    """One recorded span; see `waitline.kernel.request_context.RecordedSpan`."""

    __slots__ = ("_span", "_tracer", "trace_id", "traceparent")

    def __init__(self, span: "Span", tracer: "Tracer") -> None:
        self._span = span
        self._tracer = tracer
        own = span.get_span_context()
        self.trace_id = f"{own.trace_id:032x}"
        self.traceparent = f"00-{self.trace_id}-{own.span_id:016x}-01"

    def child(self, name: str) -> "TraceSpan":
        """Begin a part of it: a call to another system."""
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415

        context = set_span_in_context(self._span)
        span = self._tracer.start_span(name, context, SpanKind.CLIENT)
        return TraceSpan(span, self._tracer)

    def fail(self, reason: str) -> None:
        """Record that it failed."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._span.set_status(StatusCode.ERROR, reason)

    def end(self) -> None:
        """Record that it is over."""
        self._span.end()

    def answered(self, method: str, route: str, status: int, request_id: str) -> None:
        """Record the response of the request that it is about, and end it."""
        span = self._span
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("request_id", request_id)
        if status >= 500:  # noqa: PLR2004 - a refusal is no error of the service
            self.fail("")
        span.end()


class Tracing:
    """Records the traces of one process.

    Args:
        url: Of the collector.
        share: Share of the traces that are recorded.
        key: Secret that the services of an installation share: they choose the same traces, and
            strangers cannot know which.
        service: Name of the service.
        instance: Name of the instance.
        rng: Chooses among the traces that begin here.
    """

    def __init__(
        self,
        url: str,
        share: float,
        key: bytes,
        *,
        service: str,
        instance: str,
        rng: random.Random | None = None,
    ) -> None:
        self._share = share
        self._key = blake2b(key, digest_size=32, person=b"waitline traces").digest()
        self._rng = rng or random.Random()  # noqa: S311 - no secret depends on it
        self._second, self._in_second = 0, 0
        self._provider = _provider(url, service, instance)
        self._tracer = self._provider.get_tracer("waitline")

    def begin(self, parent: bytes | None, *, believed: bool) -> TraceSpan | None:
        """Begin the span of a request, if its trace is recorded.

        Args:
            parent: The caller's `traceparent`. One that is not well-formed does not count.
            believed: Whether its caller decides what is recorded. Others may only name the trace:
                whether it is recorded follows from the id by a keyed hash, so that all services of
                the installation decide alike, and no caller can choose.
        """
        found = None if parent is None else _TRACEPARENT.fullmatch(parent)
        if found is None:
            recorded = self._rng.random() < self._share
        elif believed:
            recorded = bool(int(found[3], 16) & 1)
        else:
            hashed = blake2b(found[1], digest_size=8, key=self._key).digest()
            recorded = int.from_bytes(hashed) < self._share * _HEX_64
        if not recorded or not self._within_limit():
            return None
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        context = None if found is None else _remote(found[1], found[2])
        return TraceSpan(self._tracer.start_span("request", context, SpanKind.SERVER), self._tracer)

    def _within_limit(self) -> bool:
        second = int(monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= TRACES_PER_S

    def close(self) -> None:
        """Export what waits, for at most `CLOSE_S`; what a collector does not take is lost."""
        # The library's own shutdown waits as long as the collector lets it.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def require_tracing(url: str | None) -> None:
    """Check that the libraries are installed, if there is a collector.

    Raises:
        Misconfigured: They are not.
    """
    if url is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: PLC0415
        import opentelemetry.sdk.trace  # noqa: F401, PLC0415
    except ImportError:
        raise Misconfigured(
            "WAITLINE_TRACES_URL: traces need the extra traces: pip install 'waitline[traces]'"
        ) from None


def _remote(trace_id: bytes, span_id: bytes) -> "Context":
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    parent = SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent))


class _ReportedExporter:
    """Exports spans, and logs when the collector stops to accept them, and accepts them again.

    Args:
        inner: The library's exporter.
        url: Of the collector.
    """

    def __init__(self, inner: "SpanExporter", url: str) -> None:
        self._inner = inner
        self._url = url
        self._failed = False
        self.shutdown = inner.shutdown
        self.force_flush = inner.force_flush

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        result = self._inner.export(spans)
        failed = bool(result.value)
        if failed != self._failed:
            self._failed = failed
            if failed:
                log.warning("trace_export_failed", collector=shown_address(self._url))
            else:
                log.info("trace_export_recovered", collector=shown_address(self._url))
        return result


def _provider(url: str, service: str, instance: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    # It logs each failed attempt; our own log has a line for each change.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = TracerProvider(
        # Whether a trace is recorded is decided before its first span.
        sampler=ALWAYS_ON,
        resource=Resource.create({"service.name": service, "service.instance.id": instance}),
        shutdown_on_exit=False,
    )
    exporter = _ReportedExporter(OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S), url)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,  # type: ignore[arg-type]  # its base class is imported late
            max_queue_size=SPANS_MAX,
            schedule_delay_millis=EXPORT_MS,
            max_export_batch_size=BATCH_MAX,
        )
    )
    return provider
