"""Codes of the services' problems, with their short texts. Source: the wire contract."""

from waitline.http.problems import Code
from waitline.http.texts import Text

B001 = Code("B001", Text("좌석을 찾을 수 없습니다.", "Seat not found."))
B003 = Code("B003", Text("이미 선택된 좌석입니다.", "This seat is already taken."))
B004 = Code("B004", Text("예약을 찾을 수 없습니다.", "Reservation not found."))
B005 = Code("B005", Text("예약이 만료되었습니다.", "The reservation is no longer valid."))
B006 = Code(
    "B006", Text("동시 예약 충돌이 발생했습니다.", "Conflict with a concurrent reservation.")
)
B007 = Code("B007", Text("콘서트를 찾을 수 없습니다.", "Concert not found."))
B008 = Code("B008", Text("콘서트 일정을 찾을 수 없습니다.", "Schedule not found."))
P001 = Code("P001", Text("결제에 실패했습니다.", "The payment failed."))
P003 = Code("P003", Text("결제 정보를 찾을 수 없습니다.", "Payment not found."))
P004 = Code("P004", Text("이미 진행 중인 결제가 있습니다.", "A payment is already in progress."))
Q001 = Code("Q001", Text("대기열 토큰을 찾을 수 없습니다.", "This visitor is not in the line."))
Q002 = Code("Q002", Text("대기열 토큰이 만료되었습니다.", "The token has expired."))
Q003 = Code("Q003", Text("유효하지 않은 대기열 토큰입니다.", "Invalid token."))
Q004 = Code("Q004", Text("대기열이 가득 찼습니다.", "The line is full."))
Q005 = Code("Q005", Text("더 이상 연장할 수 없습니다.", "No further extension is possible."))
