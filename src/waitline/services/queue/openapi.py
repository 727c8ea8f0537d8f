"""One description of all calls: the framework's own, and the hot calls that it never sees.

`described` is for any service, `document` for the queue service.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI

from waitline.http.problem_responses import ProblemBody
from waitline.services.queue.calls import (
    EntryView,
    StatusView,
    ValidateBody,
    VisitorBody,
)
from waitline.services.queue.now_serving import NowServing

_NAME = {"type": "string", "minLength": 1, "maxLength": 128}
_WHO = [
    {"name": "concertId", "in": "query", "required": True, "schema": _NAME},
    {"name": "userId", "in": "query", "required": True, "schema": _NAME},
]
_TICKET = {
    "name": "X-Queue-Token",
    "in": "header",
    "required": False,
    "description": "The visitor's ticket or pass; needed in production mode",
    "schema": {"type": "string", "minLength": 1},
}
_OPERATOR = {
    "operatorKey": {"type": "apiKey", "in": "header", "name": "X-Operator-Key"},
    "operatorBearer": {"type": "http", "scheme": "bearer"},
}
_PREFIX = "#/components/schemas/"


def described(
    framework: FastAPI,
    structs: Iterable[type[msgspec.Struct]],
    calls: Mapping[str, Any],
    *,
    operators: str,
) -> dict[str, Any]:
    """Return the OpenAPI document of a whole service.

    Args:
        framework: Knows its own calls.
        structs: What the others take and answer.
        calls: The others, by path and method.
        operators: The tag of operators' calls.

    Source: OpenAPI Specification 3.1.0.
    """
    whole: dict[str, Any] = framework.openapi()
    _, schemas = msgspec.json.schema_components(
        [*structs, ProblemBody], ref_template=_PREFIX + "{name}"
    )
    whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    whole["components"]["securitySchemes"] = _OPERATOR
    whole["paths"] = {**calls, **whole["paths"]}
    for methods in whole["paths"].values():
        for one in methods.values():
            _tell_refusals(one["responses"])
            if operators in one.get("tags", ()):
                one["security"] = [{name: []} for name in _OPERATOR]
    return whole


def document(framework: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the queue service."""
    structs: list[type[msgspec.Struct]] = [
        VisitorBody,
        ValidateBody,
        EntryView,
        StatusView,
        NowServing,
    ]
    whole = described(framework, structs, _hot_calls(), operators="rooms")
    _tell_names(whole["components"]["schemas"])
    for methods in whole["paths"].values():
        for one in methods.values():
            _tell_rooms(one)
    return whole


def _tell_names(schemas: dict[str, Any]) -> None:
    """Describe the names in bodies as long as they may be; numbers are read as text."""
    for struct in (VisitorBody, ValidateBody):
        properties = schemas[struct.__name__]["properties"]
        for name in ("concertId", "userId"):
            properties[name] = {"anyOf": [_NAME, {"type": "number"}]}


def _tell_rooms(call: dict[str, Any]) -> None:
    """Say how a room is named in a path."""
    for parameter in call.get("parameters", ()):
        if parameter["in"] == "path" and parameter["name"] == "room":
            parameter["schema"] = _NAME


def _hot_calls() -> dict[str, Any]:
    base = "/api/v1/queue"
    enter = call("Take a place in the line, once", "EntryView", body="VisitorBody", status=201)
    enter["responses"]["201"]["headers"] = {
        "Retry-After": {
            "description": "After how many seconds to ask for the status; missing once admitted",
            "schema": {"type": "integer"},
        }
    }
    remove = call("Give up place or slot; a repeat does nothing", None, parameters=[*_WHO, _TICKET])
    return {
        f"{base}/enter": {"post": enter},
        f"{base}/status": {
            "get": call("Say where a visitor stands", "StatusView", parameters=[*_WHO, _TICKET])
        },
        f"{base}/activate": {
            "post": call(
                "Start an admitted visitor's time", "StatusView", parameters=[*_WHO, _TICKET]
            )
        },
        f"{base}/extend": {
            "post": call(
                "Renew an active visitor's time",
                "StatusView",
                body="VisitorBody",
                parameters=[_TICKET],
            )
        },
        f"{base}/validate": {
            "post": call("Say whether a token serves its visitor now", None, body="ValidateBody")
        },
        f"{base}/remove": {"delete": remove},
        f"{base}/token": {"delete": call(remove["summary"], None, parameters=remove["parameters"])},
        f"{base}/subscribe": {
            "get": {
                "tags": ["queue"],
                "summary": "Be told when a visitor's standing changes",
                "description": "Events: status-update, ready (the last one), error (the last "
                "one); mode, when the shop has sold out, and when it has something to sell again",
                "parameters": [*_WHO, _TICKET],
                "responses": {
                    "200": {
                        "description": "A stream of events",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    }
                },
            }
        },
        "/api/v1/rooms/{room}/now-serving": {
            "get": {
                "tags": ["queue"],
                "summary": "Say how far a room's line has come; the same for everyone",
                "parameters": [
                    {"name": "room", "in": "path", "required": True, "schema": _NAME},
                    {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": {
                        "description": "The document",
                        "content": {"application/json": {"schema": reference("NowServing")}},
                    },
                    "304": {"description": "The document that the asker has is still right"},
                },
            }
        },
    }


def call(
    summary: str,
    answer: str | None,
    *,
    tag: str = "queue",
    body: str | None = None,
    parameters: Sequence[Mapping[str, Any]] = (),
    status: int = 200,
) -> dict[str, Any]:
    """Describe a call that answers in the envelope.

    Args:
        summary: What it does.
        answer: The struct that its data is; `None` where there is none.
        tag: Of which kind it is.
        body: The struct that it takes, if any.
        parameters: What it takes besides.
        status: Of its success.
    """
    data = {"type": "null"} if answer is None else reference(answer)
    envelope = {
        "type": "object",
        "required": ["result", "message", "data"],
        "properties": {
            "result": {"const": "success"},
            "message": {"type": "string"},
            "data": data,
        },
    }
    described: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            str(status): {
                "description": "Done",
                "content": {"application/json": {"schema": envelope}},
            }
        },
    }
    if body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference(body)}},
        }
    return described


def _tell_refusals(responses: dict[str, Any]) -> None:
    """Describe refusals as they are: one shape for all of them."""
    responses.pop("422", None)
    problem = {
        "description": "Refused; `code` says why",
        "content": {"application/problem+json": {"schema": reference("ProblemBody")}},
    }
    responses["4XX"] = problem
    responses["503"] = {**problem, "description": "The store does not answer; see Retry-After"}


def reference(name: str) -> dict[str, str]:
    """Refer to a struct."""
    return {"$ref": _PREFIX + name}
