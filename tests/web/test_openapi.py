"""/openapi.json agrees with the answers, for any request."""

from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from tests.api_description import (
    assert_conforms,
    assert_references_resolve,
    calls_of,
    calls_with_key,
)
from tests.web.stack import Stack

STREAM = ("get", "/api/v1/queue/subscribe")

CALLS = {
    ("post", "/api/v1/queue/enter"),
    ("get", "/api/v1/queue/status"),
    ("post", "/api/v1/queue/activate"),
    ("post", "/api/v1/queue/extend"),
    ("post", "/api/v1/queue/validate"),
    ("delete", "/api/v1/queue/remove"),
    ("delete", "/api/v1/queue/token"),
    STREAM,
    ("get", "/api/v1/rooms/{room}/now-serving"),
    ("post", "/api/v1/rooms"),
    ("get", "/api/v1/rooms"),
    ("get", "/api/v1/rooms/{room}"),
    ("get", "/api/v1/rooms/{room}/addresses"),
    ("get", "/api/v1/rooms/{room}/changes"),
    ("patch", "/api/v1/rooms/{room}"),
    ("delete", "/api/v1/rooms/{room}"),
    ("post", "/api/v1/rooms/{room}/reset"),
    ("get", "/api/v1/gate"),
    ("get", "/api/v1/gate/return"),
    ("post", "/api/v1/gate/left"),
    ("post", "/api/v1/gate/walk-in"),
    ("post", "/api/v1/gate/slide"),
    ("post", "/api/v1/gate/claim"),
    ("get", "/api/v1/protection/revoked"),
    ("get", "/api/v1/protection"),
    ("put", "/api/v1/protection"),
    ("get", "/api/v1/client"),
    ("get", "/api/v1/keys"),
    ("get", "/api/v1/health"),
    ("get", "/api/v1/info"),
    ("get", "/actuator/health"),
    ("get", "/actuator/health/liveness"),
    ("get", "/actuator/health/readiness"),
    ("get", "/actuator/info"),
    ("get", "/actuator/prometheus"),
    ("get", "/.well-known/jwks.json"),
}

# The calls that take a body or a query.
TAKING = {
    call
    for call in CALLS
    if call[1].startswith("/api/v1/queue/") or call[0] == "patch" or call[1] == "/api/v1/rooms"
} - {("get", "/api/v1/rooms")}

# With bad data as with good: some 25 examples a call.
# The stream would go on for half an hour; it has tests of its own. Where nothing is asked for but
# a name in the path, nothing can be wrong but that.
ASKED = [
    pytest.param(method, path, wanted, id=f"{method}-{path}-{wanted.value}")
    for method, path in sorted(CALLS - {STREAM})
    for wanted in GenerationMode
    if wanted is GenerationMode.POSITIVE or (method, path) in TAKING
]


@pytest.fixture(scope="package")
def described(trial: Stack) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{trial.url}/openapi.json")


@pytest.mark.parametrize(("method", "path", "wanted"), ASKED)
def test_what_it_says_is_so(
    trial: Stack, described: BaseSchema, method: str, path: str, wanted: GenerationMode
) -> None:
    assert_conforms(described[path][method], wanted, trial.operator)


@pytest.fixture(scope="package")
def document(trial: Stack) -> Any:  # noqa: ANN401 - JSON
    response = httpx.get(f"{trial.url}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_it_is_of_version_3_1_and_valid(described: BaseSchema, document: Any) -> None:  # noqa: ANN401
    assert document["openapi"].startswith("3.1")
    described.validate()


def test_every_call_is_in_it(document: Any) -> None:  # noqa: ANN401 - JSON
    assert calls_of(document) == CALLS


def test_every_reference_leads_somewhere(document: Any) -> None:  # noqa: ANN401 - JSON
    assert_references_resolve(document)


def test_operators_calls_say_that_they_need_a_key(document: Any) -> None:  # noqa: ANN401 - JSON
    needing = {
        (method, path)
        for method, path in CALLS
        if path.startswith(("/api/v1/rooms", "/api/v1/client", "/api/v1/protection"))
        and not path.endswith(("/now-serving", "/revoked"))
    }
    assert calls_with_key(document) == needing
