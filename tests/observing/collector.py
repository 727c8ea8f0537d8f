"""A collector of traces: an HTTP server that decodes what OTLP sends to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override

from waitline.trial.machine import free_port

# Seconds for which it hangs at most: longer than an export waits.
HANGS_S = 10.0


class ReceivedSpan(NamedTuple):
    """One span.

    Attributes:
        service: The service that recorded it.
        name: Its name.
        trace_id: Id of its trace, as hexadecimal digits.
        span_id: Its id, likewise.
        parent_id: Id of its parent; empty for none.
        attributes: Its attributes, as text.
        failed: Whether its status is an error.
    """

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    failed: bool


class Collector:
    """Keeps the spans that it receives.

    Attributes:
        status: Status of its answers.
        requests: How many requests it has answered.
        opened: Cleared while it answers nobody.
    """

    def __init__(self, port: int | None = None) -> None:
        self.status = 200
        self.requests = 0
        self.port = free_port() if port is None else port
        self.opened = threading.Event()
        self.opened.set()
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    @property
    def spans(self) -> list[ReceivedSpan]:
        with self._lock:
            return list(self._spans)

    def of_trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def keep(self, body: bytes) -> None:
        asked = ExportTraceServiceRequest.FromString(body)
        found = []
        for resource in asked.resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            found += [
                ReceivedSpan(
                    service=named["service.name"],
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes={
                        one.key: one.value.string_value or str(one.value.int_value)
                        for one in span.attributes
                    },
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                )
                for scope in resource.scope_spans
                for span in scope.spans
            ]
        with self._lock:
            self._spans += found

    @contextmanager
    def served(self) -> Iterator["Collector"]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.opened.wait(HANGS_S)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.status == 200:
                    collector.keep(body)
                collector.requests += 1
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
