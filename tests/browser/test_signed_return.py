"""The waiting page sends visitors back to signed addresses, and to no others."""

from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import SHOW_MS, Opened, Stack
from waitline.gate.returns import sign_return
from waitline.kernel.clock import SystemClock

# The page without scripts takes a refresh of 15 s.
WAYS = pytest.mark.parametrize(
    "scripts",
    [
        pytest.param(True, id="scripts"),
        pytest.param(False, id="plain", marks=pytest.mark.long),
    ],
)


def signed(stack: Stack, url: str, room: str) -> str:
    text = sign_return(stack.site_key, url, room, SystemClock().now_ms() // 1_000)
    assert text is not None
    return text


@WAYS
def test_a_visitor_returns_to_the_signed_address(
    stack: Stack, opened: Opened, *, scripts: bool
) -> None:
    room = stack.room(admitPerSecond=1000, shopUrl=f"{stack.url}/rules?shop")
    back = f"{stack.url}/rules?a=%20b&c=+&d#seats"
    address = f"{stack.page(room)}?return={signed(stack, back, room)}"
    with opened(address, java_script_enabled=scripts) as page:
        if not scripts:
            page.wait_for_url("**plain")
            page.get_by_role("button", name="Join the line").click()
        page.wait_for_url("**/rules?*", timeout=4 * SHOW_MS)
        found = urlsplit(page.url)
    assert found.query.startswith("a=%20b&c=+&d&waitline=eyJ")
    assert found.fragment == "seats"


@WAYS
@pytest.mark.parametrize("given", ["https://evil.example/", "of another room"])
def test_any_other_address_is_ignored(
    stack: Stack, opened: Opened, given: str, *, scripts: bool
) -> None:
    room = stack.room(admitPerSecond=1000, shopUrl=f"{stack.url}/rules?shop")
    if given == "of another room":
        given = signed(stack, f"{stack.url}/rules?other", "another")
    with opened(f"{stack.page(room)}?return={given}", java_script_enabled=scripts) as page:
        if not scripts:
            page.wait_for_url("**plain")
            page.get_by_role("button", name="Join the line").click()
        page.wait_for_url("**/rules?*", timeout=4 * SHOW_MS)
        assert urlsplit(page.url).query.startswith("shop")
