"""The waiting page in a browser that keeps no cookies: it gives the place as a link."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, position

# What browsers do whose visitors block cookies.
BLOCKED = """
Object.defineProperty(Document.prototype, "cookie", { get: () => "", set() {} });
Object.defineProperty(Navigator.prototype, "cookieEnabled", { get: () => false });
Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("denied", "SecurityError"); },
});
"""


@pytest.mark.parametrize("mode", ["trial", "production"])
def test_the_link_keeps_the_place(
    stack: Stack, strict_stack: Stack, opened: Opened, mode: str
) -> None:
    service = stack if mode == "trial" else strict_stack
    room = service.room(**STANDSTILL)
    service.enter(room, "first")
    asked: list[str] = []
    with opened("about:blank") as page:
        page.add_init_script(BLOCKED)
        page.on("request", lambda sent: asked.append(sent.url))
        page.goto(service.page(room))
        expect(page.get_by_role("heading", name="Cookies are turned off")).to_be_focused()
        # Said before a place is taken.
        assert not [url for url in asked if url.endswith("/enter")]
        page.get_by_role("button", name="Join with a link").click()
        position(page, 2)
        link = page.get_by_role("link", name="Link to your place").get_attribute("href")
        assert link is not None
        assert "ticket=" in urlsplit(link).fragment
        assert page.url == link
        page.context.clear_cookies()
        service.enter(room, "third")
        page.reload()
        position(page, 2)
    # No server ever sees it.
    assert not [url for url in asked if "ticket=" in urlsplit(url).query]
    with opened(link) as elsewhere:
        position(elsewhere, 2)
        # That browser keeps the place itself.
        assert elsewhere.url == service.page(room)
        elsewhere.reload()
        position(elsewhere, 2)
