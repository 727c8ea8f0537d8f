"""Operator call that shows whom the service takes its caller for, to check the proxies in front."""

from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, Depends

from waitline.http.operator_key import Operators
from waitline.http.requests import Request
from waitline.http.texts import Text
from waitline.services.queue.address_watch import AddressWatch

SHOWN = Text("접속 주소입니다.", "The client address of this request.")


def router(watch: AddressWatch, operators: Operators) -> APIRouter:
    """Return the route.

    Args:
        watch: Finds the address of a request's client.
        operators: Authenticates operators.
    """
    routes = APIRouter(tags=["rooms"])

    @routes.get("/api/v1/client")
    async def client(
        request: fastapi.Request, _operator: Annotated[None, Depends(operators.require)]
    ) -> dict[str, Any]:
        """Return the client address of this request, and the address that it came from.

        They differ if it came through a trusted proxy. `waitline doctor` checks that the proxies in
        front report every client's address, and that no client can choose its own.
        """
        asked = Request.of(request.scope)
        return {
            "result": "success",
            "message": SHOWN.to(asked.language),
            "data": {"address": watch.client(asked), "peer": asked.peer},
        }

    return routes
