"""The waiting page in a browser without scripts: joins by a form, goes on by refresh."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, a_shop, titled

PLAIN = {"java_script_enabled": False}


def joined(page: Page) -> None:
    page.wait_for_url("**plain")
    page.get_by_role("button", name="Join the line").click()


def test_a_visit_from_the_line_to_the_end(stack: Stack, opened: Opened) -> None:
    room = stack.room(title="가을 콘서트", titleEn="Autumn Concert", message="안녕", **STANDSTILL)
    stack.enter(room, "first")
    with opened(stack.page(room), **PLAIN) as page:
        # Loading the page takes no place.
        page.wait_for_url("**plain")
        stack.enter(room, "second")
        joined(page)
        expect(page.get_by_role("heading", name="Your position in line")).to_be_visible()
        expect(page.locator(".number")).to_have_text("3")
        expect(page).to_have_title(titled("#3", "Autumn Concert"))
        expect(page.get_by_text("안녕")).to_have_attribute("lang", "ko")
        expect(page.get_by_text("disconnected for 10 minutes")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "plain.png")
        response = page.reload()
        assert response is not None
        assert int(response.headers["refresh"]) >= 15
        assert response.headers["cache-control"] == "no-store"
        stack.leave(room, "first")
        stack.leave(room, "second")
        stack.change(room, mode="open")
        # By itself, after two refreshes: nothing is pressed here.
        left = page.get_by_text(re.compile(r"Time left: (10|9) minutes"))
        expect(left).to_be_visible(timeout=60_000)
        page.get_by_role("button", name="Extend my time").click()
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("button", name="Join the line")).to_be_visible()


def test_the_admitted_go_to_the_shop(strict_stack: Stack, opened: Opened) -> None:
    with a_shop() as (shop, _):
        room = strict_stack.room(shopUrl=f"{shop}/concerts?lang=ko#seats")
        with opened(f"{strict_stack.page(room)}?visitor=mina", **PLAIN) as page:
            page.wait_for_url("**plain*")
            assert "visitor=mina" in page.url
            page.get_by_role("button", name="Join the line").click()
            expect(page).to_have_title("The shop", timeout=60_000)
            query = parse_qs(urlsplit(page.url).query)
        strict_stack.validate(room, "mina", query["waitline"][0])


def test_without_cookies_no_place_is_taken(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened(stack.page(room), **PLAIN) as page:
        page.wait_for_url("**plain")
        page.context.clear_cookies()
        page.get_by_role("button", name="Join the line").click()
        expect(page.get_by_role("heading", name="Cookies are turned off")).to_be_visible()
        with opened(stack.page(room)) as other:
            expect(other.locator("#position")).to_have_text("1")


@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_it_passes_the_scan_in_every_state(stack: Stack, opened: Opened, locale: str) -> None:
    room = stack.room(opensAt="2100-01-01T20:00+09:00")
    with opened(f"{stack.page(room)}?plain", locale=locale) as page:
        for _ in range(2):
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
            page.locator("button").first.click()
        page.goto(f"{stack.page(room)}?plain")
        stack.change(room, opensAt="", mode="closed")
        page.reload()
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()


def test_a_closed_room_says_so(stack: Stack, opened: Opened) -> None:
    room = stack.room(mode="closed")
    with opened(stack.page(room), **PLAIN) as page:
        joined(page)
        expect(page.get_by_text("The line is closed to new visitors.")).to_be_visible()


def test_a_room_with_a_slash_in_its_name(stack: Stack, opened: Opened) -> None:
    with opened(f"{stack.url}/rooms/a/b", **PLAIN) as page:
        joined(page)
        expect(page.locator(".room")).to_have_text("a/b")
        colour = page.locator(".card").evaluate("it => getComputedStyle(it).borderRadius")
        assert colour != "0px"
