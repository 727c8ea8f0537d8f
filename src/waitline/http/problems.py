"""Problem details (RFC 9457): the table of problems, and the refusals of HTTP itself.

The rows of the services' own refusals are in `services/problems.py`. docs/problems.md explains each
problem to clients.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar

from waitline.http.responses import Headers
from waitline.http.texts import Text
from waitline.kernel.errors import Refused, Unavailable

RETRY_AFTER_S = 1
"""Retry-After while a store does not answer. Short, since every request tries the store again."""

E = TypeVar("E", bound=Exception)


class InputInvalid(Refused):
    """A part of the request is missing or malformed.

    Attributes:
        name: The field, parameter or header at fault.
        reason: What is wrong with it.
    """

    def __init__(self, name: str, reason: Text) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


class BodyTooLarge(Refused):
    """The request's body is larger than its call accepts."""


class RequestMalformed(Refused):
    """The bytes are no request, or one that two readers could read differently.

    Attributes:
        reason: What is wrong with them.
        path: The path that they ask for, as far as it can be read.
    """

    def __init__(self, reason: Text, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path


class RequestLineTooLong(Refused):
    """The request line, and so the address in it, is longer than the service accepts."""


class FieldsTooLarge(Refused):
    """The header or trailer fields are too many, or too long in all."""


class RequestTooSlow(Refused):
    """The head or the body of a request did not arrive in time."""


class ExpectationUnknown(Refused):
    """The request expects something of the server that it does not know."""


class CodingUnknown(Refused):
    """The body has a transfer coding besides chunked."""


class VersionUnsupported(Refused):
    """The request is in another version of HTTP than 1.1 and 1.0."""


class ConnectionsExhausted(Refused):
    """The worker has as many connections as it may."""


class PathUnknown(Refused):
    """There is nothing at that path."""


class MethodUnknown(Refused):
    """The path does not accept that method.

    Attributes:
        allowed: The methods that it accepts.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class Speculative(Refused):
    """A browser asks in advance, for a visitor who may never come."""


class OperatorKeyMissing(Refused):
    """An operator's call has no operator key."""


class OperatorKeyWrong(Refused):
    """An operator's call has a wrong operator key."""


class Code(NamedTuple):
    """An error code of the wire contract, with the contract's text for it."""

    code: str
    message: Text


C001 = Code("C001", Text("잘못된 입력값입니다.", "The input is not valid."))
C002 = Code("C002", Text("인증이 필요합니다.", "Authentication is needed."))
C003 = Code("C003", Text("권한이 없습니다.", "You are not allowed to do this."))
C004 = Code("C004", Text("요청한 리소스를 찾을 수 없습니다.", "There is nothing here."))
C005 = Code("C005", Text("리소스 충돌이 발생했습니다.", "This conflicts with how things are."))
C006 = Code("C006", Text("서버 내부 오류가 발생했습니다.", "The server failed."))
E003 = Code(
    "E003",
    Text(
        "대기열 서비스를 일시적으로 사용할 수 없습니다.", "The queue is unavailable for the moment."
    ),
)


@dataclass(frozen=True, slots=True)
class Problem(Generic[E]):
    """One kind of failure as clients see it: a row of the table.

    Attributes:
        failure: Its exception.
        status: HTTP status.
        code: Code of the wire contract.
        slug: Last segment of the `type` URI, and the heading in docs/problems.md.
        title: Title of this kind.
        detail: Detail of one occurrence, if it is more than the title.
        headers: Additional response headers of one occurrence.
        status_of: The status, if it depends on the occurrence.
        data: The body's `data` member of one occurrence, if it has one.
    """

    failure: type[E]
    status: HTTPStatus
    code: Code
    slug: str
    title: Text
    detail: Callable[[E], Text] | None = None
    headers: Callable[[E], Headers] | None = None
    status_of: Callable[[E], HTTPStatus] | None = None
    data: Callable[[E], dict[str, Any]] | None = None


def retry_after(seconds: int) -> Headers:
    """Return the Retry-After header."""
    return ((b"retry-after", b"%d" % seconds),)


_BEARER: Headers = ((b"www-authenticate", b"Bearer"),)

TOOLKIT_PROBLEMS: tuple[Problem[Any], ...] = (
    Problem(
        InputInvalid,
        HTTPStatus.BAD_REQUEST,
        C001,
        "input-invalid",
        Text("입력 오류", "Invalid input"),
        detail=lambda it: Text(f"{it.name}: {it.reason.ko}", f"{it.name}: {it.reason.en}"),
    ),
    Problem(
        BodyTooLarge,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        C001,
        "body-too-large",
        Text("본문이 너무 큽니다", "Body too large"),
    ),
    Problem(
        RequestMalformed,
        HTTPStatus.BAD_REQUEST,
        C001,
        "request-malformed",
        Text("잘못된 HTTP 요청", "Malformed request"),
        detail=lambda it: it.reason,
    ),
    Problem(
        RequestLineTooLong,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        C001,
        "uri-too-long",
        Text("주소가 너무 깁니다", "Address too long"),
    ),
    Problem(
        FieldsTooLarge,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        C001,
        "header-fields-too-large",
        Text("헤더가 너무 큽니다", "Header fields too large"),
    ),
    Problem(
        RequestTooSlow,
        HTTPStatus.REQUEST_TIMEOUT,
        C001,
        "request-timeout",
        Text("요청이 제시간에 도착하지 않았습니다", "Request not received in time"),
    ),
    Problem(
        ExpectationUnknown,
        HTTPStatus.EXPECTATION_FAILED,
        C001,
        "expectation-unknown",
        Text("알 수 없는 Expect 헤더", "Unknown expectation"),
    ),
    Problem(
        CodingUnknown,
        HTTPStatus.NOT_IMPLEMENTED,
        C001,
        "transfer-coding-unknown",
        Text("지원하지 않는 전송 인코딩", "Transfer coding not supported"),
    ),
    Problem(
        VersionUnsupported,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        C001,
        "version-unsupported",
        Text("지원하지 않는 HTTP 버전", "HTTP version not supported"),
    ),
    Problem(
        ConnectionsExhausted,
        HTTPStatus.SERVICE_UNAVAILABLE,
        E003,
        "too-many-connections",
        Text("연결이 너무 많습니다", "Too many connections"),
        headers=lambda _: retry_after(RETRY_AFTER_S),
    ),
    Problem(
        MethodUnknown,
        HTTPStatus.METHOD_NOT_ALLOWED,
        C001,
        "method-unknown",
        Text("허용되지 않은 메서드", "Method not allowed"),
        headers=lambda it: ((b"allow", ", ".join(it.allowed).encode("ascii")),),
    ),
    Problem(
        PathUnknown,
        HTTPStatus.NOT_FOUND,
        C004,
        "path-unknown",
        Text("없는 경로", "Unknown path"),
    ),
    Problem(
        Speculative,
        HTTPStatus.CONFLICT,
        C005,
        "speculative",
        Text("미리 불러오는 요청", "Asked in advance"),
    ),
    Problem(
        OperatorKeyMissing,
        HTTPStatus.UNAUTHORIZED,
        C002,
        "operator-key-missing",
        Text("운영자 키 없음", "Operator key missing"),
        headers=lambda _: _BEARER,
    ),
    Problem(
        OperatorKeyWrong,
        HTTPStatus.FORBIDDEN,
        C003,
        "operator-key-wrong",
        Text("운영자 키 불일치", "Operator key wrong"),
        headers=lambda _: _BEARER,
    ),
)

UNAVAILABLE = Problem(
    Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE,
    E003,
    "unavailable",
    Text("일시적 중단", "Unavailable"),
    headers=lambda _: retry_after(RETRY_AFTER_S),
)
BUG = Problem(
    Exception,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    C006,
    "bug",
    Text("내부 오류", "Server error"),
    # The text of an unexpected error could leak secrets.
    detail=lambda _: C006.message,
)


class ProblemTable:
    """The problems of a service, by exception.

    Args:
        problems: The service's rows; the toolkit's own are added.
    """

    def __init__(self, problems: Iterable[Problem[Any]]) -> None:
        rows = (*TOOLKIT_PROBLEMS, *problems)
        self.by_refusal: dict[type[Refused], Problem[Any]] = {row.failure: row for row in rows}
        assert len(self.by_refusal) == len(rows), "a refusal has two rows"

    def lookup(self, error: Exception) -> Problem[Any]:
        """Return the row for an exception.

        Raises:
            KeyError: A refusal has no row: a bug, which test_tidy finds.
        """
        if isinstance(error, Refused):
            return self.by_refusal[type(error)]
        return UNAVAILABLE if isinstance(error, Unavailable) else BUG
