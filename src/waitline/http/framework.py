"""FastAPI application for all calls that are not hot, with our problem responses."""

from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi import Request as FrameworkRequest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from waitline import __version__
from waitline.http.dispatch import METHODS, with_head
from waitline.http.problem_responses import ProblemResponses, RefusalWithData
from waitline.http.problems import (
    InputInvalid,
    MethodUnknown,
    PathUnknown,
)
from waitline.http.requests import Request
from waitline.http.responses import Answer
from waitline.http.texts import Text
from waitline.kernel.errors import WaitlineError


def build_framework(
    title: str,
    routers: Iterable[APIRouter],
    document: Callable[[FastAPI], dict[str, Any]] | None,
    problems: ProblemResponses,
) -> FastAPI:
    """Build the framework's application.

    Args:
        title: The service's name in its OpenAPI document.
        routers: The framework's calls.
        document: Builds the OpenAPI document of all calls, hot ones included; `None` to serve none.
        problems: Answers for handlers that raise.
    """
    made = describe(title, routers, problems.root_path)
    if document is not None:
        # Built when it is first read, in a thread: a tenth of the CPU time of a worker's start.
        made.get("/openapi.json", include_in_schema=False)(cache(lambda: document(made)))
    _answer_refusals(made, problems)
    return made


def describe(title: str, routers: Iterable[APIRouter], root_path: str = "") -> FastAPI:
    """Return the framework's application with some calls, to serve or to describe them.

    Args:
        title: The service's name in its OpenAPI document.
        routers: The framework's calls.
        root_path: Path below which a proxy serves the service.
    """
    made = FastAPI(
        title=title,
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": root_path}] if root_path else None,
    )
    for router in routers:
        made.include_router(router)
    return made


def to_response(answer: Answer) -> Response:
    """Convert an answer to the framework's response."""
    made = Response(answer.body, answer.status)
    made.raw_headers += answer.headers
    return made


def to_file(content: bytes | str, name: str) -> Response:
    """Answer with a text file for saving under its name, which no cache keeps."""
    return Response(
        content,
        media_type=f"text/{name.rpartition('.')[2]}; charset=utf-8",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
        },
    )


def endpoint(
    handler: Callable[..., Awaitable[Answer]],
) -> Callable[[FrameworkRequest], Awaitable[Response]]:
    """Return a route of the framework for a handler that needs no body.

    Args:
        handler: Takes the request, then the parameters of its path in order.
    """

    async def answer(request: FrameworkRequest) -> Response:
        asked = Request.of(request.scope)
        return to_response(await handler(asked, *request.path_params.values()))

    return answer


def _answer_refusals(made: FastAPI, problems: ProblemResponses) -> None:
    """Answer exceptions of the framework and of its handlers by the table of problems."""

    async def answer(request: FrameworkRequest, error: Exception) -> Response:
        return to_response(problems.answer(_ours(request, error), Request.of(request.scope)))

    for kind in (WaitlineError, RefusalWithData, HTTPException, RequestValidationError, Exception):
        made.add_exception_handler(kind, answer)


def _ours(request: FrameworkRequest, error: Exception) -> Exception:
    """Translate the framework's own errors into ours."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return InputInvalid(name, Text(first["msg"], first["msg"]))
    if not isinstance(error, HTTPException):
        return error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return PathUnknown()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodUnknown(_allowed(request))
    return InputInvalid("body", Text(str(error.detail), str(error.detail)))


def _allowed(request: FrameworkRequest) -> tuple[str, ...]:
    """Return every method that the path accepts; the framework returns its first route's only."""
    asked = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    return with_head(
        method
        for method in sorted(METHODS)
        if any(
            route.matches({**asked, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )
