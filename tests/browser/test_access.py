"""The waiting page for display with large text, forced colours, a screen reader, or a bad line."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SCREENSHOTS, SHOW_MS, Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, hurried, position

# Text alone at 200 %, as browsers' and phones' settings do it.
LARGE = "document.documentElement.style.fontSize = '200%'"

# Notes every sentence in a region that screen readers announce.
SPOKEN = """
window.spoken = [];
addEventListener("DOMContentLoaded", () => {
  for (const region of document.querySelectorAll("[role=status], [aria-live]")) {
    const note = () => region.textContent.trim() && window.spoken.push(region.textContent.trim());
    const all = { childList: true, characterData: true, subtree: true };
    new MutationObserver(note).observe(region, all);
  }
});
"""


def overflowing(page: Page) -> list[str]:
    """Return the elements that are wider than their boxes, or leave the window."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((it) => {
          const box = it.getBoundingClientRect();
          if (!box.width || it.className === "spoken") return false;
          return box.right > innerWidth + 1 || box.left < -1 || it.scrollWidth > it.clientWidth + 1
            && getComputedStyle(it).display !== "inline";
        }).map((it) => it.id || it.className || it.tagName)"""
    )
    return found


@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_text_at_200_percent_on_a_narrow_phone(stack: Stack, opened: Opened, locale: str) -> None:
    room = stack.room(
        title="Autumn Philharmonic Concert", message="좌석도를 고치고 있습니다.",
        opensAt="2100-01-01T20:00+09:00", closesAt="2100-01-02T20:00+09:00",
    )  # fmt: skip
    with opened(stack.page(room), viewport={"width": 360, "height": 780}, locale=locale) as page:
        position(page, 1)
        page.evaluate(LARGE)
        assert overflowing(page) == []
        # The name is broken between its words alone: no more lines than words.
        lines = page.locator("#room").evaluate(
            """(it) => { const range = document.createRange(); range.selectNodeContents(it);
            return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size; }"""
        )
        assert lines <= 3
        page.screenshot(path=SCREENSHOTS / f"large-text-{locale}.png", full_page=True)
        stack.change(room, opensAt="")
        expect(page.get_by_role("timer")).to_be_visible()
        page.evaluate("document.activeElement.blur()")
        assert overflowing(page) == []


def test_forced_colours_keep_the_progress_bar(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened(stack.page(room), forced_colors="active") as page:
        position(page, 1)
        colours = page.evaluate(
            """() => ["bar", "progress"].map((id) =>
              getComputedStyle(document.getElementById(id)).backgroundColor)"""
        )
        assert colours[0] != colours[1]
        assert (
            page.locator("#progress").evaluate("it => getComputedStyle(it).borderTopWidth") == "1px"
        )
        page.screenshot(path=SCREENSHOTS / "forced-colours.png")


def test_no_announcement_stays_when_it_is_out_of_date(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    stack.enter(room, "first", "second")
    with opened("about:blank") as page:
        page.add_init_script(SPOKEN)
        page.goto(stack.page(room))
        position(page, 3)
        expect(page.locator("#spoken")).to_be_empty()
        stack.leave(room, "first")
        position(page, 2)
        assert "3" not in page.locator("#spoken").inner_text()
        stack.leave(room, "second")
        stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
        assert "Position" not in page.locator("#spoken").inner_text()
        assert any(text.startswith("Position 3.") for text in page.evaluate("window.spoken"))


def test_a_bad_line_is_mentioned_once(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened("about:blank") as page:
        page.add_init_script(SPOKEN)
        page.goto(stack.page(room))
        position(page, 1)
        calls = 0

        def every_second_fails(route: Route) -> None:
            nonlocal calls
            calls += 1
            if calls % 2:
                route.abort("connectionreset")
            else:
                route.continue_()

        page.route("**/api/**", every_second_fails)
        for _ in range(6):
            with page.expect_response("**/api/**", timeout=SHOW_MS):
                hurried(page)
        notice = page.locator("#notice")
        expect(notice).to_have_text(
            "There's a problem with the connection. We'll keep trying. Your place is kept."
        )
        spoken = page.evaluate("window.spoken")
        assert len([text for text in spoken if "connection" in text]) == 1
        assert not [text for text in spoken if re.search("service|server|our side", text)]
        page.unroute("**/api/**")
        expect(notice).to_be_empty()


def test_one_lost_call_is_not_worth_a_word(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened("about:blank") as page:
        page.add_init_script(SPOKEN)
        page.goto(stack.page(room))
        position(page, 1)
        page.route("**/api/**", lambda route: route.abort("connectionreset"), times=1)
        with page.expect_event("requestfailed"):
            hurried(page)
        with page.expect_response("**/api/**", timeout=SHOW_MS):
            pass
        expect(page.locator("#notice")).to_be_empty()
        assert not [text for text in page.evaluate("window.spoken") if "connection" in text]


@pytest.mark.parametrize(
    ("rules", "locale", "text", "lang"),
    [
        ({"message": "안녕하세요"}, "en-GB", "안녕하세요", "ko"),
        ({"message": "Hello"}, "ko-KR", "Hello", "en"),
        ({"message": "안녕하세요", "messageEn": "Hello"}, "en-GB", "Hello", "en"),
        ({"message": "안녕하세요", "messageEn": "Hello"}, "ko-KR", "안녕하세요", "ko"),
    ],
)
def test_the_operators_message_has_its_language(  # noqa: PLR0917 - a row of the table
    stack: Stack, opened: Opened, rules: dict[str, str], locale: str, text: str, lang: str
) -> None:
    with opened(stack.page(stack.room(**rules, **STANDSTILL)), locale=locale) as page:
        expect(page.locator("#message")).to_have_text(text)
        expect(page.locator("#message")).to_have_attribute("lang", lang)


def test_the_opening_is_counted_down_in_the_visitors_zone(stack: Stack, opened: Opened) -> None:
    room = stack.room(opensAt="2100-01-01T20:00+09:00")
    with opened(stack.page(room), timezone_id="Europe/Berlin") as page:
        expect(page.locator("#opens-at")).to_have_text(
            re.compile(r"Opens Friday,? 1 January( at|,)? 12:00|Opens Friday, January 1 at 12:00")
        )
        expect(page.locator("#opens-in")).to_have_text(re.compile(r"^\d+ days \d+:\d\d:\d\d$"))
        expect(page.locator("#mode")).to_have_text("Not open yet")
        expect(page.locator("#hint")).to_contain_text("First come, first served")
        position(page, 1)
        stack.change(room, opensAt="")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
