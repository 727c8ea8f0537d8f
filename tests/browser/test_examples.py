"""The example sites: a browser goes from a guarded page through the line and back, in each."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, Opened, Stack
from tests.processes import started
from tests.until import until
from waitline.trial.machine import free_port

ROOT = Path(__file__).parents[2]
PYTHON = str(ROOT / "connectors" / "python" / "src")

# Seconds until a site answers, or a slot is free, on a machine that runs other tests as well.
UP_S = 60.0
SOON_S = 20.0

PYTHON_SITES = ["fastapi", "django", "flask"]
# One of each kind of server in the short form.
SITES = [
    "fastapi",
    "django",
    pytest.param("flask", marks=pytest.mark.long),
    pytest.param("express", marks=pytest.mark.long),
]


def command(kind: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if kind in PYTHON_SITES:
        return [sys.executable, str(ROOT / "examples" / f"{kind}_site.py")]
    # Beside the connector, which the site imports by its path in the repository.
    site = tmp_path_factory.mktemp("express")
    shutil.copytree(ROOT / "examples", site / "examples", dirs_exist_ok=True)
    shutil.copytree(ROOT / "connectors" / "js", site / "connectors" / "js")
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: apt-get install npm"
    folder = site / "examples" / "express"
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit"], cwd=folder, check=True)  # noqa: S603
    node, _ = compute_driver_executable()
    return [node, str(folder / "site.js")]


@contextmanager
def running(argv: list[str], stack: Stack, port: int) -> Iterator[str]:
    """Run a site; return its address."""
    url = f"http://127.0.0.1:{port}"
    settings = {
        "PORT": str(port),
        "PYTHONPATH": PYTHON,
        "WAITLINE_QUEUE_URL": stack.url,
        "WAITLINE_SITE_KEY": stack.site_key.decode(),
    }

    def answers() -> bool:
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    with started(argv, settings, answers, UP_S):
        yield url


@pytest.fixture(params=SITES)
def site(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """A site, its room, and its address."""
    port = free_port()
    # The way back is signed: without it, visitors would end at the start of the shop.
    room = stack.room(shopUrl=f"http://127.0.0.1:{port}/")
    tickets = {"name": room, "action": "queue", "room": room, "when": {"path": ["/tickets*"]}}
    stack.protect(tickets)
    with running(command(request.param, tmp_path_factory), stack, port) as url:
        yield request.param, room, url
    stack.protect()


def test_through_the_line_and_back(
    site: tuple[str, str, str], stack: Stack, opened: Opened
) -> None:
    kind, room, url = site
    stack.change(room, mode="paused")
    with opened(url) as page:
        look(page, f"{kind}-home")
        page.get_by_role("link", name="Get tickets").click()
        expect(page).to_have_url(re.compile(re.escape(stack.page(room))))
        expect(page.locator("#position")).to_have_text("1")
        stack.change(room, mode="open")
        # The pass is in a cookie now, no longer in the address, which is what it was before.
        expect(page).to_have_url(f"{url}/tickets?day=saturday")
        expect(page.locator("#place")).to_have_text("1")
        look(page, f"{kind}-tickets")
        assert stack.show(room)["admitted"] == 1
        page.get_by_role("button", name="Order").click()
        expect(page.locator("h1")).to_have_text("See you on Saturday")
        until(lambda: stack.show(room)["admitted"] == 0, SOON_S, "the slot is free")
        # The visit is over: the ticket page is behind the line again.
        page.goto(f"{url}/tickets")
        expect(page).not_to_have_url(f"{url}/tickets")


def look(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"example-{name}.png")
