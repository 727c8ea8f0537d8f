"""The page for newcomers: its two commands protect a shop, and its line forms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SCREENSHOTS, Opened
from tests.processes import Program, started
from tests.until import until
from waitline.trial.machine import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

# Seconds until everything runs, and until the crowd has had its turn, on a busy machine.
UP_S = 120.0
GONE_S = 240.0

SMALL = {"width": 360, "height": 740}


@contextmanager
def running(command: str, env: dict[str, str], url: str = "") -> Iterator[Program]:
    """Run a command of the page until the block ends; with an address, wait until it answers."""

    def answers() -> bool:
        try:
            return not url or httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    make, *words = command.split()
    # Nothing is installed: that would change the environment in which this test runs.
    with started([make, "-o", ".venv/.run", "-C", ROOT, *words], env, answers, UP_S) as program:
        yield program


@pytest.mark.long
def test_two_commands_protect_a_shop(opened: Opened, tmp_path: Path) -> None:
    protects, sends = (block.strip() for block in BLOCKS[:2])
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    env = {
        "PORT": str(port),
        "WAITLINE_DATA_DIR": str(tmp_path / "data"),
        "WAITLINE_QUEUE_PORT": str(free_port()),
    }
    with running(protects, env, site) as shop:
        with opened(site, viewport=SMALL) as page:
            # Nobody waits: no detour by the waiting page.
            page.get_by_role("link", name="Get tickets").click()
            expect(page).to_have_url(f"{site}/tickets?day=saturday")
            expect(page.locator("#place")).to_have_text("1")
        with running(sends, env) as crowd:
            formed = re.compile(r"in line +[2-5]\d")
            until(lambda: bool(formed.search(crowd.output)), GONE_S, "the line has formed")
            with opened(f"{site}/tickets", viewport=SMALL) as page:
                expect(page.locator("#position")).to_be_visible()
                expect(page.locator("#room")).to_have_text("Harbour Nights")
                page.screenshot(path=SCREENSHOTS / "getting-started-line.png")
                expect(page).to_have_url(f"{site}/tickets", timeout=GONE_S * 1_000)
                page.screenshot(path=SCREENSHOTS / "getting-started-turn.png")
            until(lambda: not crowd.alive, GONE_S, "the crowd is done")
            summary = r"60 visitors: (\d+) admitted at once, (\d+) after"
            found = re.search(summary, crowd.output)
            assert found is not None
            at_once, waited = map(int, found.groups())
            # How many were admitted at once depends on how fast this machine answers.
            assert at_once + waited == 60
            assert waited >= 20
        for words in BLOCKS[3].splitlines():
            assert words.split(" --")[0] in shop.output
