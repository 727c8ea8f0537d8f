"""OpenAPI document of the queue service: the hot calls, which FastAPI does not route."""

from typing import Any

from fastapi import FastAPI

from waitline.gate.model import RuleSet
from waitline.http.openapi import call, describe_service, reference
from waitline.services.queue.now_serving import NowServing
from waitline.services.queue.site_calls import DepartedPlaces, ReturnView
from waitline.services.queue.views import (
    ClaimBody,
    EntryView,
    RoomBody,
    StatusView,
    ValidateBody,
    VisitorBody,
)
from waitline.tokens.statements import STATEMENT_CHARS_MAX

_NAME = {"type": "string", "minLength": 1, "maxLength": 128}
_WHO = [
    {"name": "concertId", "in": "query", "required": True, "schema": _NAME},
    {"name": "userId", "in": "query", "required": True, "schema": _NAME},
]
_TICKET = {
    "name": "X-Queue-Token",
    "in": "header",
    "required": False,
    "description": "The visitor's ticket or pass; required in production mode",
    "schema": {"type": "string", "minLength": 1},
}


def document(framework: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the queue service."""
    whole = describe_service(
        framework,
        (
            VisitorBody,
            RoomBody,
            ClaimBody,
            ValidateBody,
            EntryView,
            StatusView,
            NowServing,
            RuleSet,
            ReturnView,
            DepartedPlaces,
        ),
        _hot_calls(),
        operators=frozenset(("rooms", "protection")),
    )
    _describe_names(whole["components"]["schemas"])
    for methods in whole["paths"].values():
        for one in methods.values():
            _describe_room_parameter(one)
    return whole


def _describe_names(schemas: dict[str, Any]) -> None:
    """Describe the names in bodies: their length, and that numbers are read as text."""
    for struct in (VisitorBody, RoomBody, ClaimBody, ValidateBody):
        properties = schemas[struct.__name__]["properties"]
        for name in properties.keys() & {"concertId", "userId"}:
            properties[name] = {"anyOf": [_NAME, {"type": "number"}]}


def _describe_room_parameter(call: dict[str, Any]) -> None:
    """Describe a room's name in a path."""
    for parameter in call.get("parameters", ()):
        if parameter["in"] == "path" and parameter["name"] == "room":
            parameter["schema"] = _NAME


def _hot_calls() -> dict[str, Any]:
    base = "/api/v1/queue"
    enter = call("Join the line (idempotent)", "EntryView", body="VisitorBody", status=201)
    enter["parameters"] = [
        {
            "name": "X-Visitor-Key",
            "in": "header",
            "required": False,
            "description": "A secret that the client generates; sent again, it returns the token",
            "schema": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[!-~]*$"},
        },
        {
            "name": "X-Identity",
            "in": "header",
            "required": False,
            "description": "The shop's signed identity statement, a JWT; required in rooms whose "
            "identity is `signed`, and ignored in others",
            "schema": {"type": "string", "maxLength": STATEMENT_CHARS_MAX},
        },
        _TICKET,
    ]
    enter["description"] = (
        "In production mode, a repeated call that proves the place (token, cookie, visitor key or "
        "statement) gets the token again; any other gets nulls."
    )
    enter["responses"]["201"]["headers"] = {
        "Retry-After": {
            "description": "Seconds until the first status poll; absent once admitted",
            "schema": {"type": "integer"},
        }
    }
    remove = call("Leave the line or the room (idempotent)", None, parameters=[*_WHO, _TICKET])
    return {
        f"{base}/enter": {"post": enter},
        f"{base}/status": {
            "get": call("Get a visitor's status", "StatusView", parameters=[*_WHO, _TICKET])
        },
        f"{base}/activate": {
            "post": call("Activate an admitted visitor", "StatusView", parameters=[*_WHO, _TICKET])
        },
        f"{base}/extend": {
            "post": call(
                "Extend an active visitor's time",
                "StatusView",
                body="VisitorBody",
                parameters=[_TICKET],
            )
        },
        f"{base}/validate": {"post": call("Validate a visitor's token", None, body="ValidateBody")},
        f"{base}/remove": {"delete": remove},
        f"{base}/token": {"delete": call(remove["summary"], None, parameters=remove["parameters"])},
        f"{base}/subscribe": {"get": _subscribe()},
        "/api/v1/rooms/{room}/now-serving": {"get": _now_serving()},
        **_site_calls(),
    }


def _gate() -> dict[str, Any]:
    return {
        "tags": ["gate"],
        "summary": "Decide whether a request of a site passes (forward authentication)",
        "parameters": [
            {
                "name": "as",
                "in": "query",
                "schema": {"type": "string", "enum": ["nginx", "nginx-answer", "envoy"]},
            },
            {
                "name": "uri",
                "in": "query",
                "description": "After `as=envoy`: path and query of the site's request, as "
                "they are, to the end of the address; the method is that of the call",
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": {"description": "It passes (`as=envoy`)"},
            "204": {"description": "It passes"},
            "302": {"description": "To the waiting page"},
            "303": {"description": "The pass of the address is in a cookie now"},
        },
    }


def _site_calls() -> dict[str, Any]:
    room = {"name": "room", "in": "query", "required": True, "schema": _NAME}
    signed = {"name": "return", "in": "query", "required": True, "schema": {"type": "string"}}
    signature = {
        "name": "X-Waitline-Signature",
        "in": "header",
        "required": True,
        "description": "`t=TIME,v1=HEX`: HMAC-SHA256 with the site key over `TIME.BODY`",
        "schema": {"type": "string"},
    }
    left = call("Free a visitor's slot", None, tag="gate", body="VisitorBody")
    left["parameters"] = [signature]
    return {
        "/api/v1/gate": {"get": _gate()},
        "/api/v1/gate/return": {
            "get": call(
                "Check a signed return address",
                "ReturnView",
                tag="gate",
                parameters=[room, signed],
            )
        },
        "/api/v1/gate/left": {"post": left},
        "/api/v1/gate/walk-in": {"post": _walk_in()},
        "/api/v1/gate/slide": {"post": _slide()},
        "/api/v1/gate/claim": {"post": _claim()},
        "/api/v1/protection/revoked": {
            "get": {
                "tags": ["gate"],
                "summary": "List places that were left before their passes ended",
                "parameters": [room],
                "responses": {
                    "200": {
                        "description": "The latest 4,096",
                        "content": {"application/json": {"schema": reference("DepartedPlaces")}},
                    },
                    "304": {"description": "The client's list is current"},
                },
            }
        },
    }


def _walk_in() -> dict[str, Any]:
    site_key = {
        "name": "X-Site-Key",
        "in": "header",
        "required": True,
        "description": "The secret that the site shares with the queue (WAITLINE_SITE_KEY)",
        "schema": {"type": "string"},
    }
    walk_in = call(
        "Admit a visitor without a line, in a room on standby",
        "StatusView",
        tag="gate",
        body="RoomBody",
        status=201,
    )
    walk_in["parameters"] = [site_key]
    return walk_in


def _slide() -> dict[str, Any]:
    return call(
        "Move the end of an active visitor's stay forward; the pass in the answer counts",
        "StatusView",
        tag="gate",
        body="VisitorBody",
        parameters=[_TICKET],
    )


def _claim() -> dict[str, Any]:
    return call(
        "Keep a visitor's stay for the browser that claims it first; repeats are fine",
        None,
        tag="gate",
        body="ClaimBody",
        parameters=[_TICKET],
    )


def _subscribe() -> dict[str, Any]:
    return {
        "tags": ["queue"],
        "summary": "Stream a visitor's status (server-sent events)",
        "description": "Events: `status-update`; `mode`, when the shop sells out or has seats "
        "again; `ready` or `error`, which end the stream",
        "parameters": [*_WHO, _TICKET],
        "responses": {
            "200": {
                "description": "Event stream",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    }


def _now_serving() -> dict[str, Any]:
    return {
        "tags": ["queue"],
        "summary": "Get the place now being served; cacheable, the same for everybody",
        "parameters": [
            {"name": "room", "in": "path", "required": True, "schema": _NAME},
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "The document",
                "content": {"application/json": {"schema": reference("NowServing")}},
            },
            "304": {"description": "The client's document is current"},
        },
    }
