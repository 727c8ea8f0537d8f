"""A protected site in miniature: a gate with trusted proxies, its rules, and visitors' passes."""

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import httpx
import jwt

from tests.until import until
from tests.web.stack import SOON_S, Room, Stack, running, succeeded
from waitline.kernel.clock import SystemClock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.passes import mint_pass

HOST = "shop.example"
HTML = {"Accept": "text/html,application/xhtml+xml"}

SEEMS_OLDER_S = 1_000
"""How much older a pass of `half_over` seems to be."""


class Gated:
    """The queue service, as a proxy in front of a site calls it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.site_key = (stack.data_dir / "site.key").read_text("utf-8").encode()

    def protect(self, *rules: dict[str, Any]) -> None:
        """Set the rules, and wait until the gate applies them."""
        version = self._call("GET").json()["version"]
        # A rule of its own shows that the worker has this version.
        probe = {"name": f"probe {version}", "action": "queue", "room": f"probe-{version}",
                 "when": {"path": [f"/probe-{version}"]}}  # fmt: skip
        answer = self._call("PUT", json={"version": version, "rules": [*rules, probe]})
        assert answer.status_code == 200, answer.text
        until(
            lambda: self.ask(f"/probe-{version}").status_code == 429, SOON_S, "the rules are known"
        )

    def _call(self, method: str, **body: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        path, operator = "/api/v1/protection", self.stack.operator
        return self.stack.client.request(method, path, headers=operator, **body)

    def ask(
        self, target: str, *, method: str = "GET", host: str = HOST, proto: str = "http",
        **headers: str,
    ) -> httpx.Response:  # fmt: skip
        """Ask as Traefik and Caddy do."""
        described = {
            "X-Forwarded-Method": method, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host,
            "X-Forwarded-Uri": target,
        }  # fmt: skip
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        # Each request is that of a browser without cookies, unless it brings some.
        self.stack.client.cookies.clear()
        return self.stack.client.get("/api/v1/gate", headers=described | given)

    def pass_of(self, room: Room, visitor: str) -> str:
        """Let a visitor through the line; return the pass."""
        room.enter(visitor)
        until(lambda: succeeded(room.status(visitor))["status"] == "READY", SOON_S, "it is ready")
        return str(succeeded(room.activate(visitor))["token"])

    def half_over(self, room: Room, visitor: str) -> str:
        """Let a visitor through the line; return a pass for the stay that seems to be older."""
        token = self.pass_of(room, visitor)
        claims = jwt.decode(token, options={"verify_signature": False})
        ring = KeyringFile(self.stack.data_dir / "keys" / "keys.json").load()
        return mint_pass(
            ring,
            RoomId(room.name),
            VisitorId(visitor),
            claims["place"],
            joined_ms=claims["joined"],
            admitted_ms=claims["iat"] * 1_000,
            issued_ms=(claims["iat"] - SEEMS_OLDER_S) * 1_000,
            expires_ms=claims["exp"] * 1_000,
        )

    def left(self, body: dict[str, str], *, key: bytes = b"") -> httpx.Response:
        """Send the site's webhook that a visitor is done."""
        text, at = json.dumps(body).encode(), SystemClock().now_ms() // 1_000
        mac = hmac.digest(key or self.site_key, b"%d." % at + text, sha256).hex()
        headers = {"X-Waitline-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}
        return self.stack.client.post("/api/v1/gate/left", content=text, headers=headers)


def cookie_name(room: Room, *, secure: bool = False) -> str:
    digest = sha256(room.name.encode()).hexdigest()[:16]
    return f"{'__Host-' if secure else ''}waitline-pass-{digest}"


@contextmanager
def gated() -> Iterator[Gated]:
    """Start the queue service with one worker, and this machine's proxies trusted."""
    with running("trial", workers=1, trusted_proxies="127.0.0.0/8") as stack:
        yield Gated(stack)
