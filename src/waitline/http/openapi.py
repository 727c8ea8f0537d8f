"""OpenAPI documents: the framework's calls, and the hot calls, which it does not know."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI

from waitline.http.problem_responses import ProblemBody

_OPERATOR = {
    "operatorKey": {"type": "apiKey", "in": "header", "name": "X-Operator-Key"},
    "operatorBearer": {"type": "http", "scheme": "bearer"},
}
_PREFIX = "#/components/schemas/"


def describe_service(
    framework: FastAPI,
    structs: Iterable[type[msgspec.Struct]],
    calls: Mapping[str, Any],
    *,
    operators: frozenset[str],
) -> dict[str, Any]:
    """Return the OpenAPI document of a whole service.

    Args:
        framework: Describes its own calls.
        structs: Bodies and views of the hot calls.
        calls: The hot calls, by path and method.
        operators: The tags of operators' calls, which need a key.

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
            _describe_refusals(one["responses"])
            if not operators.isdisjoint(one.get("tags", ())):
                one["security"] = [{name: []} for name in _OPERATOR]
    return whole


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
        answer: The struct of its data; `None` for no data.
        tag: Its group of calls.
        body: The struct of its body, if any.
        parameters: Its path, query and header parameters.
        status: HTTP status of a success.
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


def _describe_refusals(responses: dict[str, Any]) -> None:
    """Describe refusals, which all have one schema."""
    responses.pop("422", None)
    problem = {
        "description": "Refused; `code` says why",
        "content": {"application/problem+json": {"schema": reference("ProblemBody")}},
    }
    responses["4XX"] = problem
    responses["503"] = {**problem, "description": "The store does not answer; see Retry-After"}


def reference(name: str) -> dict[str, str]:
    """Return a reference to a struct's schema."""
    return {"$ref": _PREFIX + name}
