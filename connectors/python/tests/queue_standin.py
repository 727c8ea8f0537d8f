"""A queue whose answers a test sets, and that can be slow, broken, or gone.

The real queue cannot be made to fail in these ways. What it really answers is in tests/browser.
"""

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

SITE_KEY = "site-key-of-the-tests"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key of the tests").digest())
RULES = {
    "version": 1,
    "rules": [
        {"name": "closed", "action": "queue", "room": "summer", "whenUnreachable": "closed",
         "when": {"path": ["/closed/*"]}},
        {"name": "bound", "action": "queue", "room": "winter", "bind": True,
         "when": {"path": ["/bound/*"]}},
        {"name": "watched", "action": "queue", "room": "summer", "mode": "observe",
         "when": {"path": ["/watched/*"]}},
        {"name": "tickets", "action": "queue", "room": "summer", "when": {"path": ["/buy/*"]}},
    ],
}  # fmt: skip


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def mint(room: str = "summer", *, left_s: int = 300, span_s: int = 300, place: int = 1) -> str:
    """Return a pass that ends in `left_s` seconds."""
    now_s = int(time.time())
    header = {"alg": "EdDSA", "kid": "tests", "typ": "waitline-pass+jwt"}
    claims = {
        "iss": "waitline",
        "aud": room,
        "sub": f"visitor-{place}",
        "place": place,
        "joined": now_s * 1_000,
        "iat": now_s + left_s - span_s,
        "exp": now_s + left_s,
    }
    signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{b64(KEY.sign(signed.encode()))}"


class Queue:
    """The state of the stand-in.

    Attributes:
        calls: Requests that were made: method, path, body.
        revoked: Places that have left, by room.
        walk_in: The pass that a visitor without one gets; `None`: a line has formed.
        claims: Browser by pass.
        slid: The pass that a slide returns; empty: the same.
        broken: Answer 500.
        held: Answers wait while it is not set.
        missing: Paths that this queue does not know.
    """

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, str, Any]] = []
        self.revoked: dict[str, list[int]] = {}
        self.walk_in: str | None = None
        self.claims: dict[str, str] = {}
        self.slid = ""
        self.broken = False
        self.missing: set[str] = set()
        self.held = threading.Event()
        self.held.set()

    def count(self, path: str) -> int:
        return sum(called.partition("?")[0] == path for _, called, _ in self.calls)

    # A table of routes.
    def answer(  # noqa: C901, PLR0911
        self,
        path: str,
        headers: Any,  # noqa: ANN401
        body: Any,  # noqa: ANN401
    ) -> tuple[int, object]:
        token = headers.get("X-Queue-Token", "")
        if path in self.missing:
            return 404, {}
        match path.partition("?")[0]:
            case "/.well-known/jwks.json":
                x = b64(KEY.public_key().public_bytes_raw())
                return 200, {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "tests", "x": x}]}
            case "/api/v1/protection":
                return (200, RULES) if headers.get("X-Site-Key") == SITE_KEY else (401, {})
            case "/api/v1/protection/revoked":
                return 200, {"places": self.revoked.get(path.partition("room=")[2], [])}
            case "/api/v1/gate/walk-in":
                return (201, {"data": {"token": self.walk_in}}) if self.walk_in else (409, {})
            case "/api/v1/gate/claim":
                known = self.claims.setdefault(token, body["browser"])
                return (200, {}) if known == body["browser"] else (409, {})
            case "/api/v1/gate/slide":
                return 200, {"data": {"token": self.slid or token}}
            case "/api/v1/queue/remove":
                return 200, {"data": None}
            case _:
                return 404, {}


@contextmanager
def running() -> Iterator[Queue]:
    """Run a stand-in on a port of its own."""
    queue = Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            queue.calls.append((self.command, self.path, body))
            queue.held.wait(30)
            status, answer = queue.answer(self.path, self.headers, body)
            if queue.broken:
                status, answer = 500, {}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 - names of the library

        @override
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    queue.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield queue
    finally:
        queue.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
