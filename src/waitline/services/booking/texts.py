"""Messages of the booking service's successes, in Korean and English."""

from waitline.http.texts import Text

INSTALLATION = Text("설치 정보입니다.", "Installation details.")
CONCERTS = Text("콘서트 목록입니다.", "List of concerts.")
CONCERT = Text("콘서트 정보입니다.", "Concert details.")
CONCERT_CREATED = Text("콘서트를 생성했습니다.", "Concert created.")
CONCERT_CHANGED = Text("콘서트를 변경했습니다.", "Concert changed.")
CONCERT_DELETED = Text("콘서트를 삭제했습니다.", "Concert deleted.")
SCHEDULES = Text("콘서트 일정 목록입니다.", "List of schedules.")
SCHEDULE_CREATED = Text("콘서트 일정을 생성했습니다.", "Schedule created.")
SCHEDULE = Text("콘서트 일정입니다.", "Schedule details.")
SCHEDULE_CHANGED = Text("콘서트 일정을 변경했습니다.", "Schedule changed.")
SCHEDULE_DELETED = Text("콘서트 일정을 삭제했습니다.", "Schedule deleted.")
SCHEDULE_CANCELLED = Text(
    "공연을 취소했습니다. 결제 금액은 모두 환불됩니다.",
    "The performance is cancelled. All payments are refunded.",
)
SCHEDULE_POSTPONED = Text("공연을 연기했습니다.", "The performance is postponed.")
SCHEDULE_RESUMED = Text("판매를 재개했습니다.", "The performance is on sale again.")
PROGRESS = Text("환불 진행 상황입니다.", "Refund progress.")
HOUSE_SEATS = Text("판매 보류 좌석과 초대권입니다.", "Held seats and complimentary tickets.")
SEATS_HELD = Text("좌석 판매를 보류했습니다.", "The seats are held back.")
SEATS_RELEASED = Text("좌석 판매를 재개했습니다.", "The seats are on sale.")
TICKETS_GIVEN = Text("초대권을 발급했습니다.", "Complimentary tickets issued.")
SEATS_COMPARED = Text("변경될 내용입니다. 저장하지 않았습니다.", "Dry run: nothing was saved.")
SEATS_CHANGED = Text("좌석을 변경했습니다.", "Seats changed.")
SEATS_REMOVED = Text("좌석을 삭제했습니다.", "Seats deleted.")
CHANGES = Text("변경 기록입니다.", "Change log.")
SEATS_IMPORTED = Text("좌석을 등록했습니다.", "The seats are on sale.")
RESERVED = Text(
    "좌석을 예약했습니다. 제한 시간 안에 결제해 주세요.",
    "The seats are reserved. Pay before the reservation expires.",
)
RESERVATIONS = Text("예약 목록입니다.", "List of your reservations.")
RESERVATION = Text("예약 정보입니다.", "Reservation details.")
TICKETS = Text("입장권입니다.", "Tickets.")
EVIDENCE = Text("예매 기록입니다.", "Record of the booking.")
CANCELLED = Text("예약을 취소했습니다.", "Reservation cancelled.")
PAID = Text("결제가 완료되었습니다.", "The payment is complete.")
PAYMENT = Text("결제 정보입니다.", "Payment details.")
FLAGGED = Text("확인이 필요한 결제입니다.", "Payments that need attention.")
NOTED = Text("처리했습니다.", "Done.")
LOADED = Text("테스트 데이터를 생성했습니다.", "Test data created.")
