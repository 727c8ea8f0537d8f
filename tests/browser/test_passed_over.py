"""A visitor whose turn came while the device was out of contact, and who comes back."""

from time import monotonic

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SHOW_MS, Opened, Stack
from tests.browser.test_plain_page import PLAIN, joined
from tests.browser.test_waiting_page import STANDSTILL, captured, hurried, position, titled
from tests.until import until

# Out of contact after a twentieth of a second.
PASSING = {"idleSeconds": 0.05, "admitPerSecond": 1_000}
SILENT_S = 1.0

TEXTS = {
    "en-GB": "Your turn came while this device was disconnected. You have your place back.",
    "ko-KR": "연결이 끊긴 사이 차례가 지나갔지만, 원래 순번을 되찾았습니다.",
}
OVER = {"en-GB": "Your place has expired", "ko-KR": "대기 순번이 만료되었습니다"}


def pass_over(stack: Stack, room: str, page: Page) -> None:
    """Let the room give the page's visitor the turn while the page has no contact."""
    page.context.set_offline(True)
    silent_s = monotonic() + SILENT_S
    until(lambda: monotonic() > silent_s, SHOW_MS / 1_000, "the visitor is out of contact")
    stack.change(room, mode="open")
    passed = lambda: stack.show(room)["totals"]["passed"] == 1  # noqa: E731
    until(passed, SHOW_MS / 1_000, "the visitor is passed over")
    stack.change(room, mode="paused")
    page.context.set_offline(False)


@pytest.mark.parametrize("locale", TEXTS)
def test_the_place_is_there_again(stack: Stack, opened: Opened, locale: str) -> None:
    room = stack.room(returnSeconds=600, **STANDSTILL, **PASSING)
    with opened(stack.page(room), locale=locale) as page:
        position(page, 1)
        expect(page.locator("#news")).to_be_hidden()
        pass_over(stack, room, page)
        stack.enter(room, "later", "latest")
        hurried(page)
        expect(page.locator("#news")).to_have_text(TEXTS[locale])
        expect(page).to_have_title(titled("#1", room))
        expect(page.locator("#position")).to_have_text("1")
        captured(page, f"returned-{locale}")
        # Said once, also to those who reload the page; and the turn comes.
        page.reload()
        expect(page.locator("#news")).to_have_text(TEXTS[locale])
        stack.change(room, mode="open", idleSeconds=600)
        expect(page.locator("#turn-title")).to_be_visible()


@pytest.mark.parametrize("locale", TEXTS)
def test_too_late(stack: Stack, opened: Opened, locale: str) -> None:
    room = stack.room(returnSeconds=0, **STANDSTILL, **PASSING)
    with opened(stack.page(room), locale=locale) as page:
        position(page, 1)
        pass_over(stack, room, page)
        hurried(page)
        expect(page.locator("#over-title")).to_have_text(OVER[locale])
        expect(page.locator("#news")).to_be_hidden()
        captured(page, f"passed-over-{locale}")
        page.locator("#again").click()
        position(page, 1)


def test_without_scripts(stack: Stack, opened: Opened) -> None:
    room = stack.room(returnSeconds=600, **STANDSTILL, **PASSING)
    with opened(stack.page(room), **PLAIN) as page:
        joined(page)
        expect(page.locator(".number")).to_have_text("1")
        pass_over(stack, room, page)
        page.goto(f"{stack.page(room)}?plain")
        expect(page.locator(".news")).to_have_text(TEXTS["en-GB"])
        expect(page.locator(".number")).to_have_text("1")
