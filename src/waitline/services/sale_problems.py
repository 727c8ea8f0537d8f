"""Rows of the problem table: the rules of a sale, and what operators do with its seats."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from waitline.booking.cooldown import CoolingDown
from waitline.booking.house import (
    SeatNamesAmbiguous,
    SeatNamesUnknown,
    SeatsNotFree,
    SeatsNotHeld,
)
from waitline.booking.model import (
    CancellationClosed,
    OwnHold,
    ScheduleStopped,
    TooManySeats,
)
from waitline.booking.sale_state import ScheduleState
from waitline.booking.stopping import (
    REFUND_YEARS_MAX,
    RefundDeadlineImpossible,
    ScheduleNotPostponed,
)
from waitline.http.problems import C001, C005, Problem, retry_after
from waitline.http.texts import Text
from waitline.kernel.plurals import counted
from waitline.services.problem_codes import B001, B003

NAMES_SHOWN_MAX = 20
"""Seats named in a detail; a thousand would not be read."""

_CONFLICT = HTTPStatus.CONFLICT


def _named(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    return shown + (" …" if len(names) > NAMES_SHOWN_MAX else "")


def _at(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _stopped(it: ScheduleStopped) -> Text:
    if it.state is ScheduleState.CANCELLED:
        return Text(
            "취소된 공연입니다. 결제하신 금액은 모두 환불됩니다.",
            "This performance is cancelled. All payments are refunded.",
        )
    return Text(
        "연기된 공연입니다. 지금은 예매할 수 없습니다.",
        "This performance is postponed. Seats cannot be reserved for now.",
    )


SALE_PROBLEMS: list[Problem[Any]] = [
    Problem(
        CoolingDown,
        HTTPStatus.TOO_MANY_REQUESTS,
        C005,
        "cooling-down",
        Text("예매 일시 제한", "Reservations temporarily blocked"),
        detail=lambda it: Text(
            "좌석을 선택한 뒤 결제하지 않은 횟수가 많습니다. "
            f"{it.retry_after_s}초 후 다시 시도해 주세요.",
            "You have released reserved seats several times without paying. Try again in "
            f"{it.retry_after_s} s.",
        ),
        headers=lambda it: retry_after(it.retry_after_s),
    ),
    Problem(
        OwnHold,
        _CONFLICT,
        B003,
        "own-hold",
        Text("이미 예약하신 좌석", "You already hold this seat"),
        detail=lambda _: Text(
            "이미 예약하신 좌석입니다. 기존 예약에서 계속 진행해 주세요.",
            "You already hold this seat. Continue with your reservation.",
        ),
        data=lambda it: {"reservationId": it.reservation_id},
    ),
    Problem(
        TooManySeats,
        _CONFLICT,
        C005,
        "too-many-seats",
        Text("좌석 수 초과", "Too many seats"),
        detail=lambda it: Text(
            f"{'모든 일정을 합해 ' if it.of_concert else ''}"
            f"한 사람이 최대 {it.seats_max}석까지 예약할 수 있습니다.",
            f"One visitor can hold at most {counted(it.seats_max, 'seat')}"
            f"{' across all schedules of the concert' if it.of_concert else ''}.",
        ),
    ),
    Problem(
        CancellationClosed,
        _CONFLICT,
        C005,
        "cancellation-closed",
        Text("취소 기한 경과", "Cancellation deadline passed"),
        detail=lambda it: Text(
            f"취소 기한({_at(it.cancel_until)})이 지나 직접 취소할 수 없습니다. "
            "고객센터에 문의해 주세요.",
            f"The cancellation deadline was {_at(it.cancel_until)}. Contact customer service.",
        ),
        data=lambda it: {"cancelUntil": _at(it.cancel_until)},
    ),
    Problem(
        ScheduleStopped,
        _CONFLICT,
        C005,
        "schedule-stopped",
        Text("판매 중단", "Not on sale"),
        detail=_stopped,
        data=lambda it: {"status": str(it.state)},
    ),
    Problem(
        ScheduleNotPostponed,
        _CONFLICT,
        C005,
        "schedule-not-postponed",
        Text("연기되지 않은 일정", "Schedule not postponed"),
        detail=lambda it: Text(
            f"연기된 일정만 다시 판매할 수 있습니다. 현재 상태: {it.state}.",
            f"Only a postponed schedule can be put on sale again; this one is {it.state}.",
        ),
    ),
    Problem(
        RefundDeadlineImpossible,
        HTTPStatus.BAD_REQUEST,
        C001,
        "refund-deadline-impossible",
        Text("잘못된 환불 기한", "Impossible refund deadline"),
        detail=lambda it: (
            Text(
                "refundUntil: 이미 지난 시각입니다. 환불 기한은 현재 이후여야 합니다.",
                "refundUntil: is in the past. Name a time until which buyers can return tickets.",
            )
            if it.past
            else Text(
                f"refundUntil: 환불 기한은 앞으로 {REFUND_YEARS_MAX}년 이내여야 합니다.",
                f"refundUntil: must be within the next {REFUND_YEARS_MAX} years.",
            )
        ),
    ),
    Problem(
        SeatNamesUnknown,
        HTTPStatus.NOT_FOUND,
        B001,
        "seat-names-unknown",
        Text("존재하지 않는 좌석", "Unknown seats"),
        detail=lambda it: Text(
            f"존재하지 않는 좌석입니다: {_named(it.names)}",
            f"The schedule has no seats with these names: {_named(it.names)}",
        ),
    ),
    Problem(
        SeatNamesAmbiguous,
        HTTPStatus.BAD_REQUEST,
        C001,
        "seat-names-ambiguous",
        Text("중복된 좌석 이름", "Ambiguous seat names"),
        detail=lambda it: Text(
            f"이름이 같은 좌석이 있습니다. 구역/열/번호로 입력해 주세요: {_named(it.names)}",
            f"Several seats have these names; write SECTION/ROW/SEAT: {_named(it.names)}",
        ),
    ),
    Problem(
        SeatsNotFree,
        _CONFLICT,
        B003,
        "seats-not-free",
        Text("이미 예약된 좌석", "Seats not free"),
        detail=lambda it: Text(
            f"예약 또는 판매된 좌석입니다: {_named(it.names)}",
            f"Reserved or sold: {_named(it.names)}. Nothing was changed.",
        ),
    ),
    Problem(
        SeatsNotHeld,
        _CONFLICT,
        C005,
        "seats-not-held",
        Text("판매 보류 상태가 아닌 좌석", "Seats not held back"),
        detail=lambda it: Text(
            f"판매 보류 좌석이 아닙니다: {_named(it.names)}",
            f"Not held back: {_named(it.names)}. Nothing was changed.",
        ),
    ),
]
