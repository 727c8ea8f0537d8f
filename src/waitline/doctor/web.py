"""HTTP requests of the doctor: one answer each, or the reason why there is none."""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from waitline.kernel.documents import parse_json
from waitline.kernel.folders import reason_of

ANSWER_S = 10.0
"""Timeout of one request, in s: visitors would have left."""

ANSWER_BYTES_MAX = 1_048_576
"""Most bytes that are read of an answer. The longest, the metrics page, is cut: its beginning shows
what it is."""


class Fetched(NamedTuple):
    """An answer, or why there is none.

    Attributes:
        status: HTTP status; 0 if there is none.
        body: Its JSON; `None` if it is none.
        text: The beginning of its body.
        headers: Names in lower case.
        failure: Why there is none; empty if there is.
    """

    status: int
    body: Any
    text: str
    headers: Mapping[str, str]
    failure: str


def new_session() -> aiohttp.ClientSession:
    """Return a client without cookies, as a visitor's first request has none."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
        timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def fetch(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None
) -> Fetched:
    """Send a GET request and return the answer, whatever its status. Redirects are not followed."""
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            text = (await _beginning(response.content)).decode("utf-8", "replace")
            received = {name.lower(): value for name, value in response.headers.items()}
            return Fetched(response.status, _json(text), text, received, "")
    except aiohttp.ClientConnectorCertificateError as error:
        return _failed(f"its certificate is refused ({error.certificate_error})")
    except TimeoutError:
        return _failed(f"no answer within {ANSWER_S:g} s")
    except aiohttp.ClientOSError as error:
        return _failed(reason_of(error))
    except (aiohttp.ClientError, ValueError, ssl.SSLError) as error:
        return _failed(str(error) or type(error).__name__)


async def certificate_expiry(url: str) -> datetime:
    """Return when the certificate of an `https` address expires.

    Raises:
        OSError: The server cannot be reached, or its certificate is not valid.
    """
    parts = urlsplit(url)
    async with asyncio.timeout(ANSWER_S):
        _, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 443, ssl=ssl.create_default_context()
        )
    try:
        certificate: Mapping[str, Any] = writer.get_extra_info("peercert")
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    finally:
        writer.close()


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readexactly(ANSWER_BYTES_MAX)
    except asyncio.IncompleteReadError as whole:
        return whole.partial


def _failed(failure: str) -> Fetched:
    return Fetched(0, None, "", {}, failure)


def _json(text: str) -> object:
    try:
        return parse_json(text, object)
    except msgspec.DecodeError:
        return None
