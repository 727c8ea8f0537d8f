"""Table of problems: the HTTP response to each refusal of the waiting room and of the box office.

A refusal is a class beside its rule, a row here, and a section in docs/problems.md. The refusals of
HTTP itself are in `http/problems.py`. Source of codes and their texts: the wire contract.
"""

from http import HTTPStatus
from math import ceil
from typing import Any

from waitline.booking.catalogue_model import ConcertUnknown, ScheduleUnknown
from waitline.booking.idempotency_key import (
    KEYS_MAX,
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    TooManyKeys,
)
from waitline.booking.model import (
    AlreadyPaid,
    AmountWrong,
    AuthenticationNeeded,
    Declined,
    GradeUnknown,
    PaymentForeign,
    PaymentRunning,
    PaymentUnknown,
    ReservationForeign,
    ReservationLapsed,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
    SalesNotOpen,
    SalesOver,
    SeatsContested,
    SeatTaken,
    SeatUnknown,
    SoldOut,
)
from waitline.http.problems import (
    C001,
    C002,
    C003,
    C004,
    C005,
    Problem,
    ProblemTable,
    retry_after,
)
from waitline.http.texts import Text
from waitline.kernel.plurals import counted
from waitline.payment_providers.model import WebhookForged
from waitline.queue.model import (
    AddressLimited,
    ExtensionsSpent,
    RoomClosed,
    RoomFull,
    RoomUnknown,
    StatementMissing,
    TimeRanOut,
    TokenRejected,
    TooManyStreams,
    VisitorUnknown,
)
from waitline.services.catalogue_problems import CATALOGUE
from waitline.services.identity import TokenMissing, UserMissing
from waitline.services.problem_codes import (
    B001,
    B003,
    B004,
    B005,
    B006,
    B007,
    B008,
    P001,
    P003,
    P004,
    Q001,
    Q002,
    Q003,
    Q004,
    Q005,
)
from waitline.services.room_problems import ROOM_PROBLEMS
from waitline.services.sale_problems import SALE_PROBLEMS
from waitline.services.same_origin import CrossSite
from waitline.tokens.statements import StatementFault, StatementRejected

FULL_RETRY_AFTER_S = 10
"""Retry-After of a full room, in s: the line needs some seconds to become shorter."""

_BAD = HTTPStatus.BAD_REQUEST
_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
_FORBIDDEN = HTTPStatus.FORBIDDEN
_NOT_FOUND = HTTPStatus.NOT_FOUND
_CONFLICT = HTTPStatus.CONFLICT
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
_UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY


def _over_status(over: ReservationOver) -> HTTPStatus:
    # In the contract, expired and cancelled reservations have different statuses.
    return _CONFLICT if over.state is ReservationState.EXPIRED else _BAD


_FAULTS = {
    StatementFault.FORM: "4096자 이하의 서명된 JWT가 아닙니다",
    StatementFault.HEADER: "헤더에 허용되지 않는 항목이나 값이 있습니다",
    StatementFault.ALGORITHM: "대기실의 키에 맞는 알고리즘으로 서명되지 않았습니다",
    StatementFault.KEY: "알 수 없는 키로 서명되었습니다",
    StatementFault.SIGNATURE: "서명이 올바르지 않습니다",
    StatementFault.CLAIMS: "sub, aud, iat, exp가 각각 한 번씩 필요합니다",
    StatementFault.AUDIENCE: "aud가 이 대기실이 아닙니다",
    StatementFault.SUBJECT: "sub가 이 사용자가 아닙니다",
    StatementFault.FUTURE: "미래에 발급되었습니다",
    StatementFault.OLD: "발급된 지 10분이 지났습니다",
    StatementFault.EXPIRED: "만료되었습니다",
}

_WHO: list[Problem[Any]] = [
    Problem(
        UserMissing, _UNAUTHORIZED, C002, "user-missing", Text("사용자 정보 없음", "Missing user")
    ),
    Problem(TokenMissing, _UNAUTHORIZED, C002, "token-missing", Text("토큰 없음", "Missing token")),
    Problem(
        StatementMissing,
        _UNAUTHORIZED,
        C002,
        "statement-missing",
        Text("신원 확인서 없음", "Missing identity statement"),
    ),
    Problem(
        StatementRejected,
        _UNAUTHORIZED,
        Q003,
        "statement-rejected",
        Text("유효하지 않은 신원 확인서", "Invalid identity statement"),
        detail=lambda rejected: Text(
            f"{_FAULTS[rejected.fault]}.", f"Invalid identity statement: {rejected.fault}."
        ),
    ),
]

_WAITING_ROOM: list[Problem[Any]] = [
    Problem(
        RoomUnknown, _NOT_FOUND, C004, "room-unknown", Text("존재하지 않는 대기실", "Unknown room")
    ),
    Problem(
        RoomClosed, _CONFLICT, C005, "room-closed", Text("대기 마감", "Closed to new visitors")
    ),
    Problem(
        RoomFull,
        _TOO_MANY,
        Q004,
        "room-full",
        Text("대기 인원 초과", "Line full"),
        detail=lambda full: Text(
            f"이 대기실에는 최대 {full.waiting_max:,}명까지 대기할 수 있습니다.",
            f"At most {counted(full.waiting_max, 'visitor')} can wait in this room.",
        ),
        headers=lambda _: retry_after(FULL_RETRY_AFTER_S),
    ),
    Problem(
        AddressLimited,
        _TOO_MANY,
        Q004,
        "address-limited",
        Text("주소별 한도 초과", "Address limit reached"),
        detail=lambda limited: Text(
            f"네트워크별 한도를 초과했습니다. {limited.retry_after_s}초 후 다시 시도해 주세요.",
            f"Too many requests from this network; try again in {limited.retry_after_s} s.",
        ),
        headers=lambda limited: retry_after(limited.retry_after_s),
    ),
    Problem(
        TooManyStreams,
        _TOO_MANY,
        Q004,
        "too-many-streams",
        Text("구독 요청 한도 초과", "Too many event streams"),
        headers=lambda many: retry_after(max(1, ceil(many.retry_after_ms / 1000))),
    ),
    Problem(
        VisitorUnknown,
        _NOT_FOUND,
        Q001,
        "visitor-unknown",
        Text("존재하지 않는 방문자", "Unknown visitor"),
    ),
    Problem(
        TokenRejected, _UNAUTHORIZED, Q003, "token-rejected", Text("거부된 토큰", "Token rejected")
    ),
    Problem(
        TimeRanOut, _UNAUTHORIZED, Q002, "time-ran-out", Text("이용 시간 만료", "Time expired")
    ),
    Problem(
        ExtensionsSpent,
        _BAD,
        Q005,
        "extensions-spent",
        Text("연장 횟수 초과", "No extensions left"),
    ),
]

_BOX_OFFICE: list[Problem[Any]] = [
    Problem(
        IdempotencyKeyReused,
        _UNPROCESSABLE,
        C001,
        "key-reused",
        Text("다른 요청에 사용된 키", "Idempotency key already used"),
    ),
    Problem(
        IdempotencyKeyRunning,
        _CONFLICT,
        C005,
        "key-running",
        Text("처리 중인 요청", "Request in progress"),
    ),
    Problem(
        TooManyKeys,
        _CONFLICT,
        C005,
        "too-many-keys",
        Text("멱등 키 개수 초과", "Too many idempotency keys"),
        detail=lambda _: Text(
            f"24시간 동안 한 사람이 최대 {KEYS_MAX:,}개의 키를 사용할 수 있습니다.",
            f"One visitor can use at most {KEYS_MAX:,} keys in 24 hours.",
        ),
    ),
    Problem(
        ConcertUnknown,
        _NOT_FOUND,
        B007,
        "concert-unknown",
        Text("존재하지 않는 콘서트", "Unknown concert"),
    ),
    Problem(
        ScheduleUnknown,
        _NOT_FOUND,
        B008,
        "schedule-unknown",
        Text("존재하지 않는 일정", "Unknown schedule"),
    ),
    Problem(
        SalesNotOpen,
        _CONFLICT,
        C005,
        "sales-not-open",
        Text("오픈 전", "Sale not open yet"),
        detail=lambda it: Text(
            f"{it.opens_at.isoformat(timespec='seconds')}부터 예매할 수 있습니다.",
            f"The sale opens at {it.opens_at.isoformat(timespec='seconds')}.",
        ),
        data=lambda it: {"opensAt": it.opens_at.isoformat(timespec="seconds")},
    ),
    Problem(
        SalesOver,
        _CONFLICT,
        C005,
        "sales-over",
        Text("판매 종료", "Sale ended"),
        detail=lambda _: Text(
            "이 일정의 판매가 종료되었습니다.", "The sale of this schedule has ended."
        ),
    ),
    Problem(
        SeatUnknown, _NOT_FOUND, B001, "seat-unknown", Text("존재하지 않는 좌석", "Unknown seat")
    ),
    Problem(
        GradeUnknown, _NOT_FOUND, B001, "grade-unknown", Text("존재하지 않는 등급", "Unknown grade")
    ),
    Problem(SeatTaken, _CONFLICT, B003, "seat-taken", Text("이미 선택된 좌석", "Seat taken")),
    Problem(SoldOut, _CONFLICT, B003, "sold-out", Text("매진", "Sold out")),
    Problem(
        SeatsContested,
        _CONFLICT,
        B006,
        "seats-contested",
        Text("동시 예약 충돌", "Concurrent reservation"),
    ),
    Problem(
        ReservationUnknown,
        _NOT_FOUND,
        B004,
        "reservation-unknown",
        Text("존재하지 않는 예약", "Unknown reservation"),
    ),
    Problem(
        ReservationForeign,
        _FORBIDDEN,
        C003,
        "reservation-foreign",
        Text("다른 사용자의 예약", "Another visitor's reservation"),
    ),
    Problem(
        CrossSite,
        _FORBIDDEN,
        C003,
        "cross-site",
        Text("다른 사이트의 요청", "Cross-site request"),
    ),
    Problem(
        ReservationOver,
        _BAD,
        B005,
        "reservation-over",
        Text("종료된 예약", "Reservation no longer valid"),
        status_of=_over_status,
    ),
    Problem(
        ReservationLapsed,
        _BAD,
        B005,
        "reservation-lapsed",
        Text("만료된 예약", "Reservation expired"),
    ),
    Problem(AlreadyPaid, _CONFLICT, C005, "already-paid", Text("이미 결제된 예약", "Already paid")),
    Problem(
        AmountWrong,
        _BAD,
        C001,
        "amount-wrong",
        Text("잘못된 금액", "Wrong amount"),
        detail=lambda it: Text(f"amount: {it.price}이어야 합니다.", f"amount: must be {it.price}"),
    ),
    Problem(Declined, _BAD, P001, "declined", Text("결제 거절", "Payment declined")),
    Problem(
        AuthenticationNeeded,
        _BAD,
        P001,
        "authentication-needed",
        Text("카드 인증 필요", "Card authentication required"),
        data=lambda it: {
            "paymentId": it.payment_id,
            "nextAction": {"clientSecret": it.client_secret, "redirectUrl": it.url},
        },
    ),
    Problem(
        PaymentRunning,
        _CONFLICT,
        P004,
        "payment-running",
        Text("진행 중인 결제", "Payment in progress"),
    ),
    Problem(
        PaymentUnknown,
        _NOT_FOUND,
        P003,
        "payment-unknown",
        Text("존재하지 않는 결제", "Unknown payment"),
    ),
    Problem(
        PaymentForeign,
        _FORBIDDEN,
        C003,
        "payment-foreign",
        Text("다른 사용자의 결제", "Another visitor's payment"),
    ),
    Problem(
        WebhookForged,
        _UNAUTHORIZED,
        C002,
        "webhook-forged",
        Text("웹훅 서명 오류", "Invalid webhook signature"),
    ),
]

PROBLEMS = ProblemTable(
    [*_WHO, *_WAITING_ROOM, *ROOM_PROBLEMS, *CATALOGUE, *_BOX_OFFICE, *SALE_PROBLEMS]
)
