"""What each refusal becomes over HTTP (RFC 9457 and the wire contract). Total over `Refused`.

docs/problems.md explains each kind to whoever receives it.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple

import msgspec

from waitline.booking import model as office
from waitline.booking.model import ReservationState
from waitline.http.texts import Language, Text
from waitline.kernel.errors import Refused, Unavailable, WaitlineError
from waitline.payment_providers.model import WebhookForged
from waitline.queue import model

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


class UserMissing(Refused):
    """The request does not say whose it is."""


class TokenMissing(Refused):
    """The request brings no token of the queue."""


class KeyReused(Refused):
    """The request's idempotency key was given to another request before."""


class KeyRunning(Refused):
    """A request with the same idempotency key is being answered."""


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
        title: What this kind is called.
    """

    status: HTTPStatus
    code: str
    slug: str
    title: Text

    @property
    def message(self) -> Text:
        """The contract's text for the code."""
        return MESSAGES[self.code]


MESSAGES = {
    "C001": Text("잘못된 입력값입니다.", "The input is not valid."),
    "C002": Text("인증이 필요합니다.", "Authentication is needed."),
    "C003": Text("권한이 없습니다.", "You are not allowed to do this."),
    "C004": Text("요청한 리소스를 찾을 수 없습니다.", "There is nothing here."),
    "C005": Text("리소스 충돌이 발생했습니다.", "This conflicts with how things are."),
    "C006": Text("서버 내부 오류가 발생했습니다.", "The server failed."),
    "B001": Text("좌석을 찾을 수 없습니다.", "There is no such seat."),
    "B003": Text("이미 선택된 좌석입니다.", "The seat is taken."),
    "B004": Text("예약을 찾을 수 없습니다.", "There is no such reservation."),
    "B005": Text("예약이 만료되었습니다.", "The reservation is over."),
    "B006": Text("동시 예약 충돌이 발생했습니다.", "Others reserved at the same moment."),
    "B007": Text("콘서트를 찾을 수 없습니다.", "There is no such concert."),
    "B008": Text("콘서트 일정을 찾을 수 없습니다.", "There is no such schedule."),
    "P001": Text("결제에 실패했습니다.", "The payment failed."),
    "P003": Text("결제 정보를 찾을 수 없습니다.", "There is no such payment."),
    "P004": Text("이미 진행 중인 결제가 있습니다.", "A payment is under way already."),
    "Q001": Text("대기열 토큰을 찾을 수 없습니다.", "This visitor is not in the line."),
    "Q002": Text("대기열 토큰이 만료되었습니다.", "The time of this token is over."),
    "Q003": Text("유효하지 않은 대기열 토큰입니다.", "This token is not valid."),
    "Q004": Text("대기열이 가득 찼습니다.", "The line is full."),
    "Q005": Text("더 이상 연장할 수 없습니다.", "No further extension is possible."),
    "E003": Text(
        "대기열 서비스를 일시적으로 사용할 수 없습니다.", "The queue is unavailable for the moment."
    ),
}
"""What each code says. Source: the wire contract."""

_BAD = HTTPStatus.BAD_REQUEST
_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
_FORBIDDEN = HTTPStatus.FORBIDDEN
_NOT_FOUND = HTTPStatus.NOT_FOUND
_CONFLICT = HTTPStatus.CONFLICT
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS

PROBLEMS: dict[type[Refused], Problem] = {
    InputInvalid: Problem(_BAD, "C001", "input-invalid", Text("입력 오류", "Invalid input")),
    BodyTooLarge: Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "C001",
        "body-too-large",
        Text("본문이 너무 큽니다", "Body too large"),
    ),
    MethodUnknown: Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "C001",
        "method-unknown",
        Text("허용되지 않은 메서드", "Method not allowed"),
    ),
    PathUnknown: Problem(_NOT_FOUND, "C004", "path-unknown", Text("없는 경로", "Unknown path")),
    OperatorKeyMissing: Problem(
        _UNAUTHORIZED,
        "C002",
        "operator-key-missing",
        Text("운영자 키 없음", "Operator key missing"),
    ),
    OperatorKeyWrong: Problem(
        _FORBIDDEN, "C003", "operator-key-wrong", Text("운영자 키 불일치", "Operator key wrong")
    ),
    model.RoomUnknown: Problem(
        _NOT_FOUND, "C004", "room-unknown", Text("없는 대기실", "Unknown room")
    ),
    model.RoomExists: Problem(
        _CONFLICT, "C005", "room-exists", Text("이미 있는 대기실", "Room exists")
    ),
    model.TooManyRooms: Problem(
        _CONFLICT, "C005", "too-many-rooms", Text("대기실이 너무 많습니다", "Too many rooms")
    ),
    model.RoomClosed: Problem(
        _CONFLICT, "C005", "room-closed", Text("닫힌 대기실", "Room closed to newcomers")
    ),
    model.RoomFull: Problem(_TOO_MANY, "Q004", "room-full", Text("가득 찬 대기열", "Line full")),
    model.TooManyStreams: Problem(
        _TOO_MANY,
        "Q004",
        "too-many-streams",
        Text("구독이 너무 잦습니다", "Streams opened too fast"),
    ),
    model.VisitorUnknown: Problem(
        _NOT_FOUND, "Q001", "visitor-unknown", Text("없는 방문자", "Unknown visitor")
    ),
    model.TokenRejected: Problem(
        _UNAUTHORIZED, "Q003", "token-rejected", Text("거부된 토큰", "Token rejected")
    ),
    model.TimeRanOut: Problem(_UNAUTHORIZED, "Q002", "time-ran-out", Text("만료", "Time ran out")),
    model.ExtensionsSpent: Problem(
        _BAD, "Q005", "extensions-spent", Text("연장 횟수 초과", "Extensions spent")
    ),
    UserMissing: Problem(
        _UNAUTHORIZED, "C002", "user-missing", Text("사용자 없음", "Visitor not named")
    ),
    TokenMissing: Problem(
        _UNAUTHORIZED, "C002", "token-missing", Text("토큰 없음", "Token missing")
    ),
    KeyReused: Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "C001",
        "key-reused",
        Text("다른 요청에 쓰인 키", "Key of another request"),
    ),
    KeyRunning: Problem(
        _CONFLICT, "C005", "key-running", Text("처리 중인 요청", "Request under way")
    ),
    office.ConcertUnknown: Problem(
        _NOT_FOUND, "B007", "concert-unknown", Text("없는 콘서트", "Unknown concert")
    ),
    office.ScheduleUnknown: Problem(
        _NOT_FOUND, "B008", "schedule-unknown", Text("없는 일정", "Unknown schedule")
    ),
    office.DetailInvalid: Problem(
        _BAD, "C001", "detail-invalid", Text("잘못된 내용", "Invalid detail")
    ),
    office.SeatMapInvalid: Problem(
        _BAD, "C001", "seat-map-invalid", Text("잘못된 좌석 배치도", "Invalid seat map")
    ),
    office.SeatUnknown: Problem(
        _NOT_FOUND, "B001", "seat-unknown", Text("없는 좌석", "Unknown seat")
    ),
    office.GradeUnknown: Problem(
        _NOT_FOUND, "B001", "grade-unknown", Text("없는 등급", "Unknown grade")
    ),
    office.SeatTaken: Problem(
        _CONFLICT, "B003", "seat-taken", Text("이미 선택된 좌석", "Seat taken")
    ),
    office.SoldOut: Problem(_CONFLICT, "B003", "sold-out", Text("매진", "Sold out")),
    office.SeatsContested: Problem(
        _CONFLICT, "B006", "seats-contested", Text("동시 예약 충돌", "Seats contested")
    ),
    office.TooManySeats: Problem(
        _CONFLICT, "C005", "too-many-seats", Text("좌석 수 초과", "Too many seats")
    ),
    office.ReservationUnknown: Problem(
        _NOT_FOUND, "B004", "reservation-unknown", Text("없는 예약", "Unknown reservation")
    ),
    office.ReservationForeign: Problem(
        _FORBIDDEN,
        "C003",
        "reservation-foreign",
        Text("다른 사용자의 예약", "Reservation of another visitor"),
    ),
    office.ReservationOver: Problem(
        _BAD, "B005", "reservation-over", Text("끝난 예약", "Reservation over")
    ),
    office.ReservationLapsed: Problem(
        _BAD, "B005", "reservation-lapsed", Text("만료된 예약", "Reservation lapsed")
    ),
    office.AlreadyPaid: Problem(
        _CONFLICT, "C005", "already-paid", Text("이미 결제된 예약", "Already paid")
    ),
    office.AmountWrong: Problem(_BAD, "C001", "amount-wrong", Text("잘못된 금액", "Amount wrong")),
    office.Declined: Problem(_BAD, "P001", "declined", Text("거절된 결제", "Declined")),
    office.PaymentRunning: Problem(
        _CONFLICT, "P004", "payment-running", Text("진행 중인 결제", "Payment under way")
    ),
    office.PaymentUnknown: Problem(
        _NOT_FOUND, "P003", "payment-unknown", Text("없는 결제", "Unknown payment")
    ),
    office.PaymentForeign: Problem(
        _FORBIDDEN,
        "C003",
        "payment-foreign",
        Text("다른 사용자의 결제", "Payment of another visitor"),
    ),
    WebhookForged: Problem(
        _UNAUTHORIZED, "C002", "webhook-forged", Text("서명 오류", "Not signed by the provider")
    ),
}

EXPIRED_BEFORE = PROBLEMS[office.ReservationOver]._replace(status=_CONFLICT)
"""Of a reservation that is over because it expired. Source: the wire contract."""

UNAVAILABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "E003", "unavailable", Text("일시적 중단", "Unavailable")
)
BUG = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "C006", "bug", Text("내부 오류", "Server error"))

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
    if isinstance(error, office.ReservationOver) and error.state is ReservationState.EXPIRED:
        return EXPIRED_BEFORE
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
    said = _said(error)
    if said is None:
        # Only our own refusals may speak: another error's text could tell what it should not.
        said = problem.title if isinstance(error, WaitlineError) else problem.message
    return said.to(language)


def _said(error: Exception) -> Text | None:
    """Return what a refusal says of this case, if it says more than its title."""
    said = None
    match error:
        case InputInvalid(name=name, reason=reason):
            said = Text(f"{name}: {reason.ko}", f"{name}: {reason.en}")
        case model.RoomFull(waiting_max=most):
            said = Text(
                f"이 대기실에는 최대 {most:,}명까지 기다릴 수 있습니다.",
                f"At most {most:,} visitors may wait in this room.",
            )
        case office.TooManySeats(seats_max=most):
            said = Text(
                f"한 사람이 최대 {most}석까지 예약할 수 있습니다.",
                f"One visitor may hold at most {most} seats.",
            )
        case office.AmountWrong(price=price):
            said = Text(f"amount: {price}이어야 합니다.", f"amount: must be {price}")
        case office.DetailInvalid(name=name, reason=reason):
            said = Text(f"{name}: {reason}", f"{name}: {reason}")
        case office.SeatMapInvalid(errors=errors):
            lines = "\n".join(errors)
            said = Text(lines, lines)
        case _:
            pass
    return said
