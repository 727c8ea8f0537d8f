"""Table of problems: the HTTP response to each refusal of a change to the catalogue."""

from http import HTTPStatus
from typing import Any

from waitline.booking.catalogue_model import (
    CancellationPromised,
    CatalogueStale,
    ConcertHasSchedules,
    ConcertHasSeats,
    ScheduleBooked,
    SchedulePaid,
    SeatPlanDiffers,
    SeatPlanInvalid,
    SeatPlanStale,
    SeatsBooked,
    SeatsHeldBack,
    VisitorHasMore,
)
from waitline.booking.charging import CurrencyNotCharged
from waitline.http.problems import C001, C005, Problem
from waitline.http.texts import Text
from waitline.kernel.plurals import counted

CATALOGUE: list[Problem[Any]] = [
    Problem(
        CatalogueStale,
        HTTPStatus.PRECONDITION_FAILED,
        C005,
        "catalogue-stale",
        Text("이미 다른 운영자가 변경한 항목", "Changed by another operator"),
    ),
    Problem(
        ConcertHasSchedules,
        HTTPStatus.CONFLICT,
        C005,
        "concert-has-schedules",
        Text("일정이 있는 콘서트", "Concert has schedules"),
        detail=lambda it: Text(
            f"일정이 {it.schedules:,}개 있습니다. 일정을 먼저 삭제해 주세요.",
            f"The concert has {counted(it.schedules, 'schedule')}; delete them first.",
        ),
    ),
    Problem(
        ConcertHasSeats,
        HTTPStatus.CONFLICT,
        C005,
        "concert-has-seats",
        Text("좌석이 있는 콘서트", "Concert has seats"),
        detail=lambda it: Text(
            f"현재 통화로 가격이 정해진 좌석이 {it.seats:,}석 있습니다. 좌석을 먼저 삭제해 주세요.",
            f"{counted(it.seats, 'seat is', 'seats are')} priced in the current currency; delete "
            "them first.",
        ),
    ),
    Problem(
        CurrencyNotCharged,
        HTTPStatus.CONFLICT,
        C005,
        "currency-not-charged",
        Text("결제할 수 없는 통화", "Currency is not charged"),
        detail=lambda it: Text(
            f"결제 대행사 {it.provider}에서 {it.currency} 결제를 지원하지 않습니다.",
            f"The payment provider {it.provider} does not charge {it.currency}.",
        ),
    ),
    Problem(
        ScheduleBooked,
        HTTPStatus.CONFLICT,
        C005,
        "schedule-booked",
        Text("예매된 좌석이 있는 일정", "Schedule has booked seats"),
        detail=lambda it: Text(
            f"예약되거나 판매된 좌석이 {it.seats:,}석 있습니다.",
            f"Reserved or sold: {counted(it.seats, 'seat')}.",
        ),
    ),
    Problem(
        SchedulePaid,
        HTTPStatus.CONFLICT,
        C005,
        "schedule-paid",
        Text("결제 기록이 있는 일정", "Schedule has payments"),
        detail=lambda it: Text(
            f"결제 기록 {it.payments:,}건은 보관해야 합니다.",
            f"{counted(it.payments, 'payment')} must be kept on record.",
        ),
    ),
    Problem(
        CancellationPromised,
        HTTPStatus.CONFLICT,
        C005,
        "cancellation-promised",
        Text("취소 마감은 앞당길 수 없음", "Cancellation deadline cannot be shortened"),
        detail=lambda it: Text(
            f"이미 {it.seats:,}석의 구매자에게 안내된 취소 마감입니다.",
            f"Buyers of {counted(it.seats, 'seat')} rely on the current deadline.",
        ),
    ),
    Problem(
        VisitorHasMore,
        HTTPStatus.CONFLICT,
        C005,
        "visitor-has-more",
        Text("한도를 넘긴 구매자가 있음", "A buyer has more seats"),
        detail=lambda it: Text(
            f"이미 {it.seats:,}석을 보유한 구매자가 있습니다.",
            f"One buyer already has {counted(it.seats, 'seat')}.",
        ),
    ),
    Problem(
        SeatPlanInvalid,
        HTTPStatus.BAD_REQUEST,
        C001,
        "seat-map-invalid",
        Text("잘못된 좌석 배치도", "Invalid seat plan"),
        detail=lambda it: Text("\n".join(it.errors), "\n".join(it.errors)),
    ),
    Problem(
        SeatPlanDiffers,
        HTTPStatus.CONFLICT,
        C005,
        "seat-plan-differs",
        Text("좌석이 이미 있는 일정", "Schedule already has seats"),
        detail=lambda it: Text(
            f"추가 {it.added:,}, 변경 {it.changed:,}, 파일에 없음 {it.missing:,}. "
            "적용하려면 update=true를 지정해 주세요.",
            f"The plan would add {it.added:,} and change {it.changed:,}; {it.missing:,} are not "
            "in it. Apply it with update=true.",
        ),
        data=lambda it: {"added": it.added, "changed": it.changed, "missing": it.missing},
    ),
    Problem(
        SeatPlanStale,
        HTTPStatus.CONFLICT,
        C005,
        "seat-plan-stale",
        Text("다른 작업에서 좌석을 변경함", "Seats changed in the meantime"),
    ),
    Problem(
        SeatsBooked,
        HTTPStatus.CONFLICT,
        C005,
        "seats-booked",
        Text("예매된 좌석", "Seats are booked"),
        detail=lambda it: Text(
            f"예약되거나 판매된 좌석: {', '.join(it.labels)}.",
            f"Reserved or sold: {', '.join(it.labels)}.",
        ),
        data=lambda it: {"seats": list(it.labels)},
    ),
    Problem(
        SeatsHeldBack,
        HTTPStatus.CONFLICT,
        C005,
        "seats-held-back",
        Text("판매 보류 좌석", "Seats are held back"),
        detail=lambda it: Text(
            f"판매 보류 좌석: {', '.join(it.labels)}. 먼저 보류를 해제해 주세요.",
            f"Held back from sale: {', '.join(it.labels)}. Release them first.",
        ),
        data=lambda it: {"seats": list(it.labels)},
    ),
]
