"""One installation whose logs and traces are looked at."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Office, running
from tests.observing.collector import Collector
from waitline.trial.machine import free_port


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with Collector().served() as collector:
        yield collector


@pytest.fixture(scope="session")
def observed(collector: Collector) -> Iterator[Office]:
    """Everything on; the box office asks the queue over HTTP; this machine is a trusted proxy."""
    port = str(free_port())
    with running(
        "production",
        WAITLINE_QUEUE_PORT=port,
        WAITLINE_QUEUE_URL=f"http://127.0.0.1:{port}",
        WAITLINE_TRUSTED_PROXIES="127.0.0.1",
        WAITLINE_ACCESS_LOG="1",
        WAITLINE_TRACES_URL=collector.url,
        WAITLINE_TRACES_SHARE="0",
    ) as office:
        yield office
