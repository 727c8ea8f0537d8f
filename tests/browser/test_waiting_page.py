"""The pages, in a real browser, before the real stack."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, Route, expect
from typing_extensions import override

from tests.browser.conftest import PHONE, SCREENSHOTS, SHOW_MS, Opened, Stack
from tests.until import until

# Takes everybody and admits nobody.
STANDSTILL = {"mode": "paused"}


def captured(page: Page, name: str) -> None:
    """Keep a picture, and let the scan for barriers find none."""
    # A colour half-way through its transition has another contrast than either end.
    page.emulate_media(reduced_motion="reduce")
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def position(page: Page, number: int) -> None:
    expect(page.locator("#position")).to_have_text(str(number))


def titled(what: str, room: str) -> str:
    return f"{what} \N{EN DASH} {room}"


def positions(page: Page) -> list[int]:
    shown: list[int] = page.evaluate("window.positions")
    return shown


def hurried(page: Page) -> None:
    """Let the page ask at once, as it does when a connection comes back."""
    page.evaluate("dispatchEvent(new Event('online'))")


def test_the_room_has_a_title(stack: Stack, opened: Opened) -> None:
    room = stack.room(title="Autumn <b>Concert</b>", **STANDSTILL)
    with opened(stack.page(room)) as page:
        expect(page.get_by_text("Autumn <b>Concert</b>", exact=True)).to_be_visible()
        expect(page).to_have_title(titled("#1", "Autumn <b>Concert</b>"))


def test_joins_and_shows_where_it_stands(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    stack.enter(room, "first", "second")
    with opened(stack.page(room)) as page:
        position(page, 3)
        expect(page).to_have_title(titled("#3", room))
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.get_by_text("3 people are waiting")).to_be_visible()
        bar = page.get_by_role("progressbar", name="Your position in line")
        expect(bar).to_have_attribute("aria-valuenow", "0")
        expect(bar).to_have_attribute("aria-valuetext", "0% done, position 3")

        # All tabs of one browser share one place, and coming back does not cost it.
        page.reload()
        position(page, 3)
        second_tab = page.context.new_page()
        second_tab.goto(stack.page(room))
        position(second_tab, 3)


def test_visitors_stand_in_the_order_in_which_they_came(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with (
        opened(stack.page(room)) as first,
        opened(stack.page(room) + "?visitor=second") as second,
    ):
        position(first, 1)
        expect(first.get_by_text("You're next", exact=True)).to_be_visible()
        with opened(stack.page(room)) as third:
            numbers = [page.locator("#position").inner_text() for page in (first, second, third)]
            position(third, 3)
        assert numbers[0] == "1"
        position(second, 2)


def test_tells_an_estimate_once_the_pace_is_known(stack: Stack, opened: Opened) -> None:
    room = stack.room(mode="paused", admitPerSecond=2, admitBurst=1)
    stack.enter(room, *(f"visitor-{number}" for number in range(600)))
    with opened(stack.page(room)) as page:
        position(page, 601)
        expect(page.locator("#estimate")).to_have_text("Admission is paused")
        # It is no estimated wait.
        expect(page.locator("#estimate-title")).to_be_hidden()
        stack.change(room, mode="open")
        expect(page.locator("#estimate")).to_have_text("We can't estimate your wait yet")
        expect(page.locator("#estimate")).to_have_text(re.compile(r"^About \d to \d minutes$"))
        expect(page.locator("#estimate-title")).to_have_text("Estimated wait")
        expect(page.locator("#estimate-title")).to_be_visible()
        expect(page.locator("#position")).to_have_text(re.compile(r"^5[0-8]\d$"))
        seen = positions(page)
        assert len(seen) > 2
        assert seen == sorted(seen, reverse=True)
        captured(page, "phone-light")
        page.emulate_media(color_scheme="dark")
        captured(page, "phone-dark")


def left_s(timer: Locator) -> int:
    minutes, seconds = timer.inner_text().split(":")
    return 60 * int(minutes) + int(seconds)


def test_goes_on_by_itself_and_gives_the_visitor_time(stack: Stack, opened: Opened) -> None:
    room = stack.room(mode="paused", activeSeconds=600, extensionsMax=1)
    with opened(stack.page(room)) as page:
        position(page, 1)
        stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_focused()
        expect(page).to_have_title(titled("It's your turn", room))
        timer = page.get_by_role("timer")
        expect(timer).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
        captured(page, "turn")

        # On its own the timer only falls.
        expect(timer).to_have_text(re.compile(r"^9:([0-4]\d|5[0-7])$"))
        before = left_s(timer)
        page.get_by_role("button", name="Extend my time").click()
        until(lambda: left_s(timer) > before, SHOW_MS / 1_000, "there is more time")
        page.get_by_role("button", name="Extend my time").click()
        expect(page.get_by_text("No further extension is possible.")).to_be_visible()
        expect(page.get_by_role("button", name="Extend my time")).to_be_hidden()

        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("heading", name="You have left the line")).to_be_focused()


@contextmanager
def a_shop() -> Iterator[tuple[str, list[str]]]:
    """Run a shop that notes what it is asked for."""
    asked: list[str] = []

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>The shop</title>")

        @override
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def test_takes_the_admitted_to_the_shop_with_a_pass(stack: Stack, opened: Opened) -> None:
    with a_shop() as (shop, asked):
        room = stack.room(shopUrl=f"{shop}/concerts?lang=ko#seats")
        with opened(f"{stack.page(room)}?visitor=mina") as page:
            expect(page).to_have_title("The shop")
            gone_to = urlsplit(page.url)
            query = parse_qs(gone_to.query)
        assert gone_to.path == "/concerts"
        assert gone_to.fragment == "seats"
        assert query["lang"] == ["ko"]
        stack.validate(room, "mina", query["waitline"][0])
        assert [path for path in asked if path.startswith("/concerts")] == [
            f"/concerts?{gone_to.query}"
        ]


def test_a_paused_room_says_so_in_the_words_of_its_operator(stack: Stack, opened: Opened) -> None:
    room = stack.room(mode="paused", message="좌석도를 고치고 있습니다.\n곧 다시 시작합니다. <b>")
    desktop = {"width": 1280, "height": 860}
    with opened(stack.page(room), locale="ko-KR", viewport=desktop) as page:
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.get_by_text("일시 중지", exact=True)).to_be_visible()
        expect(page.locator("#estimate")).to_have_text("입장이 일시 중지되었습니다")
        expect(page.locator("#message")).to_have_text(
            "좌석도를 고치고 있습니다.\n곧 다시 시작합니다. <b>"
        )
        captured(page, "desktop-korean")
        stack.change(room, mode="closed", message="")
        expect(page.get_by_text("마감", exact=True)).to_be_visible()
        expect(page.locator("#message")).to_be_hidden()
        expect(page.locator("#hint")).to_contain_text("입장이 다시 시작되면")
        position(page, 1)


def test_the_position_never_rises(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    stack.enter(room, "first", "second", "third")
    with opened(stack.page(room)) as page:
        position(page, 4)
        stack.enter(room, "fifth")
        stack.leave(room, "second")
        position(page, 3)
        stack.enter(room, "sixth", "second")
        stack.leave(room, "fifth")
        stack.leave(room, "first")
        position(page, 2)
        assert positions(page) == [4, 3, 2]

        # Nor does it when an answer comes late from a worker or a cache that is behind.
        def behind(route: Route) -> None:
            answer = route.fetch()
            body = answer.json()
            body["data"]["position"] = 9
            route.fulfill(response=answer, json=body)

        page.route("**/queue/status*", behind)
        for _ in range(2):
            with page.expect_response("**/queue/status*", timeout=SHOW_MS):
                hurried(page)
        assert positions(page) == [4, 3, 2]


def test_an_older_document_changes_nothing(stack: Stack, opened: Opened) -> None:
    room = stack.room(mode="paused", message="new")
    with opened(stack.page(room)) as page:
        expect(page.locator("#message")).to_have_text("new")

        def old(route: Route) -> None:
            answer = route.fetch()
            body = answer.json() | {"message": "old", "asOfMs": 1}
            route.fulfill(response=answer, json=body)

        page.route("**/now-serving", old)
        for _ in range(2):
            with page.expect_response("**/now-serving", timeout=SHOW_MS):
                hurried(page)
        expect(page.locator("#message")).to_have_text("new")


def test_says_when_the_time_is_over_and_joins_again(stack: Stack, opened: Opened) -> None:
    room = stack.room(activeSeconds=1)
    with opened(stack.page(room)) as page:
        expect(page.get_by_role("heading", name="Your time is up")).to_be_focused()
        expect(page).to_have_title(titled("Your time is up", room))
        captured(page, "expired")
        stack.change(room, **STANDSTILL)
        page.get_by_role("button", name="Join again").click()
        position(page, 1)
        expect(page.get_by_role("heading", name="Your position in line")).to_be_focused()


def test_keeps_the_place_while_the_service_does_not_answer(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    stack.enter(room, "first")
    with opened(stack.page(room)) as page:
        position(page, 2)
        page.route(
            "**/api/**",
            lambda route: route.fulfill(
                status=503, headers={"Retry-After": "1"}, json={"code": "E003"}
            ),
        )
        notice = page.locator("#notice")
        expect(notice).to_have_text(
            "Something went wrong on our side. We'll keep trying. Your place is kept."
        )
        position(page, 2)
        captured(page, "no-answer")
        page.unroute("**/api/**")
        expect(notice).to_be_empty()

        page.context.set_offline(True)
        expect(notice).to_have_text(
            "You're offline. We'll reconnect automatically. Your place is kept."
        )
        page.context.set_offline(False)
        expect(notice).to_be_empty()
        assert positions(page) == [2]


@pytest.mark.parametrize(
    ("rules", "after", "words"),
    [
        pytest.param({"waitingMax": 1}, {"waitingMax": 9}, "The line is full.", id="full"),
        pytest.param({}, {"mode": "paused"}, "The line is closed to new visitors.", id="closed"),
    ],
)
def test_joins_by_itself_as_soon_as_it_may(
    stack: Stack,
    opened: Opened,
    rules: dict[str, object],
    after: dict[str, object],
    words: str,
) -> None:
    room = stack.room(mode="paused", **rules)
    stack.enter(room, "first")
    if not rules:
        stack.change(room, mode="closed")
    with opened(stack.page(room)) as page:
        expect(page.locator("#notice")).to_contain_text(words)
        expect(page.get_by_role("heading", name="You're not in the line yet")).to_be_visible()
        expect(page.locator("#standing")).to_be_hidden()
        expect(page.locator("#position")).to_be_hidden()
        expect(page.locator("#mode")).to_be_visible()
        captured(page, f"refused-{words.split(maxsplit=1)[0].lower()}")
        stack.change(room, **after)
        hurried(page)
        position(page, 2)
        expect(page.locator("#notice")).to_be_empty()


def test_a_visitor_of_a_strict_service_keeps_the_place(strict_stack: Stack, opened: Opened) -> None:
    room = strict_stack.room(**STANDSTILL)
    with opened(strict_stack.page(room)) as page:
        position(page, 1)
        page.reload()
        with page.expect_response("**/queue/status*", timeout=SHOW_MS) as answer:
            position(page, 1)
        assert answer.value.ok

        # A browser that has lost its ticket cannot prove the place, and takes another.
        page.context.clear_cookies()
        page.evaluate(
            """() => {
              const [[name, kept]] = Object.entries(localStorage);
              const { visitor } = JSON.parse(kept);
              localStorage.setItem(name, JSON.stringify({ visitor }));
            }"""
        )
        page.reload()
        position(page, 2)
        strict_stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()


def test_names_are_shown_as_text(stack: Stack, opened: Opened) -> None:
    with opened(f"{stack.url}/rooms/%3Cimg%20src=x%3E%2Fa%20b?visitor=%3Cb%3E") as page:
        expect(page.locator("#room")).to_have_text("<img src=x>/a b")
        expect(page.get_by_role("img")).to_have_count(0)
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()


def test_odd_names_have_a_page(stack: Stack, opened: Opened) -> None:
    with opened("about:blank") as page:
        for name in ("%2e", "..\\a", "/", "a//b", "a/", ".well-known"):
            page.goto(f"{stack.url}/rooms/{quote(name, safe='')}")
            expect(page.locator("#room")).to_have_text(name)
            expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()


def test_fits_a_narrow_phone(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)

    def crowded(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["data"] |= {"position": 1_000_000, "token": "t1.k.1000000.0.m"}
        route.fulfill(response=answer, json=body)

    with opened("about:blank", viewport={"width": 320, "height": 568}) as page:
        page.route("**/queue/enter", crowded)
        page.goto(stack.page(room))
        expect(page.locator("#position")).to_have_text("1,000,000")
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]
        page.screenshot(path=SCREENSHOTS / "narrow.png")
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44


def test_the_start_page_opens_a_room(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened(stack.url, viewport=PHONE) as page:
        captured(page, "start")
        page.get_by_label("Room name").fill(room)
        page.get_by_role("button").click()
        position(page, 1)
        assert page.url == stack.page(room)
