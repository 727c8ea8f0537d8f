"""Call with which `waitline doctor` compares keys: it says whether a keyed digest is of our key."""

from collections.abc import Mapping
from typing import Any

import fastapi
from fastapi import APIRouter

from waitline.http.key_proof import NONCE_BYTES, is_proof
from waitline.http.requests import Request
from waitline.http.texts import Text

OPERATOR_KEY = "operatorKey"
SITE_KEY = "siteKey"

NONCE_HEADER = "X-Key-Nonce"
PROOF_HEADERS = {OPERATOR_KEY: "X-Operator-Key-Proof", SITE_KEY: "X-Site-Key-Proof"}

COMPARED = Text("키를 비교했습니다.", "Keys compared.")


def router(keys: Mapping[str, str]) -> APIRouter:
    """Return the route.

    Args:
        keys: The keys that this service has: `OPERATOR_KEY`, `SITE_KEY`.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/api/v1/keys")
    async def compare(request: fastapi.Request) -> dict[str, Any]:
        """Say whether this service has the caller's keys, which the caller does not send.

        `X-Key-Nonce` has 32 random hexadecimal digits, and `X-Operator-Key-Proof` and
        `X-Site-Key-Proof` are the HMAC-SHA-256 of `waitline key operatorKey NONCE` and `waitline
        key siteKey NONCE`, with the key. Each answer is true or false, or null without a proof.
        """
        nonce = request.headers.get(NONCE_HEADER, "")
        return {
            "result": "success",
            "message": COMPARED.to(Request.of(request.scope).language),
            "data": {
                name: _answer(key, name, nonce, request.headers.get(PROOF_HEADERS[name]))
                for name, key in keys.items()
            },
        }

    return routes


def _answer(key: str, name: str, nonce: str, given: str | None) -> bool | None:
    if given is None or len(nonce) != 2 * NONCE_BYTES:
        return None
    return is_proof(given, key, name, nonce)
