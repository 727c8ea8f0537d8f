"""The pages below a path of a proxy, without any setting of the service."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect

from tests import nginx
from tests.browser.conftest import Opened, Stack
from tests.browser.test_unseen import notified_on_a_phone
from tests.browser.test_waiting_page import STANDSTILL, position

pytestmark = nginx.needed


@pytest.fixture(scope="module", params=["/", ""], ids=["taken off", "decoded"])
def below(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of the service below a path, which nginx takes off in either of its ways."""
    target = f"http://{urlsplit(stack.url).netloc}{request.param}"
    rewriting = "" if request.param else "rewrite ^/shop/queue(/.*)$ $1 break; "
    config = f"""server {{ listen 80;
        location /shop/queue/ {{ {rewriting}proxy_pass {target}; }}
    }}"""
    with nginx.running(config, tmp_path_factory.mktemp("nginx")) as port:
        yield f"http://127.0.0.1:{port}/shop/queue"


def test_a_visit_from_the_start_page_to_the_end(below: str, stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened(f"{below}/") as page:
        page.get_by_label("Room name").fill(room)
        page.get_by_role("button", name="Open").click()
        position(page, 1)
        assert page.url == f"{below}/rooms/{room}"
        page.get_by_role("link", name="How the line works").wait_for()
        assert page.evaluate("document.getElementById('rules').href") == f"{below}/rules"
        page.reload()
        position(page, 1)
        stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
        page.on("dialog", lambda dialog: dialog.accept())
        page.locator("#leave-turn").click()
        expect(page.locator("#over")).to_be_visible()


def test_the_notification_of_a_turn(below: str, stack: Stack, opened_whole: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened_whole("about:blank") as page:
        address = f"{below}/rooms/{room}"
        notified_on_a_phone(page, address, lambda: stack.change(room, mode="open"))


@pytest.mark.parametrize("path", ["/rules", "/docs"])
def test_other_pages(below: str, opened: Opened, path: str) -> None:
    failed: list[str] = []
    with opened(f"{below}/") as page:
        page.on(
            "response",
            lambda got: failed.append(got.url) if got.status >= 400 else None,
        )
        page.goto(below + path, wait_until="networkidle")
        if path == "/docs":
            servers = page.locator(".servers option")
            expect(servers).to_have_text(below)
    assert not failed


def test_a_name_with_signs(below: str, opened: Opened) -> None:
    with opened(f"{below}/rooms/{quote('none: 콘서트?', safe='')}") as page:
        expect(page.locator("#room")).to_have_text("none: 콘서트?")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
