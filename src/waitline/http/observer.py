"""Request observer: what is recorded of a request where an access log or traces are on.

Without both there is no observer, and a request costs nothing more than its metrics.
"""

from collections.abc import Mapping

from waitline.http.access_log import AccessLog
from waitline.http.contexts import RequestContexts
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.kernel.request_context import RequestContext
from waitline.kernel.tracing import Tracing

TRACEPARENT = b"traceparent"


class RequestObserver:
    """Observes the requests of a worker.

    Args:
        tallies: Counts each request.
        contexts: Knows the trusted proxies.
        access: The access log; `None` for none.
        tracing: Records traces; `None` for none.
    """

    def __init__(
        self,
        tallies: ProcessMetrics,
        contexts: RequestContexts,
        access: AccessLog | None,
        tracing: Tracing | None,
    ) -> None:
        self._tallies = tallies
        self._contexts = contexts
        self._access = access
        self._tracing = tracing

    def began(self, context: RequestContext, headers: Mapping[bytes, bytes], peer: str) -> None:
        """Observe that a request is complete: decide whether its trace is recorded."""
        if self._tracing is None:
            return
        parent = headers.get(TRACEPARENT)
        believed = parent is not None and self._contexts.trusts(peer)
        context.span = self._tracing.begin(parent, believed=believed)
        context.unrecorded = context.span is None

    def ended(
        self, context: RequestContext, method: str, route: str, status: int, seconds: float
    ) -> None:
        """Observe a response, as `ProcessMetrics.http` counts it."""
        span = context.span
        trace_id = None if span is None else span.trace_id
        self._tallies.http(method, route, status, seconds, trace_id)
        if self._access is not None:
            self._access.record(
                method, route, status, seconds, request_id=context.known_id, trace_id=trace_id
            )
        if span is not None:
            span.answered(method, route, status, context.id)

    def close(self) -> None:
        """Write what waits to be written."""
        if self._access is not None:
            self._access.flush()
        if self._tracing is not None:
            self._tracing.close()
