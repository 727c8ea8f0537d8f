"""Every sentence that is sent over the wire, in Korean and English. Codes never change."""

from functools import lru_cache
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]


class Text(NamedTuple):
    """One sentence in every language."""

    ko: str
    en: str

    def to(self, language: Language) -> str:
        """Return it in that language."""
        return self.ko if language == "ko" else self.en


ENTERED = Text("대기열에 진입했습니다.", "You have joined the line.")
STATUS = Text("대기열 상태입니다.", "This is where you stand in the line.")
ACTIVATED = Text("입장이 활성화되었습니다.", "Your visit has begun.")
EXTENDED = Text("이용 시간이 연장되었습니다.", "Your time was extended.")
VALID = Text("유효한 토큰입니다.", "The token is valid.")
REMOVED = Text("대기열에서 나갔습니다.", "You have left the line.")
HEALTH = Text("서비스 상태입니다.", "This is how the service is.")
ROOMS = Text("대기실 목록입니다.", "These are the rooms.")
ROOM = Text("대기실 정보입니다.", "This is the room.")
ROOM_CREATED = Text("대기실을 만들었습니다.", "The room was created.")
ROOM_CHANGED = Text("대기실을 변경했습니다.", "The room was changed.")
ROOM_RESET = Text("대기실을 비웠습니다.", "The room was emptied.")
INSTALLATION = Text("설치 정보입니다.", "This is the installation.")
CONCERTS = Text("콘서트 목록입니다.", "These are the concerts.")
CONCERT = Text("콘서트 정보입니다.", "This is the concert.")
CONCERT_CREATED = Text("콘서트를 만들었습니다.", "The concert was created.")
CONCERT_CHANGED = Text("콘서트를 변경했습니다.", "The concert was changed.")
SCHEDULES = Text("콘서트 일정 목록입니다.", "These are the concert's schedules.")
SCHEDULE_CREATED = Text("콘서트 일정을 만들었습니다.", "The schedule was created.")
SEATS_IMPORTED = Text("좌석을 등록했습니다.", "The seats are on sale.")
RESERVED = Text("좌석을 예약했습니다. 시간 안에 결제해 주세요.", "The seats are held. Pay in time.")
RESERVATION = Text("예약 정보입니다.", "This is the reservation.")
CANCELLED = Text("예약을 취소했습니다.", "The reservation was cancelled.")
PAID = Text("결제가 완료되었습니다.", "The payment is complete.")
PAYMENT = Text("결제 정보입니다.", "This is the payment.")
NOTED = Text("처리했습니다.", "Noted.")
LOADED = Text("테스트 데이터를 만들었습니다.", "The test data was made.")


@lru_cache(maxsize=256)
def language(accept: bytes | None) -> Language:
    """Choose the language of an answer from the request's Accept-Language header.

    Korean unless English is preferred. Source: RFC 9110, section 12.5.4.
    """
    if not accept:
        return "ko"
    best: tuple[float, Language] = (0.0, "ko")
    for part in accept.decode("latin-1").lower().split(","):
        tag, _, weight = part.strip().partition(";")
        primary = tag.strip().partition("-")[0]
        quality = _quality(weight)
        if primary == "ko" and quality > best[0]:
            best = (quality, "ko")
        elif primary == "en" and quality > best[0]:
            best = (quality, "en")
    return best[1]


def _quality(weight: str) -> float:
    name, _, value = weight.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
