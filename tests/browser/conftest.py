"""The shared installations, and a real browser in front of them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.booking_web.office import Office
from tests.servers import IN_CI
from tests.web import stack as web

SCREENSHOTS = Path("out/screenshots")

# Milliseconds that a page gets to show what is expected: two polls of three seconds, and slack for
# a machine that runs other tests as well.
SHOW_MS = 20_000

# Nothing but our own pages may be asked for by the browser, and no sandbox works in a container.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Hosts of protected sites.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)

PHONE = {"width": 390, "height": 844}

# Notes every position that the page ever shows, in the order in which it shows them.
NOTE_POSITIONS = """
addEventListener("DOMContentLoaded", () => {
  window.positions = [];
  const shown = document.getElementById("position");
  if (!shown) return;
  const note = () => window.positions.push(Number(shown.textContent.replaceAll(",", "")));
  new MutationObserver(note).observe(shown, { childList: true });
});
"""


class Stack:
    """The queue service with its rooms by name, as they stand in the addresses of pages."""

    def __init__(self, stack: web.Stack) -> None:
        self.url = stack.url
        self._stack = stack
        self.site_key = (stack.data_dir / "site.key").read_bytes()

    def room(self, **rules: object) -> str:
        """Create a room that no other test has, by rules as the wire names them."""
        return self._stack.room(**rules).name

    def protect(self, *rules: dict[str, Any]) -> None:
        """Set the protection rules; sites fetch them when they start, and every few seconds."""
        client, operator, path = self._stack.client, self._stack.operator, "/api/v1/protection"
        version = client.get(path, headers=operator).json()["version"]
        answer = client.put(path, headers=operator, json={"version": version, "rules": rules})
        assert answer.status_code == 200, answer.text

    def change(self, room: str, **rules: object) -> None:
        self._named(room).change(**rules)

    def show(self, room: str) -> Any:  # noqa: ANN401 - JSON
        """Return what operators see of a room."""
        return self._named(room).show()

    def enter(self, room: str, *visitors: str) -> None:
        for visitor in visitors:
            self._named(room).arrive(visitor)

    def leave(self, room: str, visitor: str) -> None:
        web.succeeded(self._named(room).remove(visitor))

    def validate(self, room: str, visitor: str, token: str) -> None:
        web.succeeded(self._named(room).validate(visitor, token))

    def page(self, room: str) -> str:
        return f"{self.url}/rooms/{room}"

    def _named(self, room: str) -> web.Room:
        return web.Room(self._stack, room)


@pytest.fixture(scope="package")
def stack(trial_office: Office) -> Stack:
    """The shared installation in trial mode."""
    return Stack(trial_office.queue)


@pytest.fixture(scope="package")
def strict_stack(production_office: Office) -> Stack:
    """The shared installation in which visitors must prove who they are."""
    return Stack(production_office.queue)


# Not for the whole run: while it is open, no test of this thread may run an event loop of its own.
# One for each file: whatever ends a browser fails no more than that.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=SHOW_MS)
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium without its window: of the CPU time for a page, a third."""
    with _launched(playwright, "chromium-headless-shell") as browser:
        yield browser


@pytest.fixture(scope="module")
def whole_browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, with what is around its pages: notifications."""
    with _launched(playwright, "chromium") as browser:
        yield browser


def installed(program: str) -> str:
    """Return a browser's program. Missing locally: skip. Missing in CI: fail."""
    found = shutil.which(program)
    if found is None:
        missing = pytest.fail if IN_CI else pytest.skip
        missing(f"{program} is not installed")
    return str(found)


@contextmanager
def _launched(playwright: Playwright, program: str) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=installed(program), args=FLAGS)
    try:
        yield browser
    finally:
        browser.close()


Opened = Callable[..., AbstractContextManager[Page]]


@contextmanager
def _opened(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    chosen = {"viewport": PHONE, "locale": "en-US", **options}
    context = browser.new_context(**chosen)  # type: ignore[arg-type]
    context.add_init_script(NOTE_POSITIONS)
    page = context.new_page()
    bugs: list[str] = []
    page.on("pageerror", lambda error: bugs.append(str(error)))
    page.on(
        "console",
        # Refusals by the server are written there too, and are no bugs of the page.
        lambda said: (
            bugs.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not bugs


@pytest.fixture
def opened(browser: Browser) -> Opened:
    """Open a page as another browser: nothing is shared with those opened before."""
    return partial(_opened, browser)


@pytest.fixture
def opened_whole(whole_browser: Browser) -> Opened:
    """Do the same in a browser that shows notifications."""
    return partial(_opened, whole_browser)
