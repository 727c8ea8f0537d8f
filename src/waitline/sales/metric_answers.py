"""Answers that metrics are read from, of services and of Prometheus, within a limit of size."""

from typing import Any

import aiohttp

from waitline.kernel.documents import parse_json

ANSWER_BYTES_MAX = 64 * 1024**2
"""Longest answer that is read; the longest page that we make has 12 MB."""


async def read_text(answer: aiohttp.ClientResponse) -> str:
    """Return the text of an answer.

    Raises:
        ValueError: It is longer than `ANSWER_BYTES_MAX`.
    """
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"more than {ANSWER_BYTES_MAX:,} bytes")
    return body.decode("utf-8", "replace")


async def read_result(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """Return the series of an answer of Prometheus.

    Raises:
        ValueError: It is not one, or Prometheus refuses the query.
        LookupError: It has no series.
    """
    found = parse_json(await read_text(answer), dict[str, Any])
    if found.get("error"):
        raise ValueError(str(found["error"]))
    result: list[dict[str, Any]] = found["data"]["result"]
    return result
