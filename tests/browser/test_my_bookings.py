"""My bookings on the buyers' page: after a reload, on another device, in another stay."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.booking_web.office import Office
from tests.browser.conftest import Opened
from tests.browser.test_shop import (
    DESKTOP,
    PHONE,
    SOON_S,
    accept_dialogs,
    arrived,
    captured,
    panel,
    standing,
    user_of,
)
from tests.until import until
from waitline.trial.installation import Installation


@pytest.fixture(scope="module")
def trial(trial_office: Office) -> Installation:
    return trial_office.program


def bought(page: Page, program: Installation, grade: str) -> str:
    """Buy a seat from the line on; return the booking's number."""
    arrived(page, program)
    page.get_by_label("Category").select_option(grade)
    page.locator("#best").get_by_role("button").click()
    panel(page, "held")
    page.get_by_role("button", name="Pay").click()
    panel(page, "paid")
    number = page.locator("#number").inner_text()
    user = user_of(page)
    until(lambda: standing(program, user) == "NOT_FOUND", SOON_S, "the slot is free again")
    return number


def test_after_a_reload_in_both_languages_until_it_is_cancelled(
    trial: Installation, opened: Opened
) -> None:
    with opened("about:blank", viewport=PHONE) as page:
        number = bought(page, trial, "R")
        page.reload()
        panel(page, "mine")
        expect(page.get_by_role("heading", name="My bookings")).to_be_focused()
        expect(page.locator(".booking")).to_have_count(1)
        for fact in (number, "R row 1 seat 1", "₩40,000", "Waitline Live", "Booked"):
            expect(page.locator(".booking")).to_contain_text(fact)
        # The code that is on the door list.
        expect(page.locator(".booking .tickets b")).to_have_text(re.compile(r"^[B-Z]{4}-[B-Z]{4}$"))
        captured(page, "mine")
        page.goto(f"{page.url}?lang=ko")
        expect(page.get_by_role("heading", name="내 예매")).to_be_visible()
        captured(page, "mine-korean")
        page.goto(f"{trial.booking_url}/shop/concerts/1?lang=en")
        accept_dialogs(page)
        page.get_by_role("button", name="Cancel booking").click()
        expect(page.locator("#notice")).to_contain_text("Your booking is cancelled.")
        expect(page.locator(".booking")).to_contain_text("Cancelled · refund")
        captured(page, "cancelled")
        page.reload()
        expect(page.locator(".booking")).to_contain_text("Cancelled · refund")


def shop_cookies(page: Page) -> list[Any]:
    return [one for one in page.context.cookies() if "waitline-shop" in str(one["name"])]


def test_another_device_with_the_same_place_has_the_same_bookings(
    trial: Installation, opened: Opened
) -> None:
    with (
        opened("about:blank", viewport=PHONE) as first,
        opened("about:blank", viewport=DESKTOP) as other,
        opened("about:blank", viewport=PHONE) as stranger,
    ):
        arrived(first, trial)
        first.locator("#best").get_by_role("button").click()
        panel(first, "held")
        other.context.add_cookies(shop_cookies(first))
        # What is held there can be paid for here.
        other.goto(first.url)
        panel(other, "held")
        expect(other.locator("#held-facts")).to_contain_text("VIP row 1 seat")
        first.get_by_role("button", name="Pay").click()
        panel(first, "paid")
        number = first.locator("#number").inner_text()
        assert first.evaluate("localStorage.length") == 0
        other.reload()
        panel(other, "mine")
        expect(other.locator(".booking")).to_contain_text(number)
        first.get_by_role("button", name="My bookings").click()
        expect(first.locator(".booking")).to_contain_text(number)
        # Somebody else in the same room chooses seats, and sees none of it.
        arrived(stranger, trial)
        expect(stranger.locator("#mine")).to_be_hidden()
        expect(stranger.locator("body")).not_to_contain_text(number)


def test_who_comes_again_finds_earlier_bookings_below_the_seats(
    trial: Installation, opened: Opened
) -> None:
    with opened("about:blank", viewport=PHONE) as page:
        number = bought(page, trial, "S")
        user = user_of(page)
        arrived(page, trial)
        assert user_of(page) == user
        expect(page.locator(".booking")).to_contain_text(number)
        expect(page.locator("#mine")).to_be_visible()
        captured(page, "choose-again")
