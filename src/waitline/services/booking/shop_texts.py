"""Texts of the script of the buyers' page, in Korean and English; those of its markup are there.

Braces hold what the script fills in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from waitline.http.texts import Text

SCRIPT_TEXTS: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "loading": Text("불러오는 중입니다…", "Loading…"),
        "free": Text("잔여 {free}석", "{free} available"),
        "soldOut": Text("매진", "Sold out"),
        "sale.NOT_OPEN": Text("{at} 판매 시작", "On sale from {at}"),
        "sale.ENDED": Text("판매 종료", "Sales have ended"),
        "sale.CANCELLED": Text(
            "취소된 공연입니다. 결제하신 금액은 모두 환불됩니다.",
            "Cancelled. All payments are refunded.",
        ),
        "sale.POSTPONED": Text(
            "연기된 공연입니다. 이미 구매한 입장권은 유효합니다.",
            "Postponed. Tickets already bought stay valid.",
        ),
        "row": Text("{row}열", "Row {row}"),
        "rowFree": Text("{row}열 · 잔여 {free}석", "Row {row} · {free} left"),
        "seatName": Text(
            "{section} {row}열 {seat}번, {grade}, {price}",
            "{section}, row {row}, seat {seat}, {grade}, {price}",
        ),
        "seatTaken": Text("{row}열 {seat}번, 선택할 수 없음", "Row {row}, seat {seat}, taken"),
        "seatShort": Text("{section} {row}열 {seat}번", "{section} row {row} seat {seat}"),
        "selected.0": Text("선택한 좌석이 없습니다", "No seats selected"),
        "selected.1": Text("1석 선택", "1 seat selected"),
        "selected.n": Text("{count}석 선택", "{count} seats selected"),
        "count.1": Text("1석", "1 seat"),
        "count.n": Text("{count}석", "{count} seats"),
        "most": Text(
            "한 번에 {most}석까지 선택할 수 있습니다.", "You can select up to {most} seats."
        ),
        "remove": Text("{seat} 선택 취소", "Remove {seat}"),
        "takenNow": Text(
            "선택하신 좌석이 방금 예매되었습니다. 다른 좌석을 선택해 주세요.",
            "Someone else has just taken a seat you selected. Please choose another.",
        ),
        "noneLeft": Text(
            "이 등급에는 요청하신 만큼 남은 좌석이 없습니다.",
            "There are not that many seats left in this category.",
        ),
        "tooMany": Text(
            "한 사람이 예매할 수 있는 좌석 수를 넘었습니다.",
            "That is more seats than one person may book.",
        ),
        "pay": Text("{amount} 결제하기", "Pay {amount}"),
        "payPlay": Text("{amount} 가상 결제하기", "Pay {amount} in play money"),
        "book": Text("예매하기", "Book now"),
        "paying": Text("결제 중입니다…", "Paying…"),
        "cancelling": Text("취소 중입니다…", "Cancelling…"),
        "reserving": Text("좌석을 확보하는 중입니다…", "Reserving…"),
        "declined": Text(
            "결제가 승인되지 않았습니다. 좌석은 그대로이니 다른 결제 수단을 선택해 주세요.",
            "The payment was declined. Your seats are still held: try another payment method.",
        ),
        "payRunning": Text(
            "이전 결제를 확인하고 있습니다. 잠시만 기다려 주세요.",
            "We are still checking your payment. Please wait a moment.",
        ),
        "holdOver": Text(
            "결제 시간이 지나 좌석 선점이 해제되었습니다. 다시 선택해 주세요.",
            "Your time to pay ran out, so the seats were released. Please choose again.",
        ),
        "holdMinute": Text("결제 시간이 1분 남았습니다.", "One minute left to pay."),
        "visitMinute": Text("이용 시간이 1분 남았습니다.", "One minute left in the box office."),
        "released": Text("좌석 선택을 취소했습니다.", "The seats are released."),
        "confirmCancel": Text(
            "예매를 취소할까요? 좌석은 다시 판매됩니다.",
            "Cancel this booking? The seats will go back on sale.",
        ),
        "confirmLeave": Text(
            "정말 나가시겠습니까? 다시 들어오려면 처음부터 대기해야 합니다.",
            "Leave now? To come back, you would have to wait in line again.",
        ),
        "offline": Text(
            "연결이 끊겼습니다. 연결을 확인한 뒤 다시 시도해 주세요.",
            "You are offline. Check your connection, then try again.",
        ),
        "down": Text(
            "응답을 받지 못했습니다. 잠시 후 다시 시도해 주세요.",
            "We got no response. Please try again in a moment.",
        ),
        "other": Text(
            "요청을 처리하지 못했습니다. 다시 시도해 주세요.",
            "Something went wrong. Please try again.",
        ),
        "cancelled": Text(
            "예매를 취소했습니다. 결제하신 금액은 환불됩니다.",
            "Your booking is cancelled. What you paid will be refunded.",
        ),
        "cancelBooking": Text("예매 취소", "Cancel booking"),
        "payHeld": Text("결제하기", "Pay"),
        "own.PENDING": Text("결제 대기 중", "Waiting for payment"),
        "own.CONFIRMED": Text("예매 완료", "Booked"),
        "own.CANCELLED": Text("예매 취소", "Cancelled"),
        "own.EXPIRED": Text("예매 만료", "Expired"),
        "own.refund.due": Text("취소됨 · 환불 진행 중", "Cancelled · refund on its way"),
        "own.refund.done": Text("취소됨 · 환불 완료", "Cancelled · refunded"),
        "over.over": Text("이용 시간이 끝났습니다", "Your time is up"),
        "over.left": Text("예매 페이지에서 나왔습니다", "You have left"),
        "over.overText": Text(
            "계속하시려면 대기실에서 다시 대기해 주세요.",
            "To continue, please wait in line again.",
        ),
        "over.leftText": Text(
            "이제 다음 분이 입장합니다. 언제든 다시 대기하실 수 있습니다.",
            "Your slot has gone to the next person. You can wait in line again at any time.",
        ),
        "number": Text("예매 번호", "Booking number"),
        "codes": Text("입장 코드", "Codes for the door"),
        "fact.concert": Text("공연", "Concert"),
        "fact.date": Text("일시", "Date"),
        "fact.seats": Text("좌석", "Seats"),
        "fact.total": Text("금액", "Total"),
    }
)
