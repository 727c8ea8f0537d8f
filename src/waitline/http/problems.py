"""Problem details (RFC 9457): the table of problems, and the refusals at the HTTP level.

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
"""Retry-After while a store does not answer, in s. Short: every request tries the store again."""

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
    """The bytes are not an HTTP request, or are ambiguous (request smuggling).

    Attributes:
        reason: What is wrong with them.
        path: The path that they ask for, as far as it can be read.
    """

    def __init__(self, reason: Text, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path


class RequestLineTooLong(Refused):
    """The request line is longer than the service accepts."""


class FieldsTooLarge(Refused):
    """There are too many header or trailer fields, or they are too long in total."""


class RequestTooSlow(Refused):
    """The head or the body of a request did not arrive in time."""


class ExpectationUnknown(Refused):
    """The Expect header has a value that the server does not support."""


class CodingUnknown(Refused):
    """The body has a transfer coding besides chunked."""


class VersionUnsupported(Refused):
    """The request is in another version of HTTP than 1.1 and 1.0."""


class ConnectionsExhausted(Refused):
    """The worker has reached its limit of connections."""


class PathUnknown(Refused):
    """No call has this path."""


class MethodUnknown(Refused):
    """The path does not accept the method.

    Attributes:
        allowed: The methods that it accepts.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class Speculative(Refused):
    """A browser prefetches or prerenders a page, so the visitor may never see it."""


class OperatorKeyMissing(Refused):
    """An operator's call carries no operator key."""


class OperatorKeyWrong(Refused):
    """An operator's call carries a wrong operator key."""


class Code(NamedTuple):
    """An error code of the wire contract, with the contract's text for it."""

    code: str
    message: Text


C001 = Code("C001", Text("잘못된 입력값입니다.", "Invalid input."))
C002 = Code("C002", Text("인증이 필요합니다.", "Authentication is required."))
C003 = Code("C003", Text("권한이 없습니다.", "You do not have permission."))
C004 = Code(
    "C004", Text("요청한 리소스를 찾을 수 없습니다.", "The requested resource was not found.")
)
C005 = Code(
    "C005", Text("리소스 충돌이 발생했습니다.", "The request conflicts with the current state.")
)
C006 = Code("C006", Text("서버 내부 오류가 발생했습니다.", "Internal server error."))
E003 = Code(
    "E003",
    Text(
        "대기열 서비스를 일시적으로 사용할 수 없습니다.",
        "The queue service is temporarily unavailable.",
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
        Text("본문 크기 초과", "Body too large"),
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
        Text("URI 길이 초과", "URI too long"),
    ),
    Problem(
        FieldsTooLarge,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        C001,
        "header-fields-too-large",
        Text("헤더 크기 초과", "Header fields too large"),
    ),
    Problem(
        RequestTooSlow,
        HTTPStatus.REQUEST_TIMEOUT,
        C001,
        "request-timeout",
        Text("요청 시간 초과", "Request timeout"),
    ),
    Problem(
        ExpectationUnknown,
        HTTPStatus.EXPECTATION_FAILED,
        C001,
        "expectation-unknown",
        Text("지원하지 않는 Expect 헤더", "Expectation not supported"),
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
        Text("연결 수 초과", "Too many connections"),
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
        Text("존재하지 않는 경로", "Unknown path"),
    ),
    Problem(
        Speculative,
        HTTPStatus.CONFLICT,
        C005,
        "speculative",
        Text("사전 로드 요청", "Prefetch request"),
    ),
    Problem(
        OperatorKeyMissing,
        HTTPStatus.UNAUTHORIZED,
        C002,
        "operator-key-missing",
        Text("운영자 키 없음", "Missing operator key"),
        headers=lambda _: _BEARER,
    ),
    Problem(
        OperatorKeyWrong,
        HTTPStatus.FORBIDDEN,
        C003,
        "operator-key-wrong",
        Text("운영자 키 불일치", "Wrong operator key"),
        headers=lambda _: _BEARER,
    ),
)

UNAVAILABLE = Problem(
    Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE,
    E003,
    "unavailable",
    Text("일시적으로 사용할 수 없음", "Temporarily unavailable"),
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
