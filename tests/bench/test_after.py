"""`waitline report sale`: consistent figures, a self-contained page, safe file names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.test_report import FETCHED
from tests.servers import Server
from tests.store.room import Room
from tests.web.stack import Done, waitline
from waitline.booking.sale_totals import SaleStep, SaleTotals, Totals
from waitline.queue.record import RoomTotals as Total
from waitline.sales.drawing import page as page_of
from waitline.sales.sale_report import page, summary
from waitline.sales.sale_report.summary import Aftermath

SOLD = Totals(
    concerts=1, seats=100, sold=60, held=3, held_back=2, complimentary=4, reservations=80,
    pending=3, confirmed=58, buyers=55, free=1, expired=12,
    cancelled=5, payments=70, declined=4, refunded=2, refunding=1,
    taken={"KRW": 3_000_000, "USD": 1_234_550},
    given_back={"KRW": 100_000, "USD": 5}, paying_p95_s=1.5,
)  # fmt: skip
ACCOUNT = SaleTotals(SOLD, 10, [SaleStep(1_000.0, 50, 30, 0), SaleStep(1_040.0, 30, 33, 12)])


@pytest.fixture
def room(valkey: Server) -> Iterator[Room]:
    """A room in which some have been let in, left, lapsed, and not come."""
    room = Room(valkey, "sale/1 <b>")
    room.open()
    room.join(*"abcdef")
    room.call("a")
    room.activate("a")
    room.leave("a", "e")
    room.change(ready_ttl_ms=10)
    room.call(*"bcd")
    room.reach(room.now_ms() + 20)
    room.sweep()
    yield room
    room.close()


def aftermath(room: Room, sale_totals: SaleTotals | None = None) -> Aftermath:
    record = room.server.wait(room.rooms.sale_record(room.id))
    return Aftermath(room.id, room.survey(), record, sale_totals)


def reported(room: Room, *words: str | Path) -> Done:
    return waitline("report", "sale", "--room", room.id, "--valkey-url", room.server.url, *words)


def test_the_document_says_what_became_of_everybody(room: Room) -> None:
    document = summary.document(aftermath(room, ACCOUNT))
    counted = {name: document[name] for name in ("entered", "admitted", "abandoned", "waiting")}
    assert counted == {"entered": 6, "admitted": 4, "abandoned": 1, "waiting": 1}
    counted = {name: document[name] for name in ("activated", "left", "lapsed", "no_shows")}
    assert counted == {"activated": 1, "left": 1, "lapsed": 3, "no_shows": 3}
    assert sum(row["visitors"] for row in document["waits"]) == 4
    assert document["wait_ms"]["p50"] <= document["wait_ms"]["longest"]
    assert document["overtaken"] == 0
    assert (document["sale"]["sold"], document["sale"]["expired"]) == (60, 12)
    assert json.loads(json.dumps(document)) == document


def test_the_page_needs_nothing_else_and_escapes_what_others_named(room: Room) -> None:
    html = page.report(aftermath(room, ACCOUNT))
    assert FETCHED.search(html) is None
    assert "<b>" not in html
    assert "sale/1 &lt;b&gt;" in html
    assert "admitted, all in the order of the line" in html
    for text in (
        "seats sold",
        "no-shows",
        "wait, p95",
        "At the box office",
        "Admitted after at most",
    ):
        assert text in html


def test_each_currency_has_its_own_amount_with_its_decimals(room: Room) -> None:
    sale = aftermath(room, ACCOUNT)
    amounts = [one for one in summary.sold(ACCOUNT) if one.name.startswith("amount")]
    assert [one.text for one in amounts] == [
        "3,000,000 KRW", "12,345.50 USD", "100,000 KRW", "0.05 USD",
    ]  # fmt: skip
    assert [bool(one.meaning) for one in amounts] == [True, False, True, False]
    figures = summary.document(sale)["sale"]
    assert figures["taken"] == {"KRW": "3000000", "USD": "12345.50"}
    assert figures["given_back"] == {"KRW": "100000", "USD": "0.05"}
    html = page.report(sale)
    assert all(one.text in html for one in amounts)
    nothing = SaleTotals(SOLD._replace(taken={}, given_back={}), 10, [])
    assert [one.text for one in summary.sold(nothing) if one.name.startswith("amount")] == ["0"] * 2


def test_a_line_is_reported_without_a_box_office(room: Room) -> None:
    html = page.report(aftermath(room))
    assert "seats sold" not in html
    assert "Admitted after at most" in html


def test_a_room_in_which_nothing_happened_has_a_page_too(valkey: Server) -> None:
    empty = Room(valkey, "empty")
    empty.open()
    html = page.report(aftermath(empty))
    assert "nobody" in html
    assert "<svg" not in html
    empty.close()


def test_overtaken_visitors_are_reported_first(room: Room) -> None:
    room.raw("HINCRBY", room.keys.room, "overtaken", 2)
    html = page.report(aftermath(room))
    assert 'class="verdict bad"' in html
    assert "2 visitors were admitted after somebody who had joined later" in html
    done = reported(room, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["overtaken"] == 2


def test_every_figure_says_what_it_counts(room: Room) -> None:
    document = summary.document(aftermath(room, ACCOUNT))
    about_the_report = {"room", "at_ms", "waits", "steps", "sale", "differences", "meanings"}
    assert document["meanings"]["line"].keys() == document.keys() - about_the_report
    assert document["meanings"]["sale"].keys() == document["sale"].keys() - {"steps", "width_s"}
    html = page.report(aftermath(room, ACCOUNT))
    for meanings in document["meanings"].values():
        shown = [meaning for meaning in meanings.values() if page_of.escape(meaning) in html]
        # Of a few the page shows the figure alone: they are the denominators of others.
        assert len(shown) >= len(meanings) - 4


def test_figures_that_look_alike_but_differ_are_explained(room: Room, tmp_path: Path) -> None:
    # Four were admitted and one of them began; what is sold besides has other reasons.
    sale = aftermath(room, ACCOUNT)
    assert [text.split(":")[0] for text in summary.differences(sale)] == [
        "55 buyers, though 1 activated their turn",
        "55 buyers, though 4 were admitted",
        "Complimentary",
        "1 standing reservation free of charge",
        "60 seats in 58 standing reservations",
    ]
    html = page.report(sale)
    assert all(page_of.escape(text) in html for text in summary.differences(sale))

    # Somebody buys without beginning: the slot is free, and nobody began.
    room.change(ready_ttl_ms=60_000)
    room.call("f")
    room.leave("f")
    (text,) = summary.differences(aftermath(room))
    assert text.startswith(
        "Of 5 admitted, 1 activated their turn and 3 were no-shows. The other 1 "
    )
    assert summary.document(aftermath(room))["differences"] == [text]
    shown = reported(room, "--out", tmp_path, "--data-dir", tmp_path)
    assert "Where figures differ" in shown.stdout


def test_where_nothing_differs_nothing_is_explained(room: Room) -> None:
    assert summary.differences(aftermath(room)) == []


def test_paces_are_differences_of_totals() -> None:
    steps = [
        Total(0, 100, 50, 50, 5),
        Total(10_000, 300, 150, 150, 5),
        Total(30_000, 300, 200, 100, 5),
    ]
    assert summary.paces(steps) == [(10_000, 20.0, 10.0), (30_000, 0.0, 2.5)]


def test_the_command_writes_a_page_and_its_figures(room: Room, tmp_path: Path) -> None:
    done = reported(room, "--out", tmp_path, "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "admitted, all in the order of the line" in done.stdout
    assert "No concert uses this room." in done.stdout
    (figures, page) = sorted(path.name for path in tmp_path.iterdir())[::-1]
    assert (figures, page) == ("sale-sale%2F1%20%3Cb%3E.json", "sale-sale%2F1%20%3Cb%3E.html")
    assert json.loads((tmp_path / figures).read_text("utf-8"))["entered"] == 6
    assert re.search(r"<title>Sale: sale/1 &lt;b&gt;</title>", (tmp_path / page).read_text("utf-8"))


def test_an_unknown_room_is_one_line(valkey: Server) -> None:
    done = waitline("report", "sale", "--room", "nobody's", "--valkey-url", valkey.url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not found" in done.stderr
