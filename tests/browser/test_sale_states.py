"""Dates that are not on sale: greyed out, and explained to eyes, keyboard and screen reader."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.booking_web.office import Office
from tests.browser.conftest import SHOW_MS, Opened
from tests.browser.test_shop import PHONE, captured, panel
from tests.http_client import operate
from waitline.trial.installation import Installation

PLAN = b"section,row,seat,grade,price\nHall,A,1,R,1000\nHall,A,2,R,1000\n"
FAR = "2031-01-01T19:00:00+09:00"
WORDS = {
    "en-GB": [
        "Sales have ended",
        "On sale from .*2030.* 12:00.*UTC",
        "Cancelled. All payments are refunded.",
        "Postponed. Tickets already bought stay valid.",
    ],
    "ko-KR": [
        "판매 종료",
        "2030년.* 12:00.*UTC.* 판매 시작",
        "취소된 공연입니다. 결제하신 금액은 모두 환불됩니다.",
        "연기된 공연입니다. 이미 구매한 입장권은 유효합니다.",
    ],
}


class Hall:
    """A concert with a room of its own, and what its operator does."""

    def __init__(self, program: Installation, room: str) -> None:
        self.program = program
        self.room = room
        self.concert = self.operate("concerts", {"title": "밤의 노래", "queue": room})["concertId"]
        shop = f"{program.booking_url}/shop/concerts/{self.concert}"
        rooms = f"{program.url}/api/v1/rooms"
        operate("POST", rooms, program.operator_key, {"room": room, "shopUrl": shop})

    def operate(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.program.booking_url}/api/v1/operator/{path}"
        return operate("POST", url, self.program.operator_key, body)

    def schedule(self, starts: str, **times: str) -> int:
        body = {"startsAt": starts, **times}
        made: int = self.operate(f"concerts/{self.concert}/schedules", body)["scheduleId"]
        self.operate(f"schedules/{made}/seats", PLAN)
        return made

    def stop(self, schedule: int, verb: str) -> None:
        body = {"refundUntil": FAR} if verb == "postpone" else {}
        self.operate(f"schedules/{schedule}/{verb}", body)

    def enter(self, page: Page) -> None:
        page.goto(f"{self.program.url}/rooms/{self.room}")
        panel(page, "choose")


@pytest.fixture
def trial(trial_office: Office) -> Installation:
    return trial_office.program


@pytest.mark.parametrize("language", WORDS)
def test_each_date_says_why_it_is_not_on_sale(
    trial: Installation, opened: Opened, language: str
) -> None:
    hall = Hall(trial, f"states-{language}")
    hall.schedule("2020-01-01T19:00:00+09:00")
    hall.schedule("2030-06-01T19:00:00+09:00", opensAt="2030-01-01T12:00:00+09:00")
    hall.stop(hall.schedule("2030-06-02T19:00:00+09:00"), "cancel")
    hall.stop(hall.schedule("2030-06-03T19:00:00+09:00"), "postpone")
    hall.schedule("2030-06-04T19:00:00+09:00")
    with opened("about:blank", viewport=PHONE, locale=language) as page:
        hall.enter(page)
        dates = page.locator("#schedules").get_by_role("radio")
        expect(dates).to_have_count(5)
        expect(dates.nth(4)).to_be_checked()
        for nth, words in enumerate(WORDS[language]):
            expect(dates.nth(nth)).to_have_accessible_name(re.compile(words))
            expect(dates.nth(nth)).to_have_attribute("aria-disabled", "true")
        # The keyboard reaches each of them, and chooses none.
        dates.nth(4).focus()
        for nth in (3, 2, 1, 0):
            page.keyboard.press("ArrowUp")
            expect(dates.nth(nth)).to_be_focused()
            page.keyboard.press("Space")
            expect(dates.nth(nth)).not_to_be_checked()
        expect(dates.nth(4)).to_be_checked()
        page.locator(".option.shut").nth(2).click(force=True)
        expect(dates.nth(4)).to_be_checked()
        captured(page, f"dates-{language}")


def test_without_a_date_on_sale_no_seats_are_offered(trial: Installation, opened: Opened) -> None:
    hall = Hall(trial, "none")
    hall.stop(hall.schedule("2030-06-02T19:00:00+09:00"), "cancel")
    with opened("about:blank", viewport=PHONE) as page:
        hall.enter(page)
        expect(page.locator("#none-on-sale")).to_have_text("No date is on sale at the moment.")
        expect(page.locator("#schedules")).to_contain_text("Cancelled.")
        expect(page.locator("#seats-part")).to_be_hidden()
        captured(page, "none-on-sale")


def test_a_sale_that_opens_while_the_page_is_open(trial: Installation, opened: Opened) -> None:
    hall = Hall(trial, "opens")
    opens = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - of the machine's clock
    hall.schedule("2030-06-02T19:00:00+09:00", opensAt=opens.isoformat(timespec="seconds"))
    with opened("about:blank", viewport=PHONE) as page:
        hall.enter(page)
        expect(page.locator("#seats-part")).to_be_hidden()
        # The stay would be over by then: only the dates see the later clock.
        page.evaluate(
            "const parse = Date.parse; Date.parse = (text) =>"
            " parse(text) - (/T.*\\+00:00$/.test(text) ? 3_600_000 : 0)"
        )
        expect(page.locator("#seats-part")).to_be_visible()
        expect(page.locator("#schedules-card")).to_be_hidden()
        expect(page.locator("#sections")).to_contain_text("Hall")


def test_a_date_that_is_stopped_while_seats_are_chosen(trial: Installation, opened: Opened) -> None:
    hall = Hall(trial, "stopped")
    shown = hall.schedule("2030-06-02T19:00:00+09:00")
    with opened("about:blank", viewport=PHONE) as page:
        hall.enter(page)
        page.get_by_label("Hall, row A, seat 1, R").check()
        hall.stop(shown, "postpone")
        page.locator("#reserve").click()
        expect(page.locator("#notice")).to_contain_text("This performance is postponed.")
        expect(page.locator("#schedules")).to_contain_text("Postponed.", timeout=SHOW_MS)
        expect(page.locator("#bar")).to_be_hidden()
        expect(page.locator("#seats-part")).to_be_hidden()
