"""A protected site in a real browser: cookies, hosts, frames, and what takes no place."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Playwright, ViewportSize, expect

from tests.browser import protected
from tests.browser.conftest import FLAGS, SCREENSHOTS, SHOW_MS, Opened, Stack, installed
from tests.browser.protected import OTHER, SHOP, WWW, Site
from tests.until import until
from tests.web import stack as web
from waitline.trial.machine import free_port

# Seconds until a request has arrived, on a machine that runs other tests as well.
SOON_S = 20.0

TLS = {"ignore_https_errors": True}
SMALL: ViewportSize = {"width": 360, "height": 740}

# A room for each test, and the first part of the paths that it guards.
ROOMS = ["walk", "hosts", "frame", "near", "idle", "plain", "blocked"]


@pytest.fixture(scope="module", params=["connector", pytest.param("gate", marks=pytest.mark.long)])
def site(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    if request.param == "connector":
        with protected.running(stack, "connector", folder, ROOMS) as site:
            yield site
        return
    port = free_port()
    with (
        web.running(
            workers=1,
            queue_port=str(port),
            queue_public_url=f"http://127.0.0.1:{port}",
            trusted_proxies="127.0.0.0/8",
        ) as started,
        protected.running(Stack(started), "gate", folder, ROOMS) as site,
    ):
        yield site


def leading(site: Site, to: str, *, by: str = "link", host: str = OTHER) -> str:
    """Return the address of a page that leads to another one by a link, a form or a frame."""
    return site.url(f"/leads?with={by}&to={quote(to, safe='')}", host)


def follow(page: Page, to: str) -> None:
    """Follow the page's link through the line and back."""
    page.get_by_role("link", name="Go").click()
    expect(page).to_have_url(to, timeout=2 * SHOW_MS)


def test_cookies_last_through_the_walk_and_stay_on_the_site(site: Site, opened: Opened) -> None:
    room, buy = site.rooms["walk"], site.url("/walk/1?a=%20b")
    site.stack.change(room, mode="paused")
    with opened(leading(site, buy), **TLS) as page:
        page.get_by_role("link", name="Go").click()
        expect(page.locator("#position")).to_have_text("1")
        site.stack.change(room, mode="open")
        # The pass is no longer in the address.
        expect(page).to_have_url(buy)
        expect(page.locator("h1")).to_have_text("/walk/1")
        kept = [one for one in page.context.cookies() if "waitline-pass" in one["name"]]
        assert len(kept) == 1
        assert kept[0]["name"].startswith("__Host-waitline-pass-")
        assert (kept[0]["domain"], kept[0]["path"]) == (SHOP, "/")
        assert (kept[0]["secure"], kept[0]["httpOnly"]) == (True, True)
        assert kept[0]["sameSite"] == "Lax"
        # Back is the page before the line, not the line, which would lead here again.
        page.go_back()
        expect(page).to_have_url(leading(site, buy))
        # A link of another site brings the cookie along: no second walk.
        before = len(site.asked("/walk/1"))
        follow(page, buy)
        assert len(site.asked("/walk/1")) == before + 1
        page.reload()
        expect(page).to_have_url(buy)
        # A form of another site does not, so nobody else can order with it.
        page.goto(leading(site, buy, by="form"))
        page.get_by_role("button", name="Send").click()
        expect(page.locator("h1")).to_have_text("Your form was not sent")
        assert site.joined("walk") == 1


def test_a_pass_is_shown_to_its_host_only_and_a_rule_holds_for_all(
    site: Site, opened: Opened
) -> None:
    shop, www = site.url("/hosts/1"), site.url("/hosts/2", WWW)
    with opened(leading(site, shop), **TLS) as page:
        follow(page, shop)
        assert "waitline-pass" in site.asked("/hosts/1")[-1].headers["cookie"]
        # The rule guards the subdomain too, where the visitor comes by the line again and gets
        # the same place.
        page.goto(leading(site, www))
        follow(page, www)
        first, last = (site.asked("/hosts/2", WWW)[at] for at in (0, -1))
        assert "waitline-pass" not in first.headers.get("cookie", "")
        assert "waitline-pass" in last.headers["cookie"]
        assert site.joined("hosts") == 1
        # Another site sees nothing of it, though it has guarded paths of the same names.
        page.goto(site.url("/hosts/1", OTHER))
        expect(page.locator("h1")).to_have_text("/hosts/1")
        assert "waitline" not in site.asked("/hosts/1", OTHER)[-1].headers.get("cookie", "")


def test_in_a_frame_of_another_site_the_page_says_how_to_open_it(
    site: Site, opened: Opened
) -> None:
    buy = site.url("/frame/1")
    with opened(leading(site, buy, by="frame"), viewport=SMALL, **TLS) as page:
        frame = page.frame_locator("iframe")
        expect(frame.locator("h1")).to_have_text("Please open this page by itself")
        page.screenshot(path=SCREENSHOTS / "protected-frame.png")
        # Once, without a place in the line: it does not go round.
        assert len(site.asked("/frame/1")) == 1
        assert site.joined("frame") == 0
        frame.get_by_role("link", name="Open the page").click()
        expect(page).to_have_url(buy, timeout=2 * SHOW_MS)
        assert site.joined("frame") == 1
        # The pass is not sent into frames of other sites, also now.
        page.goto(leading(site, buy, by="frame"))
        expect(frame.locator("h1")).to_have_text("Please open this page by itself")
        # An address with a pass in it neither: this browser keeps no cookie there.
        page.goto(leading(site, f"{buy}?waitline=kept", by="frame"))
        expect(frame.locator("h1")).to_have_text("Please allow cookies")
        page.screenshot(path=SCREENSHOTS / "protected-cookies.png")


def test_in_a_frame_of_the_site_itself_the_pass_counts(site: Site, opened: Opened) -> None:
    buy = site.url("/near/1")
    framed = leading(site, buy, by="frame", host=WWW)
    with opened(framed, **TLS) as page:
        frame = page.frame_locator("iframe")
        expect(frame.locator("h1")).to_have_text("Please open this page by itself")
        assert site.joined("near") == 0
        page.goto(leading(site, buy))
        follow(page, buy)
        page.goto(framed)
        expect(frame.locator("h1")).to_have_text("/near/1")
        assert site.joined("near") == 1


PREFETCH = """path => {
  const link = document.createElement("link");
  Object.assign(link, { rel: "prefetch", href: path });
  document.head.append(link);
}"""

FETCH = """([path, method, headers]) =>
  fetch(path, { method, headers, redirect: "manual" }).then(answer => answer.status)
"""


def test_what_a_browser_loads_by_itself_takes_no_place(site: Site, opened: Opened) -> None:
    site.stack.change(site.rooms["idle"], standby="on")
    with opened(site.url(), **TLS) as page:
        for path, method, headers in (
            ("/idle/head", "HEAD", {}),
            ("/idle/range", "GET", {"Range": "bytes=0-9"}),
            ("/idle/script", "GET", {}),
        ):
            assert page.evaluate(FETCH, [path, method, headers]) == 429
        page.evaluate(PREFETCH, "/idle/prefetch")
        until(lambda: bool(site.asked("/idle/prefetch")), SOON_S, "it is prefetched")
        assert "prefetch" in site.asked("/idle/prefetch")[0].headers["sec-purpose"]
        assert site.joined("idle") == 0
        # Opened by a visitor, it is a page, at once: nobody waits in this room.
        page.goto(site.url("/idle/prefetch"))
        expect(page.locator("h1")).to_have_text("/idle/prefetch")
        assert site.joined("idle") == 1


@pytest.mark.long
def test_a_browser_that_blocks_the_cookies_of_the_site_does_not_go_round(
    site: Site, playwright: Playwright, tmp_path: Path
) -> None:
    # As its visitor would set it: only the waiting room may keep cookies.
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    blocked = {f"[*.]{SHOP},*": {"setting": 2}}
    exceptions = {"content_settings": {"exceptions": {"cookies": blocked}}}
    preferences.write_text(json.dumps({"profile": exceptions}), "utf-8")
    context = playwright.chromium.launch_persistent_context(
        tmp_path,
        executable_path=installed("chromium"),
        args=FLAGS,
        ignore_https_errors=True,
        locale="en-US",
        viewport=SMALL,
    )
    with closing(context):
        page = context.new_page()
        page.goto(site.url("/blocked/1?a=1"))
        # Through the line, and back with a pass that is not kept: the page says so, once.
        said = page.get_by_role("heading", name="Please allow cookies")
        expect(said).to_be_visible(timeout=2 * SHOW_MS)
        page.screenshot(path=SCREENSHOTS / "protected-blocked.png")
        assert site.joined("blocked") == 1
        assert len(site.asked("/blocked/1")) == 3
        link = page.get_by_role("link", name="Open the page")
        expect(link).to_have_attribute("href", site.url("/blocked/1?a=1"))


@pytest.mark.long
def test_without_scripts_a_visitor_gets_in(site: Site, opened: Opened) -> None:
    buy = site.url("/plain/1?a=1")
    site.stack.change(site.rooms["plain"], mode="paused")
    with opened(buy, java_script_enabled=False, viewport=SMALL, **TLS) as page:
        page.wait_for_url("**plain")
        page.get_by_role("button", name="Join the line").click()
        expect(page.locator(".number")).to_have_text("1")
        page.screenshot(path=SCREENSHOTS / "protected-plain.png")
        site.stack.change(site.rooms["plain"], mode="open")
        # By refreshes of 15 s: the position, the turn, the shop. Nothing is pressed here.
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible(timeout=60_000)
        page.screenshot(path=SCREENSHOTS / "protected-plain-turn.png")
        expect(page).to_have_url(buy, timeout=60_000)
