"""Wiring of request ids, access log and traces: the same for both services."""

import random
from typing import NamedTuple

from waitline.http.access_log import AccessLog
from waitline.http.client_address import ClientAddresses
from waitline.http.contexts import RequestContexts
from waitline.http.observer import RequestObserver
from waitline.kernel.clock import SystemClock
from waitline.kernel.log_stream import STREAM
from waitline.kernel.process import is_text
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.kernel.tracing import Tracing
from waitline.settings import Settings


class Observed(NamedTuple):
    """How the requests of a worker are observed.

    Attributes:
        contexts: Their contexts.
        observer: Access log and traces; `None` without both.
        tallies: Counts them.
    """

    contexts: RequestContexts
    observer: RequestObserver | None
    tallies: ProcessMetrics

    def close(self) -> None:
        """Write what waits to be written, at the end of the process."""
        self.tallies.flush()
        if self.observer is not None:
            self.observer.close()


def observed(settings: Settings, tallies: ProcessMetrics, label: str, secret: str) -> Observed:
    """Begin to observe the requests of a worker.

    Args:
        settings: The installation's settings.
        tallies: Counts the requests.
        label: Name of the service in traces.
        secret: The operator key, from which the key of the sampling is derived.
    """
    contexts = RequestContexts(
        ClientAddresses(settings.trusted_proxies or "", settings.forwarded_header)
    )
    access = _access_log(settings)
    tracing = _tracing(settings, label, secret)
    if access is None and tracing is None:
        return Observed(contexts, None, tallies)
    return Observed(contexts, RequestObserver(tallies, contexts, access, tracing), tallies)


def _access_log(settings: Settings) -> AccessLog | None:
    if not settings.access_log or settings.log_level != "info":
        return None
    return AccessLog(
        STREAM,
        settings.access_log,
        SystemClock(),
        text=is_text(settings.log_format),
        rng=random.Random(),  # noqa: S311 - a sample
    )


def _tracing(settings: Settings, label: str, secret: str) -> Tracing | None:
    if settings.traces_url is None:
        return None
    return Tracing(
        settings.traces_url,
        settings.traces_share,
        secret.encode(),
        service=label,
        instance=settings.instance,
    )
