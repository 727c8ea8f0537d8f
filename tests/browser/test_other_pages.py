"""The description of the API, and what all pages have in common."""

from playwright.sync_api import expect

from tests.browser.conftest import SCREENSHOTS, Opened, Stack


def test_the_description_shows_every_call_without_a_foreign_request(
    stack: Stack, opened: Opened
) -> None:
    with opened(stack.url) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{stack.url}/docs")
        call = page.locator("#operations-queue-post_api_v1_queue_enter")
        expect(call).to_be_visible()
        call.get_by_role("button").first.click()
        expect(call.get_by_text("Request body")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "docs.png")
        foreign = [url for url in asked if not url.startswith((stack.url, "data:"))]
        assert foreign == []


def test_pages_are_safe_and_cached(stack: Stack, opened: Opened) -> None:
    with opened(stack.url) as page:
        caching = {
            "/rules": "private, no-cache",
            "/rooms/any": "public, max-age=0, s-maxage=5, must-revalidate",
            "/docs": "public, max-age=300",
        }
        for path, kept in caching.items():
            answer = page.request.get(stack.url + path)
            assert answer.ok
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert ("unsafe-inline" in policy) == (path == "/docs")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == kept
            known = {"If-None-Match": answer.headers["etag"]}
            assert page.request.get(stack.url + path, headers=known).status == 304
        for path in ("/pages/pages.py", "/pages/..%2Fapp.py", "/pages/", "/pages/waiting.js"):
            assert page.request.get(stack.url + path).status == 404
