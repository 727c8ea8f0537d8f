"""The waiting page of a visitor who must prove the place: by a key of its own, or by the shop."""

from playwright.sync_api import Route, expect

from tests.browser.conftest import SHOW_MS, Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, position
from tests.shop import shop


def test_a_lost_answer_costs_no_place(strict_stack: Stack, opened: Opened) -> None:
    """The service takes the place, and the browser never gets the answer, its cookie included."""
    room = strict_stack.room(**STANDSTILL)
    tokens: list[str | None] = []

    def lost(route: Route) -> None:
        response = route.fetch()
        tokens.append(response.json()["data"]["token"])
        if len(tokens) == 1:
            # The fetch above has kept the cookie, which was lost with the answer.
            page.context.clear_cookies()
            route.abort("connectionreset")
        else:
            route.fulfill(response=response)

    with opened("about:blank") as page:
        page.route("**/queue/enter", lost)
        page.goto(strict_stack.page(room))
        position(page, 1)
        assert tokens[0]
        assert set(tokens) == {tokens[0]}
        # The place is the first one, so its turn comes.
        strict_stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible(timeout=SHOW_MS)


def test_a_shop_vouches_for_the_visitor(strict_stack: Stack, opened: Opened) -> None:
    signer = shop("ES256")
    room = strict_stack.room(identity="signed", identityKey=signer.pem, **STANDSTILL)
    address = f"{strict_stack.page(room)}?visitor=42"
    with opened(address) as page:
        expect(page.locator("#notice")).to_have_text("Please open this page again from the shop.")
    with opened(f"{address}#identity={signer.sign(room, '42')}") as page:
        position(page, 1)
        assert page.url == address
        # The statement is gone; the cookie still proves the place.
        page.reload()
        with page.expect_response("**/queue/status*", timeout=SHOW_MS) as answer:
            position(page, 1)
        assert answer.value.ok
        # Another device of the same account has the same place.
        with opened(f"{address}#identity={signer.sign(room, '42')}") as device:
            position(device, 1)
