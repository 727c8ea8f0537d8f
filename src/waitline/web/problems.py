"""What each refusal becomes over HTTP (RFC 9457 and the wire contract). Total over `Refused`.

docs/problems.md explains each kind to whoever receives it.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple

import msgspec

from waitline.errors import Refused, Unavailable, WaitlineError
from waitline.queue import model
from waitline.web.texts import Language, Text

RETRY_AFTER_S = 1
"""When to try again after the store did not answer: it is looked for at every request."""

FULL_RETRY_AFTER_S = 10
"""When to try again after a room was full: a line gets shorter by the second, not at once."""


class InputInvalid(Refused):
    """The request does not say what it must.

    Attributes:
        name: The field, parameter or header at fault.
        reason: What is wrong with it.
    """

    def __init__(self, name: str, reason: Text) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


class BodyTooLarge(Refused):
    """The request's body is larger than any call needs."""


class PathUnknown(Refused):
    """There is nothing at that path."""


class MethodUnknown(Refused):
    """The path does not take that method.

    Attributes:
        allowed: The methods that it takes.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class OperatorKeyMissing(Refused):
    """An operator's call came without the operator's key."""


class OperatorKeyWrong(Refused):
    """An operator's call came with another key."""


class Problem(NamedTuple):
    """One kind of refusal as clients see it.

    Attributes:
        status: HTTP status.
        code: Code of the wire contract.
        slug: Last segment of the `type` URI, and the heading in docs/problems.md.
        message: The contract's text for the code.
        title: What this kind is called.
    """

    status: HTTPStatus
    code: str
    slug: str
    message: Text
    title: Text


_INPUT = Text("잘못된 입력값입니다.", "The input is not valid.")
_NO_KEY = Text("인증이 필요합니다.", "Authentication is needed.")
_FORBIDDEN = Text("권한이 없습니다.", "You are not allowed to do this.")
_NOT_FOUND = Text("요청한 리소스를 찾을 수 없습니다.", "There is nothing here.")
_CONFLICT = Text("리소스 충돌이 발생했습니다.", "This conflicts with how things are.")
_BUG = Text("서버 내부 오류가 발생했습니다.", "The server failed.")
_NO_TOKEN = Text("대기열 토큰을 찾을 수 없습니다.", "This visitor is not in the line.")
_EXPIRED = Text("대기열 토큰이 만료되었습니다.", "The time of this token is over.")
_REJECTED = Text("유효하지 않은 대기열 토큰입니다.", "This token is not valid.")
_FULL = Text("대기열이 가득 찼습니다.", "The line is full.")
_SPENT = Text("더 이상 연장할 수 없습니다.", "No further extension is possible.")
_UNAVAILABLE = Text(
    "대기열 서비스를 일시적으로 사용할 수 없습니다.", "The queue is unavailable for the moment."
)

PROBLEMS: dict[type[Refused], Problem] = {
    InputInvalid: Problem(
        HTTPStatus.BAD_REQUEST, "C001", "input-invalid", _INPUT, Text("입력 오류", "Invalid input")
    ),
    BodyTooLarge: Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "C001",
        "body-too-large",
        _INPUT,
        Text("본문이 너무 큽니다", "Body too large"),
    ),
    MethodUnknown: Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "C001",
        "method-unknown",
        _INPUT,
        Text("허용되지 않은 메서드", "Method not allowed"),
    ),
    PathUnknown: Problem(
        HTTPStatus.NOT_FOUND, "C004", "path-unknown", _NOT_FOUND, Text("없는 경로", "Unknown path")
    ),
    OperatorKeyMissing: Problem(
        HTTPStatus.UNAUTHORIZED,
        "C002",
        "operator-key-missing",
        _NO_KEY,
        Text("운영자 키 없음", "Operator key missing"),
    ),
    OperatorKeyWrong: Problem(
        HTTPStatus.FORBIDDEN,
        "C003",
        "operator-key-wrong",
        _FORBIDDEN,
        Text("운영자 키 불일치", "Operator key wrong"),
    ),
    model.RoomUnknown: Problem(
        HTTPStatus.NOT_FOUND,
        "C004",
        "room-unknown",
        _NOT_FOUND,
        Text("없는 대기실", "Unknown room"),
    ),
    model.RoomExists: Problem(
        HTTPStatus.CONFLICT,
        "C005",
        "room-exists",
        _CONFLICT,
        Text("이미 있는 대기실", "Room exists"),
    ),
    model.TooManyRooms: Problem(
        HTTPStatus.CONFLICT,
        "C005",
        "too-many-rooms",
        _CONFLICT,
        Text("대기실이 너무 많습니다", "Too many rooms"),
    ),
    model.RoomClosed: Problem(
        HTTPStatus.CONFLICT,
        "C005",
        "room-closed",
        _CONFLICT,
        Text("닫힌 대기실", "Room closed to newcomers"),
    ),
    model.RoomFull: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Q004",
        "room-full",
        _FULL,
        Text("가득 찬 대기열", "Line full"),
    ),
    model.TooManyStreams: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Q004",
        "too-many-streams",
        _FULL,
        Text("구독이 너무 잦습니다", "Streams opened too fast"),
    ),
    model.VisitorUnknown: Problem(
        HTTPStatus.NOT_FOUND,
        "Q001",
        "visitor-unknown",
        _NO_TOKEN,
        Text("없는 방문자", "Unknown visitor"),
    ),
    model.TokenRejected: Problem(
        HTTPStatus.UNAUTHORIZED,
        "Q003",
        "token-rejected",
        _REJECTED,
        Text("거부된 토큰", "Token rejected"),
    ),
    model.TimeRanOut: Problem(
        HTTPStatus.UNAUTHORIZED, "Q002", "time-ran-out", _EXPIRED, Text("만료", "Time ran out")
    ),
    model.ExtensionsSpent: Problem(
        HTTPStatus.BAD_REQUEST,
        "Q005",
        "extensions-spent",
        _SPENT,
        Text("연장 횟수 초과", "Extensions spent"),
    ),
}

UNAVAILABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "E003",
    "unavailable",
    _UNAVAILABLE,
    Text("일시적 중단", "Unavailable"),
)
BUG = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR, "C006", "bug", _BUG, Text("내부 오류", "Server error")
)

TYPE_PREFIX = "urn:waitline:problem:"


class ProblemBody(msgspec.Struct, frozen=True):
    """The body of every refusal."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    message: str
    timestamp: str
    data: dict[str, Any] | None = None


def find(error: Exception) -> Problem:
    """Return the kind of problem that an exception is."""
    if isinstance(error, Refused):
        return PROBLEMS[type(error)]
    return UNAVAILABLE if isinstance(error, Unavailable) else BUG


def body(
    error: Exception, language: Language, *, path: str, now_ms: int, data: dict[str, Any] | None
) -> bytes:
    """Encode the body of a refusal.

    Args:
        error: What was refused, and why.
        language: Of its texts.
        path: The request's path, for `instance`.
        now_ms: The present, for `timestamp`.
        data: What the refusal says besides, if anything.
    """
    problem = find(error)
    return msgspec.json.encode(
        ProblemBody(
            type=TYPE_PREFIX + problem.slug,
            title=problem.title.to(language),
            status=problem.status,
            detail=_detail(error, problem, language),
            instance=path,
            code=problem.code,
            message=problem.message.to(language),
            timestamp=datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")[
                :-6
            ]
            + "Z",
            data=data,
        )
    )


def headers(error: Exception) -> list[tuple[bytes, bytes]]:
    """Return what a refusal says in its headers: when to try again, what would be allowed."""
    match error:
        case model.TooManyStreams(retry_after_ms=retry_after_ms):
            return [(b"retry-after", b"%d" % max(1, ceil(retry_after_ms / 1000)))]
        case model.RoomFull():
            return [(b"retry-after", b"%d" % FULL_RETRY_AFTER_S)]
        case MethodUnknown(allowed=allowed):
            return [(b"allow", ", ".join(allowed).encode("ascii"))]
        case Unavailable():
            return [(b"retry-after", b"%d" % RETRY_AFTER_S)]
        case OperatorKeyMissing() | OperatorKeyWrong():
            return [(b"www-authenticate", b"Bearer")]
        case _:
            return []


def _detail(error: Exception, problem: Problem, language: Language) -> str:
    match error:
        case InputInvalid(name=name, reason=reason):
            return f"{name}: {reason.to(language)}"
        case model.RoomFull(waiting_max=most):
            return Text(
                f"이 대기실에는 최대 {most:,}명까지 기다릴 수 있습니다.",
                f"At most {most:,} visitors may wait in this room.",
            ).to(language)
        # Only our own refusals may speak: another error's text could tell what it should not.
        case WaitlineError():
            return problem.title.to(language)
        case _:
            return problem.message.to(language)
