"""The box office's pages: from the line to a paid seat, in a real browser."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, Route, expect

from tests.booking_web.office import Office
from tests.browser.conftest import SCREENSHOTS, SHOW_MS, Opened
from tests.http_client import Client
from tests.until import until
from waitline.trial.installation import Installation, start

SOON_S = 20.0
PHONE = {"width": 360, "height": 780}
DESKTOP = {"width": 1280, "height": 900}
SCRIPTS = sorted(
    Path("src/waitline/services/booking/pages").glob("*.js"),
)

# What Safari 14 and Firefox ESR lack.
TOO_NEW = re.compile(
    r"AbortSignal\.timeout|AbortSignal\.any|\.at\(-|structuredClone|Object\.hasOwn|randomUUID"
    r"|showModal|findLast|toSorted|\.groupBy|^await |#\w+\(|static \{|\(\?<[=!]",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def trial(trial_office: Office) -> Installation:
    return trial_office.program


def captured(page: Page, name: str) -> None:
    """Keep pictures of a phone and a desktop, light and dark, and let the scan find no barrier."""
    page.emulate_media(reduced_motion="reduce")
    for size, width in ((PHONE, 360), (DESKTOP, 1280)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"shop-{name}-{width}-{scheme}.png", full_page=True)
            if (width == 360) == (scheme == "light"):
                results = Axe().run(page)
                assert results.violations_count == 0, results.generate_report()
            widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert widths[0] <= widths[1], (name, width)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")


def panel(page: Page, name: str) -> None:
    expect(page.locator(f"#{name}")).to_be_visible(timeout=SHOW_MS)


def standing(program: Installation, user: str) -> Any:  # noqa: ANN401 - JSON
    query = {"concertId": "1", "userId": user}
    found = httpx.get(f"{program.url}/api/v1/queue/status", params=query).json()
    return found["data"]["status"]


def user_of(page: Page, concert: int = 1) -> str:
    found = page.evaluate(f"fetch('/shop/concerts/{concert}/session').then((a) => a.json())")
    return str(found["userId"])


def arrived(page: Page, program: Installation) -> None:
    page.goto(f"{program.url}/rooms/demo")
    panel(page, "choose")


def accept_dialogs(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())


def test_from_the_line_to_a_paid_seat_by_clicking(trial: Installation, opened: Opened) -> None:
    with opened(trial.url, viewport=PHONE) as page:
        captured(page, "queue-start")
        page.get_by_role("link", name="Try it").click()
        panel(page, "choose")
        # The pass is in no address, and in no script.
        assert page.url == f"{trial.booking_url}/shop/concerts/1"
        assert page.evaluate("document.cookie") == ""
        user = user_of(page)
        assert standing(trial, user) == "ACTIVE"
        captured(page, "choose")

        page.get_by_label("Category").select_option("R")
        page.get_by_label("Seats", exact=True).select_option("3")
        page.locator("#best").get_by_role("button", name="Hold seats").click()
        panel(page, "held")
        expect(page.get_by_role("heading", name="Your seats are held")).to_be_focused()
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(5:00|4:\d\d)$"))
        expect(page.locator("#held-facts")).to_contain_text("R row 1 seat 1")
        captured(page, "held")
        page.reload()
        panel(page, "held")

        page.get_by_role("button", name="Pay ₩120,000 in play money").click()
        panel(page, "paid")
        expect(page.get_by_role("heading", name="Your booking is complete")).to_be_focused()
        assert page.locator("#number").inner_text().isdigit()
        # Each ticket with the code that is on the door list.
        codes = page.locator("#codes b")
        expect(codes).to_have_text([re.compile(r"^[B-Z]{4}-[B-Z]{4}$")] * 3)
        captured(page, "paid")
        until(lambda: standing(trial, user) == "NOT_FOUND", SOON_S, "the slot is free again")


def test_seats_are_chosen_with_the_keyboard_alone(trial: Installation, opened: Opened) -> None:
    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        page.get_by_role("radio", name="VIP").focus()
        page.keyboard.press("Space")
        row = page.get_by_label("Row", exact=True)
        expect(row).to_be_visible()
        row.select_option(label="Row 2 · 50 left")
        row.focus()
        page.keyboard.press("Tab")  # The button of the row behind.
        page.keyboard.press("Tab")  # One stop for all seats.
        expect(page.get_by_label("VIP, row 2, seat 1, VIP, ₩50,000")).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        expect(page.get_by_label("VIP, row 3, seat 2, VIP")).to_be_checked()
        expect(page.locator("#chosen-count")).to_have_text("2 seats selected")
        captured(page, "map")
        page.get_by_role("button", name="Remove VIP row 2 seat 2").press("Enter")
        expect(page.locator("#chosen-count")).to_have_text("1 seat selected")
        page.locator("#reserve").press("Enter")
        panel(page, "held")
        expect(page.locator("#held-facts")).to_contain_text("VIP row 3 seat 2")

        page.get_by_label("Payment method").select_option("DECLINE")
        page.get_by_role("button", name="Pay").press("Enter")
        expect(page.locator("#notice")).to_contain_text("The payment was declined.")
        captured(page, "declined")
        page.get_by_role("button", name="Release the seats").press("Enter")
        panel(page, "choose")
        expect(page.locator("#notice")).to_have_text("The seats are released.")


def test_a_seat_that_somebody_takes_meanwhile(trial: Installation, opened: Opened) -> None:
    with (
        opened("about:blank", viewport=PHONE) as first,
        opened("about:blank", viewport=PHONE) as second,
    ):
        for page in (first, second):
            arrived(page, trial)
            page.get_by_role("radio", name=re.compile("^S")).check()
            page.get_by_label("S, row 1, seat 7, S").check()
        first.locator("#reserve").click()
        panel(first, "held")
        # Either the refresh says so, or the refusal.
        if second.locator("#reserve").is_visible():
            second.locator("#reserve").click()
        expect(second.locator("#notice")).to_contain_text("Please choose another.")
        expect(second.get_by_label("Row 1, seat 7, taken")).not_to_be_checked()
        expect(second.locator("#bar")).to_be_hidden()


def test_no_more_seats_than_the_schedule_allows(trial: Installation, opened: Opened) -> None:
    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        page.get_by_role("radio", name=re.compile("^A")).check()
        for seat in range(1, 5):
            page.get_by_label(f"A, row 1, seat {seat}, A").check()
        page.get_by_label("A, row 1, seat 5, A").click()
        expect(page.locator("#notice")).to_have_text("You can select up to 4 seats.")
        expect(page.locator("#chosen-count")).to_have_text("4 seats selected")


def test_a_rule_of_the_sale_is_said_as_the_box_office_says_it(
    trial: Installation, opened: Opened
) -> None:
    pause = {
        "code": "C005",
        "type": "urn:waitline:problem:cooling-down",
        "detail": "Please wait a minute.",
    }
    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        page.route("**/api/v1/reservations", lambda route: route.fulfill(status=429, json=pause))
        page.locator("#best").get_by_role("button").click()
        expect(page.locator("#notice")).to_have_text("Please wait a minute.")


def test_a_hold_that_runs_out(trial: Installation, opened: Opened) -> None:
    def over(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["data"] |= {"expiresAt": "2020-01-01T00:00:00.000Z", "status": "EXPIRED"}
        route.fulfill(response=answer, json=body)

    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        page.locator("#best").get_by_role("button").click()
        panel(page, "held")
        page.route("**/api/v1/reservations/*", over)
        page.evaluate("Date.now = ((now) => () => now() + 310_000)(Date.now)")
        panel(page, "choose")
        expect(page.locator("#notice")).to_contain_text("Your time to pay ran out")


def test_a_lost_answer_to_a_payment(trial: Installation, opened: Opened) -> None:
    lost: list[str] = []

    def lose_first(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.fetch().text())
        return route.abort()

    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        page.locator("#best").get_by_role("button").click()
        panel(page, "held")
        page.route("**/api/v1/payments", lose_first)
        page.get_by_role("button", name="Pay").click()
        panel(page, "paid")
        assert "COMPLETED" in lost[0]


def test_without_a_turn_the_page_leads_to_the_line(trial: Installation, opened: Opened) -> None:
    with opened(f"{trial.booking_url}/shop", viewport=PHONE, locale="ko-KR") as page:
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        captured(page, "concerts-korean")
        page.get_by_role("link", name="Waitline Live").click()
        panel(page, "gate")
        captured(page, "gate-korean")
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", name="Please come through")).to_be_visible()
        page.get_by_role("link", name="Go to the waiting room").click()
        panel(page, "choose")
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_used_link_and_the_way_out_of_it(trial: Installation, opened: Opened) -> None:
    passes: list[str] = []
    with opened("about:blank", viewport=PHONE) as page:
        page.on("request", lambda one: passes.append(one.url) if "waitline=" in one.url else None)
        arrived(page, trial)
        page.context.clear_cookies(name=re.compile("^waitline-shop-"))
        page.goto(passes[0])
        expect(page.get_by_role("heading", name="This link has already been used")).to_be_visible()
        captured(page, "used")
        page.get_by_role("link", name="Go to the waiting room").click()
        panel(page, "choose")


def test_by_another_name_of_this_machine(trial: Installation, opened: Opened) -> None:
    here = trial.url.replace("127.0.0.1", "localhost")
    with opened(f"{here}/rooms/demo", viewport=PHONE) as page:
        panel(page, "choose")
        assert page.url.startswith(trial.booking_url.replace("127.0.0.1", "localhost"))
        assert page.locator("#more").get_attribute("href") == f"{here}/rooms/1#renew"


def test_leaving_frees_the_slot(trial: Installation, opened: Opened) -> None:
    with opened("about:blank", viewport=PHONE) as page:
        arrived(page, trial)
        user = user_of(page)
        accept_dialogs(page)
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("heading", name="You have left")).to_be_focused()
        assert standing(trial, user) == "NOT_FOUND"
        page.reload()
        expect(page.get_by_role("heading", name="Your time is up")).to_be_visible()


def test_the_booking_start_page(trial: Installation, opened: Opened) -> None:
    with opened(trial.booking_url, viewport=PHONE) as page:
        captured(page, "booking-start")
        page.get_by_role("link", name="한국어").click()
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        page.get_by_role("link", name="체험해 보기").click()
        panel(page, "choose")
        expect(page.get_by_role("heading", name="좋은 좌석 자동 선택")).to_be_visible()


def test_free_seats_in_production(opened: Opened) -> None:
    unpaid = {"mode": "production", "payment_provider": "none"}
    with (
        start(1, unpaid, box_office=True, batch_scheduling=False) as program,
        Client(program.booking_url) as operator,
    ):
        operator.headers["X-Operator-Key"] = program.operator_key

        def operate(path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
            answer = operator.post(f"{program.booking_url}/api/v1/operator/{path}", **body)
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        concert = operate("concerts", json={"title": "<b>Free</b>", "queue": "free"})["concertId"]
        starts = {"startsAt": "2030-01-01T19:00:00+09:00"}
        shown = operate(f"concerts/{concert}/schedules", json=starts)["scheduleId"]
        plan = "section,row,seat,grade,price\n" + "".join(f"Hall,A,{n},R,0\n" for n in range(1, 9))
        csv = {"Content-Type": "text/csv"}
        operate(f"schedules/{shown}/seats", content=plan.encode(), headers=csv)
        room = {"room": "free", "shopUrl": f"{program.booking_url}/shop?lang=en"}
        assert operator.post(f"{program.url}/api/v1/rooms", json=room).status_code == 201
        with opened(f"{program.url}/rooms/free", viewport=PHONE) as page:
            panel(page, "choose")
            expect(page.get_by_role("heading", name="<b>Free</b>")).to_be_visible()
            assert page.locator("#play-money").count() == 0
            (cookie,) = [
                one for one in page.context.cookies() if "waitline-shop" in str(one["name"])
            ]
            assert cookie["name"].startswith("__Host-")
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
            page.get_by_label("Hall, row A, seat 3, R, ₩0").check()
            page.locator("#reserve").click()
            panel(page, "held")
            page.get_by_role("button", name="Book now").click()
            panel(page, "paid")
            page.reload()
            panel(page, "mine")
            accept_dialogs(page)
            page.get_by_role("button", name="Cancel booking").click()
            expect(page.locator(".booking")).to_contain_text("Cancelled")


@pytest.mark.parametrize(
    ("currency", "price", "shown"),
    [
        ("USD", "120.50", "$120.50"),
        ("JPY", "12000", "¥12,000"),
        ("KWD", "5.120", "KWD\xa05.120"),
        # Chromium has no digits for these two; ISO 4217 has three and two.
        ("IQD", "12345.678", "IQD\xa012,345.678"),
        pytest.param("MGA", "5000.50", "MGA\xa05,000.50", marks=pytest.mark.long),
        # As yen.
        pytest.param("ISK", "9900", "ISK\xa09,900", marks=pytest.mark.long),
    ],
)
def test_prices_are_in_the_currency_of_the_concert(
    trial: Installation, opened: Opened, currency: str, price: str, shown: str
) -> None:
    with Client(trial.booking_url) as operator:
        operator.headers["X-Operator-Key"] = trial.operator_key

        def operate(path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
            answer = operator.post(f"{trial.booking_url}/api/v1/operator/{path}", **body)
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        room = f"in-{currency}"
        named = {"title": currency, "queue": room, "currency": currency}
        concert = operate("concerts", json=named)["concertId"]
        starts = {"startsAt": "2030-01-01T19:00:00+09:00"}
        made = operate(f"concerts/{concert}/schedules", json=starts)["scheduleId"]
        plan = f"section,row,seat,grade,price\nHall,A,1,R,{price}\n"
        csv = {"Content-Type": "text/csv"}
        operate(f"schedules/{made}/seats", content=plan.encode(), headers=csv)
        body = {"room": room, "shopUrl": f"{trial.booking_url}/shop/concerts/{concert}?lang=en"}
        assert operator.post(f"{trial.url}/api/v1/rooms", json=body).status_code == 201
    with opened(f"{trial.url}/rooms/{room}?lang=en", viewport=PHONE) as page:
        panel(page, "choose")
        expect(page.locator("#when")).to_have_text(re.compile("^Tue, January 1, 2030"))
        page.get_by_label(f"Hall, row A, seat 1, R, {shown}").check()
        expect(page.locator("#chosen-total")).to_have_text(shown)
        page.locator("#reserve").click()
        panel(page, "held")
        page.get_by_role("button", name=f"Pay {shown} in play money").click()
        panel(page, "paid")
        if currency == "KWD":
            captured(page, "paid-in-dinars")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_need_no_browser_newer_than_safari_14(script: Path) -> None:
    assert TOO_NEW.findall(script.read_text("utf-8")) == []
