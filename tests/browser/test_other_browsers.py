"""The waiting page in Firefox and in WebKit, from the line to the end of the turn."""

import json
from collections.abc import Iterator

import pytest

from tests.browser.conftest import SHOW_MS, Stack
from tests.browser.test_waiting_page import STANDSTILL
from tests.browser.webdriver import Driven, firefox, installed, webkit
from tests.servers import IN_CI
from tests.until import until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not installed() and not IN_CI,
        reason="missing: apt-get install firefox-esr webkit2gtk-driver xvfb",
    ),
]


class Page:
    """A page of a browser that is driven."""

    def __init__(self, driven: Driven) -> None:
        self.driven = driven

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element is visible and begins with a text."""
        script = f"""
          const found = document.querySelector({json.dumps(selector)});
          return found?.getClientRects().length ? found.textContent.trim() : null;"""
        shown = lambda: (self.driven.run(script) or "").startswith(text)  # noqa: E731
        until(shown, 2 * SHOW_MS / 1_000, f"{selector} shows {text}")

    def click(self, selector: str) -> None:
        self.driven.run(f"document.querySelector({json.dumps(selector)}).click();")


@pytest.fixture(scope="module", params=[firefox, webkit], ids=["firefox", "webkit"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    with request.param(tmp_path_factory.mktemp("browser")) as driven:
        yield Page(driven)


def test_a_visit_from_the_line_to_the_end(stack: Stack, page: Page) -> None:
    room = stack.room(titleEn="Autumn Concert", title="가을 콘서트", **STANDSTILL)
    stack.enter(room, "first")
    page.driven.open(f"{stack.page(room)}?lang=en")
    page.shows("#position", "2")
    page.shows("#room", "Autumn Concert")
    page.driven.open(f"{stack.page(room)}?lang=ko")
    page.shows("#position", "2")
    page.shows("#line-title", "나의 대기 순번")
    page.driven.open(f"{stack.page(room)}?lang=en")
    page.shows("#position", "2")
    page.click("#alert")
    page.shows("#alert-on", "We'll alert you with a sound")
    stack.leave(room, "first")
    page.shows("#waiting", "You're next")
    stack.change(room, mode="open")
    page.shows("#turn-title", "It's your turn")
    page.shows("#left", "9:")
    page.click("#extend")
    page.driven.run("window.confirm = () => true;")
    page.click("#leave-turn")
    page.shows("#over-title", "You have left the line")


def test_forms_of_the_page_without_scripts(stack: Stack, page: Page) -> None:
    """They are posted by our page, which these browsers say in words of their own."""
    room = stack.room(**STANDSTILL)
    page.driven.open(f"{stack.page(room)}?plain&lang=en")
    page.click("form button")
    page.shows("h1", "Your position in line")
    page.shows(".number", "1")
    page.click("form button")
    page.shows("h1", "Join the line")
