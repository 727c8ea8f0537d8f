"""Contract tests from an API description, shared by both services' suites."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# Requests generated for each call and kind: both services have some 60 calls, and a request takes
# some 10 ms.
_EXAMPLES = 13

Case = Any
"""A generated request; its class depends on the description."""


def assert_conforms(
    call: APIOperation[Any, Any, Any, Any],
    wanted: GenerationMode,
    headers: Mapping[str, str],
    prepare: Callable[[Case], None] | None = None,
) -> None:
    """Send generated requests of one call, and hold each answer against the description.

    Args:
        call: The call, as described.
        wanted: Whether the requests keep to the description or break it.
        headers: Sent with each request.
        prepare: Adapts a request before it is sent.
    """

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=call.as_strategy(generation_mode=wanted))
    def conforms(case: Case) -> None:
        if prepare is not None:
            prepare(case)
        case.call_and_validate(checks=_CHECKS, headers=dict(headers))

    conforms()


def calls_of(document: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Return method and path of every call."""
    return {(method, path) for path, calls in document["paths"].items() for method in calls}


def calls_with_key(document: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Return method and path of the calls that need one of the description's credentials."""
    schemes = set(document["components"]["securitySchemes"])
    found = set()
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            named = {name for choice in call.get("security", ()) for name in choice}
            assert named in (set(), schemes), path
            if named:
                found.add((method, path))
    return found


def assert_references_resolve(document: Any) -> None:  # noqa: ANN401 - JSON
    """Check that every `$ref` names a schema of the document."""

    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            inner = {ref for value in part.values() for ref in references(value)}
            return inner | ({part["$ref"]} if "$ref" in part else set())
        if isinstance(part, list):
            return {ref for value in part for ref in references(value)}
        return set()

    found = references(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert found
    assert found <= known
