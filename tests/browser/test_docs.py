"""The API's documentation page of both services: no barriers, no foreign request."""

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.booking_web.office import Office
from tests.browser.conftest import SCREENSHOTS, Opened


def scanned(page: Page, part: str | None = None) -> None:
    results = Axe().run(page, part)
    assert results.violations_count == 0, results.generate_report()


# One page, which describes either service: its longer description is enough in the short run.
@pytest.mark.parametrize("service", ["booking", pytest.param("queue", marks=pytest.mark.long)])
def test_no_barriers(trial_office: Office, opened: Opened, service: str) -> None:
    program = trial_office.program
    url = program.url if service == "queue" else program.booking_url
    call = "post_api_v1_queue_enter" if service == "queue" else "get_api_v1_concerts"
    asked: list[str] = []
    with opened("about:blank", viewport={"width": 1280, "height": 900}) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/docs")
        operation = page.locator(f"#operations-{service}-{call}")
        expect(operation).to_be_visible()
        scanned(page)
        # Some of every kind: a scan of all of them takes a minute.
        calls = "[...document.querySelectorAll('.opblock-summary-control')]"
        page.evaluate(f"for (const call of {calls}.slice(0, 8)) call.click()")
        expect(page.locator(".opblock.is-open")).to_have_count(8)
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / f"docs-{service}.png")
        # What was there before is not scanned again.
        scanned(page, ".opblock.is-open")
        page.locator(".btn.authorize").first.click()
        expect(page.locator(".modal-ux")).to_be_visible()
        scanned(page, ".dialog-ux")
        page.set_viewport_size({"width": 360, "height": 780})
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]
        foreign = [one for one in asked if not one.startswith((url, "data:"))]
        assert foreign == []
