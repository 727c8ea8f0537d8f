"""HTTP client of the queue, with keep-alive, deadlines and a circuit breaker.

The breaker opens after three failures in a row. While it is open only the background thread tries
again, at growing intervals with jitter, so that no visitor's request is delayed by a queue that
does not answer.
"""

import http.client
import json
import queue
import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

FAILURES_MAX: Final = 3
"""Failures in a row that open the breaker: one alone may be a connection that was closed."""

RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 10.0
"""Shortest and longest time, in seconds, until the next try while the breaker is open."""

BODY_MAX: Final = 1_048_576
"""Longest body read, in bytes: more than 100 rules, or 4 096 places, can have."""

CONNECTIONS_MAX: Final = 8
"""Idle connections kept."""


class Unreachable(Exception):  # noqa: N818 - reads as the outcome it is
    """The queue did not answer in time, or with an error of its own."""


@dataclass(frozen=True)
class Answer:
    """An answer of the queue.

    Attributes:
        status: Below 500.
        etag: Of the document; may be empty.
        body: Parsed JSON; `None` if there is none.
    """

    status: int
    etag: str
    body: Any


class Client:
    """Calls to one queue."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(CONNECTIONS_MAX)
        self._failures = 0
        self._retry_s = 0.0
        self._lock = threading.Lock()

    @property
    def healthy(self) -> bool:
        """Whether the breaker is closed."""
        return self._failures < FAILURES_MAX

    @property
    def retry_in_s(self) -> float:
        """How long the breaker stays open, in seconds; 0: try now."""
        return 0.0 if self.healthy else max(0.0, self._retry_s - time.monotonic())

    def close(self) -> None:
        """Close idle connections."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def call(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Make a call, and once more if the connection had been closed in the meantime.

        Raises:
            Unreachable: No answer, or a 5xx.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        until_s = time.monotonic() + deadline_s
        try:
            answer = self._exchange(method, self._url.path.rstrip("/") + path, sent, data, until_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._failed()
            raise Unreachable(f"{method} {path}: {error}") from error
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            self._failed()
            raise Unreachable(f"{method} {path}: status {answer.status}")
        self._failures = 0
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        data: bytes | None,
        until_s: float,
    ) -> Answer:
        with suppress(queue.Empty):
            kept = self._idle.get_nowait()
            try:
                return self._once(kept, method, path, headers, data, until_s)
            except (ConnectionError, http.client.RemoteDisconnected):
                kept.close()
        return self._once(self._connection(), method, path, headers, data, until_s)

    def _once(  # noqa: PLR0917 - the parts of one request
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        data: bytes | None,
        until_s: float,
    ) -> Answer:
        try:
            _limit(connection, until_s)
            connection.request(method, path, data, dict(headers))
            _limit(connection, until_s)
            response = connection.getresponse()
            _limit(connection, until_s)
            # A longer body is cut, and then is no JSON.
            text = response.read(BODY_MAX)
            body = json.loads(text) if text else None
        except BaseException:
            connection.close()
            raise
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()
        return Answer(response.status, response.headers.get("ETag", ""), body)

    def _connection(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port)

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            step_s = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(10, self._failures - FAILURES_MAX))
            self._retry_s = time.monotonic() + step_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def _limit(connection: http.client.HTTPConnection, until_s: float) -> None:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    connection.timeout = left_s
    if connection.sock is not None:
        connection.sock.settimeout(left_s)
