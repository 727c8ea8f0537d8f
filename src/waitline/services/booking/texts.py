"""Messages of the booking service's successes, in Korean and English."""

from waitline.http.texts import Text

INSTALLATION = Text("설치 정보입니다.", "This is the installation.")
CONCERTS = Text("콘서트 목록입니다.", "These are the concerts.")
CONCERT = Text("콘서트 정보입니다.", "This is the concert.")
CONCERT_CREATED = Text("콘서트를 만들었습니다.", "The concert was created.")
CONCERT_CHANGED = Text("콘서트를 변경했습니다.", "The concert was changed.")
CONCERT_DELETED = Text("콘서트를 삭제했습니다.", "The concert was deleted.")
SCHEDULES = Text("콘서트 일정 목록입니다.", "These are the concert's schedules.")
SCHEDULE_CREATED = Text("콘서트 일정을 만들었습니다.", "The schedule was created.")
SCHEDULE = Text("콘서트 일정입니다.", "This is the schedule.")
SCHEDULE_CHANGED = Text("콘서트 일정을 변경했습니다.", "The schedule was changed.")
SCHEDULE_DELETED = Text("콘서트 일정을 삭제했습니다.", "The schedule was deleted.")
SCHEDULE_CANCELLED = Text(
    "공연을 취소했습니다. 결제 금액은 모두 환불됩니다.",
    "The performance is cancelled. Everything that was paid is refunded.",
)
SCHEDULE_POSTPONED = Text("공연을 연기했습니다.", "The performance is postponed.")
SCHEDULE_RESUMED = Text("판매를 재개했습니다.", "The performance is on sale again.")
PROGRESS = Text("환불 진행 상황입니다.", "This is the progress of the refunds.")
HOUSE_SEATS = Text("판매 보류 좌석과 초대권입니다.", "These are held back or given away.")
SEATS_HELD = Text("좌석 판매를 보류했습니다.", "The seats are held back.")
SEATS_RELEASED = Text("좌석 판매를 재개했습니다.", "The seats are on sale.")
TICKETS_GIVEN = Text("초대권을 발급했습니다.", "The tickets were given.")
SEATS_COMPARED = Text(
    "변경될 내용입니다. 저장하지 않았습니다.", "This would change; nothing was saved."
)
SEATS_CHANGED = Text("좌석을 변경했습니다.", "The seats were changed.")
SEATS_REMOVED = Text("좌석을 삭제했습니다.", "The seats were removed.")
CHANGES = Text("변경 기록입니다.", "These are the changes.")
SEATS_IMPORTED = Text("좌석을 등록했습니다.", "The seats are on sale.")
RESERVED = Text("좌석을 예약했습니다. 시간 안에 결제해 주세요.", "The seats are held. Pay in time.")
RESERVATIONS = Text("예약 목록입니다.", "These are your reservations.")
RESERVATION = Text("예약 정보입니다.", "This is the reservation.")
TICKETS = Text("입장권입니다.", "These are the tickets.")
EVIDENCE = Text("예매 기록입니다.", "This is what is recorded of the booking.")
CANCELLED = Text("예약을 취소했습니다.", "The reservation was cancelled.")
PAID = Text("결제가 완료되었습니다.", "The payment is complete.")
PAYMENT = Text("결제 정보입니다.", "This is the payment.")
FLAGGED = Text("확인이 필요한 결제입니다.", "These payments need attention.")
NOTED = Text("처리했습니다.", "Done.")
LOADED = Text("테스트 데이터를 만들었습니다.", "The test data was created.")
