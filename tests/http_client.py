"""The HTTP client of the tests, for visitors, buyers and operators.

Load comes from `faults/crowd.py`, and what no client should send from `edge`.
"""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

from tests import refusals

# Seconds until an answer, on a machine that runs other tests as well.
ANSWER_S = 20.0

# Seconds after which a client comes again.
AGAIN_S = 0.1


class Client(httpx.Client):
    """Repeats a call that is answered with 503, as the contract allows, and counts it (`refusals`).

    Args:
        url: The service.
        trusts: Certificate that it trusts in place of the machine's.

    Attributes:
        patience_s: For how long it repeats a call.
    """

    def __init__(self, url: str, *, trusts: Path | None = None) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        verify = True if trusts is None else ssl.create_default_context(cafile=trusts)
        super().__init__(base_url=url, timeout=ANSWER_S, limits=limits, verify=verify)
        self.patience_s = ANSWER_S

    @override
    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, once or more often, and return the last answer."""
        until_s = time.monotonic() + self.patience_s
        while True:
            response = super().send(request, **options)
            comes_again = response.status_code == 503 and request.url.path.startswith("/api/")
            if not comes_again or time.monotonic() > until_s:
                return response
            response.close()
            refusals.count()
            threading.Event().wait(AGAIN_S)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Take the first answer, whatever it is."""
        self.patience_s = -1.0
        try:
            yield
        finally:
            self.patience_s = ANSWER_S


def call(method: str, url: str, **how: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
    """Make one call and return its answer, whatever that is."""
    return httpx.request(method, url, timeout=ANSWER_S, **how)


def operate(method: str, url: str, key: str, body: object) -> Any:  # noqa: ANN401 - JSON
    """Make an operator's call, which must succeed, and return its data.

    Args:
        method: Its method.
        url: Its address.
        key: The operator key.
        body: JSON, or bytes of CSV.

    Raises:
        httpx.HTTPError: It did not succeed.
    """
    headers = {"X-Operator-Key": key}
    if isinstance(body, bytes):
        headers["Content-Type"] = "text/csv"
        answer = call(method, url, content=body, headers=headers)
    else:
        answer = call(method, url, json=body, headers=headers)
    if not answer.is_success:
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    return answer.json()["data"]
