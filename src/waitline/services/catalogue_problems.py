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
from waitline.http.problems import C001, C005, Problem
from waitline.http.texts import Text
from waitline.kernel.escapes import counted

CATALOGUE: list[Problem[Any]] = [
    Problem(
        CatalogueStale,
        HTTPStatus.PRECONDITION_FAILED,
        C005,
        "catalogue-stale",
        Text("다른 사람이 먼저 변경함", "Changed by somebody else"),
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
            f"좌석 {it.seats:,}개의 가격이 지금 통화로 되어 있습니다. 좌석을 먼저 삭제해 주세요.",
            f"{counted(it.seats, 'seat')} have prices in the present currency; remove them first.",
        ),
    ),
    Problem(
        ScheduleBooked,
        HTTPStatus.CONFLICT,
        C005,
        "schedule-booked",
        Text("예매된 좌석이 있는 일정", "Seats are booked"),
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
        Text("결제 기록이 있는 일정", "Payments are on record"),
        detail=lambda it: Text(
            f"결제 기록 {it.payments:,}건은 보관해야 합니다.",
            f"{counted(it.payments, 'payment')} must stay on record.",
        ),
    ),
    Problem(
        CancellationPromised,
        HTTPStatus.CONFLICT,
        C005,
        "cancellation-promised",
        Text("취소 마감은 앞당길 수 없음", "Cancellation deadline cannot be moved forward"),
        detail=lambda it: Text(
            f"좌석 {it.seats:,}석의 구매자에게 이미 안내된 취소 마감입니다.",
            f"Buyers of {counted(it.seats, 'seat')} rely on the present deadline.",
        ),
    ),
    Problem(
        VisitorHasMore,
        HTTPStatus.CONFLICT,
        C005,
        "visitor-has-more",
        Text("이미 더 많은 좌석을 가진 구매자가 있음", "A buyer has more seats"),
        detail=lambda it: Text(
            f"한 구매자가 이미 {it.seats:,}석을 가지고 있습니다.",
            f"One buyer has {counted(it.seats, 'seat')} already.",
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
        Text("좌석이 이미 있는 일정", "The schedule has seats"),
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
        Text("좌석이 동시에 변경됨", "Seats changed meanwhile"),
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
            f"판매를 보류한 좌석: {', '.join(it.labels)}. 먼저 보류를 해제해 주세요.",
            f"Held back from sale: {', '.join(it.labels)}. Release them first.",
        ),
        data=lambda it: {"seats": list(it.labels)},
    ),
]
