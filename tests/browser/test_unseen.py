"""The waiting page while nobody sees it: hidden, loaded in advance, or in another tab."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SHOW_MS, Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, hurried, position, titled
from tests.until import until

# Seconds in which a notification must have been shown, or been removed.
SHOWN_S = SHOW_MS / 1_000

# A page that believes to be hidden, or loaded in advance, until a test says otherwise.
UNSEEN = """
window.unseen = { hidden: true, prerendering: false };
Object.defineProperty(document, "hidden", { get: () => window.unseen.hidden });
Object.defineProperty(document, "visibilityState", {
  get: () => (window.unseen.hidden ? "hidden" : "visible"),
});
Object.defineProperty(document, "prerendering", { get: () => window.unseen.prerendering });
"""

# Notes what reaches somebody who looks elsewhere.
CALLS = """
window.calls = [];
window.Notification = class {
  constructor(title) { window.calls.push(`notification: ${title}`); }
  close() {}
  static permission = "granted";
  static async requestPermission() { window.calls.push("asked"); return "granted"; }
};
window.AudioContext = class {
  state = "running"; currentTime = 0; destination = {};
  resume() {}
  createOscillator() {
    window.calls.push("tone");
    return { frequency: {}, connect: (it) => it, start() {}, stop() {} };
  }
  createGain() {
    const gain = { setValueAtTime() {}, exponentialRampToValueAtTime() {} };
    return { gain, connect: (it) => it };
  }
};
"""


def set_unseen(page: Page, **states: bool) -> None:
    for name, value in states.items():
        page.evaluate("([name, value]) => { window.unseen[name] = value; }", [name, value])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")


def test_a_hidden_tab_is_called_and_not_activated(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    asked: list[str] = []
    with opened("about:blank") as page:
        page.add_init_script(UNSEEN + CALLS)
        page.add_init_script("window.unseen.hidden = false;")
        page.on("request", lambda sent: asked.append(sent.url))
        page.goto(stack.page(room))
        position(page, 1)
        # Nothing is asked for on load.
        assert page.evaluate("window.calls") == []
        page.get_by_role("button", name="Alert me when it's my turn").click()
        expect(page.locator("#alert-on")).to_contain_text("a sound and a notification")
        assert page.evaluate("window.calls") == ["asked"]
        set_unseen(page, hidden=True)
        stack.change(room, mode="open")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
        expect(page).to_have_title("It's your turn!")
        expect(page).to_have_title(titled("It's your turn", room))
        calls = page.evaluate("window.calls")
        assert "notification: It's your turn!" in calls
        assert "tone" in calls
        timer = page.get_by_role("timer")
        expect(timer).to_have_text(re.compile(r"^4:[0-5]\d$"))
        expect(page.locator("#left-title")).to_have_text("Time left to enter")
        with page.expect_response("**/status*", timeout=SHOW_MS):
            pass
        assert not [url for url in asked if "activate" in url]

        set_unseen(page, hidden=False)
        expect(timer).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
        assert len([url for url in asked if "activate" in url]) == 1
        expect(page).to_have_title(titled("It's your turn", room))


# Chrome for Android has `Notification`, and it does not let pages make one.
ANDROID = """
window.Notification = class {
  constructor() { throw new TypeError("Illegal constructor"); }
  static permission = "granted";
  static async requestPermission() { return "granted"; }
};
window.workers = async () => {
  const found = [];
  for (const one of await navigator.serviceWorker.getRegistrations()) {
    const shown = await one.getNotifications();
    found.push([one.scope, shown.map(({ title, data }) => [title, data])]);
  }
  return found;
};
"""

# What a tap on the notification does, as far as no phone is needed for it.
TAP = """async () => {
  const done = [];
  WindowClient.prototype.focus = async function () { done.push(`focus ${this.url}`); };
  Clients.prototype.openWindow = async (url) => { done.push(`open ${url}`); };
  const [notification] = await registration.getNotifications();
  const tap = new NotificationEvent("notificationclick", { notification });
  const waited = [];
  tap.waitUntil = (promise) => waited.push(promise);
  dispatchEvent(tap);
  await Promise.all(waited);
  return done;
}"""


def test_a_phone_that_leaves_notifications_to_service_workers(
    stack: Stack, opened_whole: Opened
) -> None:
    room = stack.room(**STANDSTILL)
    with opened_whole("about:blank") as page:
        notified_on_a_phone(page, stack.page(room), lambda: stack.change(room, mode="open"))


def notified_on_a_phone(page: Page, address: str, call: Callable[[], None]) -> None:
    """Wait in a hidden tab, be called by a notification, and come back by a tap on it."""
    page.context.grant_permissions(["notifications"])
    page.add_init_script(UNSEEN + ANDROID)
    page.add_init_script("window.unseen.hidden = false;")
    page.goto(address)
    position(page, 1)
    page.get_by_role("button", name="Alert me when it's my turn").click()
    expect(page.locator("#alert-on")).to_contain_text("a sound and a notification")
    # There is no worker until one is needed.
    assert page.evaluate("window.workers()") == []
    set_unseen(page, hidden=True)
    with page.context.expect_event("serviceworker", timeout=SHOW_MS) as started:
        call()
    scope = started.value.url.removesuffix("notifier.js")
    called = [[scope, [["It's your turn!", address]]]]
    until(lambda: page.evaluate("window.workers()") == called, SHOWN_S, "the notification")
    # It gets no request of any page.
    assert re.fullmatch(re.escape(address.partition("rooms/")[0]) + "pages/[0-9a-f]+/", scope)
    assert page.evaluate("navigator.serviceWorker.controller") is None

    assert started.value.evaluate(TAP) == [f"focus {address}"]
    set_unseen(page, hidden=False)
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
    until(lambda: page.evaluate("window.workers()") == [], SHOWN_S, "the worker is gone")


def test_a_tap_activates_in_a_tab_that_believes_to_be_hidden(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened("about:blank") as page:
        page.add_init_script(UNSEEN)
        page.add_init_script("window.unseen.hidden = false;")
        page.goto(stack.page(room))
        position(page, 1)
        set_unseen(page, hidden=True)
        stack.change(room, mode="open")
        page.get_by_role("button", name="Enter now").click()
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))


@pytest.mark.parametrize("state", ["hidden", "prerendering"])
def test_no_place_is_taken_unseen(stack: Stack, opened: Opened, state: str) -> None:
    room = stack.room(**STANDSTILL)
    asked: list[str] = []
    with opened("about:blank") as page:
        page.add_init_script(UNSEEN)
        page.add_init_script(f"window.unseen = {{ hidden: false, {state}: true }};")
        page.on("request", lambda sent: asked.append(sent.url))
        page.goto(stack.page(room), wait_until="networkidle")
        expect(page).to_have_title(re.compile("^Open this tab to join"))
        assert not [url for url in asked if "/api/" in url]
        set_unseen(page, **{state: False})
        position(page, 1)


def test_the_screen_stays_on_while_waiting(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened("about:blank") as page:
        page.add_init_script(
            """window.locks = [];
            const wakeLock = { async request(kind) {
              window.locks.push(kind);
              return { released: false, release() { window.locks.push("released"); } };
            } };
            Object.defineProperty(navigator, "wakeLock", { get: () => wakeLock });"""
        )
        page.goto(stack.page(room))
        position(page, 1)
        assert page.evaluate("window.locks") == ["screen"]
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Leave the line").click()
        expect(page.get_by_role("heading", name="You have left the line")).to_be_visible()
        assert page.evaluate("window.locks") == ["screen", "released"]


def test_other_tabs_follow(strict_stack: Stack, opened: Opened) -> None:
    room = strict_stack.room(**STANDSTILL)
    strict_stack.enter(room, "first")
    with opened(strict_stack.page(room)) as page:
        position(page, 2)
        other = page.context.new_page()
        other.goto(strict_stack.page(room))
        position(other, 2)
        other.on("dialog", lambda dialog: dialog.accept())
        other.get_by_role("button", name="Leave the line").click()
        expect(page.get_by_role("heading", name="You have left the line")).to_be_visible()
        strict_stack.enter(room, "third", "fourth")
        other.get_by_role("button", name="Join again").click()
        position(other, 4)
        position(page, 4)
        # Both go on with the new place.
        for tab in (page, other):
            with tab.expect_response("**/queue/status*", timeout=SHOW_MS) as answer:
                hurried(tab)
            assert answer.value.ok
            position(tab, 4)


def test_a_device_that_was_out_of_reach(stack: Stack, opened: Opened) -> None:
    room = stack.room(**STANDSTILL)
    with opened("about:blank") as page:
        page.clock.install()
        page.goto(stack.page(room))
        position(page, 1)
        page.context.set_offline(True)
        page.clock.fast_forward(12 * 60_000)
        page.context.set_offline(False)
        page.clock.fast_forward(31_000)
        expect(page.locator("#news")).to_have_text(
            re.compile(r"^This device was disconnected for 1[23] minutes. Your place is kept.$")
        )
