"""The gate's rules over HTTP: operators set them, operators and sites fetch them."""

from typing import Any

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from waitline.gate.model import RuleSet, encode_document, parse_document
from waitline.gate.site_key import SITE_KEY_HEADER, is_site_key
from waitline.gate.store import Protection
from waitline.http.caching import etag_matches
from waitline.http.openapi import reference
from waitline.http.operator_key import Operators

PROTECTION = "/api/v1/protection"
"""Path of the calls."""

FRESH_S = 2
"""TTL of the rules in the caches of connectors, in s."""

_CONTENT: dict[str, Any] = {"application/json": {"schema": reference("RuleSet")}}
_DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The rules", "content": _CONTENT}
}

log = structlog.get_logger()


class ProtectionCalls:
    """The calls on the rules.

    Args:
        protection: The store of the rules.
        operators: Authenticates operators.
        site_key: Authenticates sites; rules may hold secrets, as values of headers.
    """

    def __init__(self, protection: Protection, operators: Operators, site_key: str) -> None:
        self._protection = protection
        self._operators = operators
        self._site_key = site_key.encode()

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix=PROTECTION, tags=["protection"])
        router.get("", responses=_DESCRIBED)(self.show)
        router.put(
            "",
            responses=_DESCRIBED,
            dependencies=[Depends(self._operators.require)],
            openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
        )(self.replace)
        return router

    async def show(self, request: Request) -> Response:
        """Get the protection rules; with the operator key, or the site key in `X-Site-Key`."""
        given = request.headers.get(SITE_KEY_HEADER.decode("ascii"), "").encode("latin-1")
        if not is_site_key(self._site_key, given):
            await self._operators.require(request)
        document = await self._protection.fetch()
        answer = _answer(document)
        etag = answer.headers["etag"].encode("ascii")
        if etag_matches(request.headers.get("if-none-match", "").encode("latin-1"), etag):
            answer = Response(status_code=304, headers=_caching(document))
        return answer

    async def replace(self, request: Request) -> Response:
        """Set the protection rules; `version` is the version that they replace.

        They take effect within two seconds in the gate, and in connectors.
        """
        document = await self._protection.replace(parse_document(await request.body()))
        log.info(
            "protection_changed",
            version=document.version,
            rules=len(document.rules),
            who=self._operators.who,
        )
        return _answer(document)


def _answer(document: RuleSet) -> Response:
    return Response(
        encode_document(document),
        media_type="application/json",
        headers=_caching(document),
    )


def _caching(document: RuleSet) -> dict[str, str]:
    return {"Cache-Control": f"private, max-age={FRESH_S}", "ETag": f'"{document.version}"'}
