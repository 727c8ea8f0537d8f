"""JSON client of a provider's HTTP API: timeouts, bounded answers, proof of non-delivery."""

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import NotSent
from waitline.payment_providers.port import ANSWER_BYTES_MAX, CALL_TIMEOUT_S, CONNECTIONS_MAX

CONNECT_S = 3.0
"""Timeout of a connection, TLS included, in s. Without one, a request was certainly not sent."""

LIST_BYTES_MAX = 4_194_304
"""Most bytes of a page of a list: 100 charges of 40 KB."""

NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""Errors before the first byte of a request: refused, unknown host, TLS, no connection in time."""


class ApiAnswer(NamedTuple):
    """An answer of the provider.

    Attributes:
        status: HTTP status.
        body: Its body.
    """

    status: int
    body: bytes


class JsonApi:
    """A provider's API.

    Args:
        name: Name of the provider, for messages.
        url: Base of its URLs.
        authorization: Header of each request.
        timeout_s: Timeout of one call.
    """

    def __init__(
        self, name: str, url: str, authorization: str, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._authorization = authorization
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=CONNECT_S, sock_connect=CONNECT_S
        )
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ApiAnswer:
        """Make a call.

        Args:
            method: HTTP method.
            path: Path, with its query.
            body: Encoded as JSON; `None` for no body.
            headers: Further headers.
            bytes_max: Most bytes of the answer.

        Raises:
            NotSent: There was no connection.
            Unavailable: No answer in time, or one that is too long.
        """
        try:
            async with self._connected().request(
                method, self._url + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                return ApiAnswer(response.status, await self._body(response, bytes_max))
        except NOT_SENT as error:
            raise NotSent(f"{self._name} cannot be reached: {type(error).__name__}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self._name} does not answer: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _body(self, response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > bytes_max:
                raise Unavailable(f"the answer of {self._name} is too long")
        return bytes(body)

    def _connected(self) -> aiohttp.ClientSession:
        # A session belongs to the running loop, and the adapter may be built before that runs.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                timeout=self._timeout,
                headers={"Authorization": self._authorization},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
