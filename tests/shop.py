"""A shop that signs statements, with keys of every kind."""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typing_extensions import override

from waitline.kernel.clock import SystemClock

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Shop:
    """One key of a shop.

    Attributes:
        algorithm: What it signs with.
        private: The key.
        kid: Its name in statements and sets; empty for none.
    """

    algorithm: str
    private: PrivateKey
    kid: str = ""

    @property
    def pem(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    @property
    def jwk(self) -> dict[str, Any]:
        algorithm: Any = jwt.get_algorithm_by_name(self.algorithm)
        named = {"kid": self.kid} if self.kid else {}
        return {**algorithm.to_jwk(self.private.public_key(), as_dict=True), **named}

    def sign(
        self,
        room: str,
        visitor: str,
        *,
        header: Any = None,  # noqa: ANN401
        **claims: object,
    ) -> str:
        """Sign a good statement, or one that differs in some members; `None` leaves one out."""
        now_s = SystemClock().now_ms() // 1_000
        whole = {"sub": visitor, "aud": room, "iat": now_s, "exp": now_s + 300, **claims}
        given = {name: value for name, value in whole.items() if value is not None}
        named = {"kid": self.kid} if self.kid else {}
        return sign(self.private, self.algorithm, given, named | (header or {}))


def sign(
    private: object, algorithm: str, claims: object, header: dict[str, Any] | None = None
) -> str:
    """Sign anything, also what the library would refuse to."""
    payload = claims if isinstance(claims, bytes) else _json(claims)
    signer: Any = jwt.PyJWS()
    return str(signer.encode(payload, private, algorithm, header))


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@cache
def shop(algorithm: str, name: str = "") -> Shop:
    """Return a shop's key; the same one for the same name."""
    private: PrivateKey
    match algorithm:
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case _:
            private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return Shop(algorithm, private, name)


STALLED_S = 20.0
"""Longest silence of an address of keys that is stalled."""


class KeyAddress:
    """A shop's key set, at an address of its own.

    Attributes:
        answer: Status, headers and body of the next answers.
        asked: How often it was fetched.
    """

    def __init__(self, *keys: Shop) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.asked = 0
        self._open = threading.Event()
        self._open.set()
        self.publish(*keys)
        address = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address.asked += 1
                address._open.wait(STALLED_S)
                status, headers, body = address.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def publish(self, *keys: Shop) -> None:
        self.answer = (200, {}, json.dumps({"keys": [key.jwk for key in keys]}).encode())

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Answer nobody."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    @contextmanager
    def served(self) -> Iterator["KeyAddress"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
