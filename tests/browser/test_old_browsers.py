"""The waiting page in a browser that lacks what Safari 14.0 lacks."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Opened, Stack
from tests.browser.test_waiting_page import STANDSTILL, position

# What the browser of the tests has and Safari 14.0 has not, as far as scripts can take it away.
SAFARI_14 = """
delete AbortSignal.timeout; delete AbortSignal.any;
for (const owner of [Array, String, Int8Array]) delete owner.prototype.at;
for (const name of ["findLast", "findLastIndex", "toSorted", "toReversed", "with"]) {
  delete Array.prototype[name];
}
delete Object.hasOwn; delete Object.groupBy; delete Promise.withResolvers; delete URL.canParse;
for (const name of [
  "structuredClone", "BroadcastChannel", "WeakRef", "FinalizationRegistry", "requestIdleCallback",
  "HTMLDialogElement", "Notification", "scheduler", "URLPattern",
]) delete window[name];
delete Crypto.prototype.randomUUID;
for (const name of ["wakeLock", "locks", "vibrate", "userAgentData", "connection", "clipboard"]) {
  delete Navigator.prototype[name];
}
delete Document.prototype.prerendering;
window.webkitAudioContext = AudioContext; delete window.AudioContext;
for (const name of ["ListFormat", "DisplayNames", "DurationFormat", "Segmenter"]) delete Intl[name];
const { NumberFormat, DateTimeFormat } = Intl;
const refusing = (Format, names) => function (language, options = {}) {
  if (names.some((name) => options[name])) throw new RangeError("Safari 14.0 lacks this");
  return new Format(language, options);
};
Intl.NumberFormat = refusing(NumberFormat, ["unit", "notation"]);
Intl.DateTimeFormat = refusing(DateTimeFormat, ["dateStyle", "timeStyle", "dayPeriod"]);
"""


def test_a_visit_from_the_line_to_the_turn(stack: Stack, opened: Opened) -> None:
    room = stack.room(opensAt="2100-01-01T00:00Z", **STANDSTILL)
    with opened("about:blank", timezone_id="Asia/Seoul") as page:
        page.add_init_script(SAFARI_14)
        page.goto(stack.page(room))
        position(page, 1)
        assert page.evaluate("AbortSignal.timeout") is None
        expect(page.locator("#opens-at")).to_contain_text("January 1 at 9:00")
        page.get_by_role("button", name="Alert me").click()
        expect(page.locator("#alert-on")).to_have_text(re.compile("with a sound"))
        stack.change(room, mode="open", opensAt="")
        expect(page.get_by_role("heading", name="It's your turn")).to_be_visible()
        expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("heading", name="You have left the line")).to_be_visible()
