"""The waiting page while all seats are taken, before a real box office."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tests.booking_web.office import Buyer, Office, Show
from tests.booking_web.test_following import sold_out
from tests.browser.conftest import Opened
from tests.browser.test_waiting_page import captured
from tests.web.stack import Room, succeeded

pytestmark = pytest.mark.long

# What a page gets to show it: a report, a decision, a document and a poll, on a busy machine.
SHOW_MS = 30_000

LANGUAGES = {
    "en-GB": (
        "Sold out",
        "All seats are taken at the moment",
        "You keep your place. If seats become available",
        "It's your turn",
    ),
    "ko-KR": (
        "매진",
        "지금은 남은 좌석이 없습니다",
        "대기 순번은 그대로 유지됩니다. 취소표가 나오면",
        "입장하실 차례입니다",
    ),
}


def prepared(office: Office) -> tuple[Show, list[tuple[Buyer, int]], Buyer]:
    show = office.show(rows=1)
    return show, *sold_out(show)


@pytest.mark.parametrize("language", LANGUAGES)
def test_says_that_all_is_sold_and_goes_on_when_seats_come_back(
    trial_office: Office, opened: Opened, language: str
) -> None:
    # The browser has this thread's event loop; what prepares the hall needs one of its own.
    with ThreadPoolExecutor(1) as pool:
        show, held, first = pool.submit(prepared, trial_office).result()
    room = Room(trial_office.queue, show.room)
    succeeded(room.remove(str(first.user)))
    said, wait, hint, turn = LANGUAGES[language]
    with opened(f"{trial_office.queue.url}/rooms/{show.room}", locale=language) as page:
        expect(page.locator("#mode")).to_have_text(said, timeout=SHOW_MS)
        expect(page.locator("#estimate")).to_have_text(wait, timeout=SHOW_MS)
        expect(page.locator("#hint")).to_contain_text(hint)
        expect(page.locator("#position")).to_have_text("1")
        captured(page, f"sold-out-{language}")

        for buyer, reservation in held:
            assert buyer.cancel(reservation).status_code == 200
            succeeded(room.remove(str(buyer.user)))
        expect(page.get_by_role("heading", name=turn)).to_be_visible(timeout=SHOW_MS)
