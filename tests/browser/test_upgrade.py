"""An upgrade of the service while pages are open, and while one is being loaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

import waitline
from tests.browser.conftest import SHOW_MS, Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, position
from tests.web import stack as web
from waitline.trial.installation import free_port


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of another version of the package: its texts differ."""
    folder = tmp_path_factory.mktemp("upgraded")
    package = shutil.copytree(Path(waitline.__file__).parent, folder / "waitline")
    texts = package / "services/queue/pages/texts.js"
    texts.write_text(texts.read_text("utf-8").replace("Estimated wait", "Expected wait"), "utf-8")
    return folder


@contextmanager
def running(data: Path, port: int) -> Iterator[Stack]:
    with web.running(data_dir=data, workers=1, queue_port=str(port)) as stack:
        yield Stack(stack)


def test_an_open_page_keeps_its_place(
    upgraded: Path, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with opened("about:blank") as page:
        with running(tmp_path, port) as stack:
            room = stack.room(**STANDSTILL)
            stack.enter(room, "first")
            page.goto(stack.page(room))
            position(page, 2)
        with monkeypatch.context() as changed:
            changed.setenv("PYTHONPATH", str(upgraded), prepend=os.pathsep)
            with running(tmp_path, port) as stack:
                # The page goes on with the scripts that it has.
                expect(page.locator("#notice")).to_be_empty(timeout=4 * SHOW_MS)
                stack.leave(room, "first")
                position(page, 1)
                expect(page.locator("#estimate-title")).to_have_text("Estimated wait")
                page.reload()
                expect(page.locator("#estimate-title")).to_have_text("Expected wait")
                position(page, 1)


@pytest.mark.parametrize("lost", ["waiting.js", "texts.js", "waiting.css", "theme.css"])
def test_a_page_with_files_of_another_version_loads_itself_again(
    stack: Stack, opened: Opened, lost: str
) -> None:
    room = stack.room(**STANDSTILL)
    answers: list[int] = []

    def stale(route: Route) -> None:
        # As if an earlier version had named it: there is no such file any more.
        url = route.request.url if answers else route.request.url.replace("/pages/", "/pages/0")
        response = route.fetch(url=url)
        answers.append(response.status)
        route.fulfill(response=response)

    with opened("about:blank") as page:
        page.route(f"**/{lost}", stale)
        page.goto(stack.page(room))
        # Styled and running, after one reload.
        expect(page.locator(".card")).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
        position(page, 1)
        assert (answers[0], answers[-1]) == (404, 200)


def test_a_page_that_gets_no_scripts_goes_on_without(stack: Stack, opened: Opened) -> None:
    with opened("about:blank") as page:
        page.route("**/waiting.js", lambda route: route.abort("connectionreset"))
        page.goto(stack.page(stack.room(**STANDSTILL)))
        expect(page.get_by_role("button", name="Join the line")).to_be_visible(timeout=60_000)
