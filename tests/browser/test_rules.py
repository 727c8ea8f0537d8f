"""The page that explains to visitors how the line works."""

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from tests.browser.conftest import SCREENSHOTS, Opened, Stack


def test_the_rules_are_there_in_both_languages(stack: Stack, opened: Opened) -> None:
    with opened(f"{stack.url}/rules") as page:
        expect(page.get_by_role("heading", name="How the line works")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "rules.png")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        page.get_by_role("link", name="한국어").click()
        expect(page.get_by_role("heading", name="대기열 이용 안내")).to_be_visible()


def test_a_waiting_visitor_finds_them(stack: Stack, opened: Opened) -> None:
    with opened(stack.page(stack.room(mode="paused"))) as page:
        link = page.get_by_role("link", name="How the line works")
        expect(link).to_be_visible()
        assert link.get_attribute("href") == "../rules"
