"""Benchmark of the cost per request, on one core: `python -m waitline_connect.measure`.

Prints the CPU time that the ASGI middleware adds to a request of a browser, with 20 rules of which
the last matches, and the keys kept. The time of an application that does nothing is subtracted.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from waitline_connect.asgi import Application, Receive, Scope, Send, WaitlineMiddleware
from waitline_connect.connector import Connector
from waitline_connect.passes import KeySet
from waitline_connect.returns import base64url
from waitline_connect.rules import Rules
from waitline_connect.source import Snapshot

REQUESTS: Final = 5_000
"""Requests of a round: some tenths of a second."""

ROUNDS: Final = 5
"""Rounds; the median is printed."""

VISITORS: Final = 500
"""Visitors who take turns, so that no pass is the latest one used."""

ROOM: Final = "summer"

HEADERS: Final = [
    (b"host", b"shop.example"),
    (b"connection", b"keep-alive"),
    (b"sec-ch-ua", b'"Chromium";v="140", "Not=A?Brand";v="24"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"sec-ch-ua-platform", b'"Linux"'),
    (b"upgrade-insecure-requests", b"1"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
    ),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"sec-fetch-site", b"same-origin"),
    (b"sec-fetch-mode", b"navigate"),
    (b"sec-fetch-dest", b"document"),
    (b"referer", b"https://shop.example/buy/"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"ko-KR,ko;q=0.9,en;q=0.8"),
]


def main() -> int:
    """Measure, print a row per case, and return the exit status."""
    print(f"{'microseconds per request, median of ' + str(ROUNDS):50}  added")
    for name, passes, kept in (
        ("a pass seen before", VISITORS, True),
        ("a pass for the first time: verified", REQUESTS, False),
        ("an address that is not guarded", 0, True),
    ):
        added_us = sorted(_round(passes, kept=kept) for _ in range(ROUNDS))[ROUNDS // 2]
        print(f"{name:50}  {added_us:5.1f}")
    return 0


def _round(passes: int, *, kept: bool) -> float:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"measure").digest())
    tokens = [_mint(key, number) for number in range(1, passes + 1)]
    connector = Connector(
        queue_url="https://queue.example", site_key="key of a measurement", origins=[ORIGIN]
    )
    keys = KeySet({"measure": key.public_key()})
    connector.source.keep(Snapshot(Rules.parse(_document()), keys))
    if kept:
        for token in tokens:
            keys.genuine(token)
    guarded = WaitlineMiddleware(_empty, connector)
    path = "/buy/1" if tokens else "/about"
    with_us = asyncio.run(_timed(guarded, lambda: _scopes(path, tokens)))
    without = asyncio.run(_timed(_empty, lambda: _scopes(path, tokens)))
    return (with_us - without) / REQUESTS * 1e6


ORIGIN: Final = "https://shop.example"


def _document() -> dict[str, object]:
    others = [
        {"name": f"others {n}", "action": "bypass", "when": {"path": [f"/static-{n}/*", f"*.x{n}"]}}
        for n in range(19)
    ]
    tickets = {"name": "tickets", "action": "queue", "room": ROOM, "when": {"path": ["/buy/*"]}}
    return {"version": 1, "rules": [*others, tickets]}


def _mint(key: Ed25519PrivateKey, number: int) -> str:
    now_s = int(time.time())
    claims = {
        "iss": "waitline",
        "aud": ROOM,
        "sub": f"visitor-{number}",
        "place": number,
        "joined": now_s * 1_000,
        "iat": now_s,
        "exp": now_s + 600,
    }
    header = {"alg": "EdDSA", "kid": "measure", "typ": "waitline-pass+jwt"}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def _scopes(path: str, tokens: list[str]) -> Iterator[Scope]:
    name = "__Host-waitline-pass-" + hashlib.sha256(ROOM.encode()).hexdigest()[:16]
    cookies = [
        f"session=0123456789abcdef; __Host-waitline-browser=abc; {name}={token}".encode()
        for token in tokens
    ]
    turns = cycle(cookies or [b"session=0123456789abcdef"])
    for _ in range(REQUESTS):
        yield {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"lang=en",
            "headers": [*HEADERS, (b"cookie", next(turns))],
        }


async def _timed(app: Application, scopes: Callable[[], Iterator[Scope]]) -> float:
    prepared = [*scopes()]
    started_s = time.process_time()
    for scope in prepared:
        await app(scope, _receive, _send)
    return time.process_time() - started_s


async def _empty(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _send(_message: object) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
