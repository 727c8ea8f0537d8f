"""Codes of the services' problems, with their short texts. Source: the wire contract."""

from waitline.http.problems import Code
from waitline.http.texts import Text

B001 = Code("B001", Text("좌석을 찾을 수 없습니다.", "There is no such seat."))
B003 = Code("B003", Text("이미 선택된 좌석입니다.", "The seat is taken."))
B004 = Code("B004", Text("예약을 찾을 수 없습니다.", "There is no such reservation."))
B005 = Code("B005", Text("예약이 만료되었습니다.", "The reservation is over."))
B006 = Code("B006", Text("동시 예약 충돌이 발생했습니다.", "Others reserved at the same moment."))
B007 = Code("B007", Text("콘서트를 찾을 수 없습니다.", "There is no such concert."))
B008 = Code("B008", Text("콘서트 일정을 찾을 수 없습니다.", "There is no such schedule."))
P001 = Code("P001", Text("결제에 실패했습니다.", "The payment failed."))
P003 = Code("P003", Text("결제 정보를 찾을 수 없습니다.", "There is no such payment."))
P004 = Code("P004", Text("이미 진행 중인 결제가 있습니다.", "A payment is under way already."))
Q001 = Code("Q001", Text("대기열 토큰을 찾을 수 없습니다.", "This visitor is not in the line."))
Q002 = Code("Q002", Text("대기열 토큰이 만료되었습니다.", "The time of this token is over."))
Q003 = Code("Q003", Text("유효하지 않은 대기열 토큰입니다.", "This token is not valid."))
Q004 = Code("Q004", Text("대기열이 가득 찼습니다.", "The line is full."))
Q005 = Code("Q005", Text("더 이상 연장할 수 없습니다.", "No further extension is possible."))
