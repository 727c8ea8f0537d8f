"""Admission follows the shop, end to end: real seats, real reports, real admitter."""

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import httpx
import msgspec

from tests.booking_web.office import Buyer, Office, Show
from tests.until import until
from tests.web.stack import SOON_S, Room, events, succeeded, waitline
from waitline.kernel.events import REPORTS, Report
from waitline.queue.keys import AWAKE
from waitline.valkey.client import ValkeyClient


def room_of(show: Show) -> Room:
    return Room(show.office.queue, show.room)


def decided(show: Show) -> dict[str, Any]:
    """The current admission decision, as `rooms show` reports it."""
    found: dict[str, Any] = room_of(show).show()["now"] or {"reason": None}
    return found


def mode(show: Show) -> str:
    """The mode of the room, as now-serving shows it."""
    received: str = room_of(show).now_serving().json()["mode"]
    return received


def asked(show: Show, *words: str | int) -> Any:  # noqa: ANN401 - whatever the store says
    async def ask() -> Any:  # noqa: ANN401
        url = (show.office.queue.data_dir / "valkey.url").read_text("utf-8")
        store = ValkeyClient(url, timeout_s=SOON_S)
        try:
            return await store.command(*words)
        finally:
            await store.close()

    return asyncio.run(ask())


def reported(show: Show, free: int) -> None:
    """Wait until so many free seats are known, before anybody comes for them.

    Nobody waits, so the room sleeps; the admitter that wakes it finds what was reported by then.
    """
    until(lambda: show.room not in asked(show, "SMEMBERS", AWAKE), SOON_S, "nobody waits")
    ((since, _),) = asked(show, "XREVRANGE", REPORTS, "+", "-", "COUNT", 1)

    def received() -> bool:
        found = asked(show, "XRANGE", REPORTS, f"({since}", "+")
        stocks = [msgspec.json.decode(fields[1], type=Report).stock for _, fields in found]
        known = [stock for stock in stocks if stock is not None and show.room in stock]
        return len(known) >= 2 and known[-1][show.room].free == free

    until(received, SOON_S, f"{free} free seats are reported")


def sold_out(show: Show) -> tuple[list[tuple[Buyer, int]], Buyer]:
    """Let three reserve all ten seats, and another wait."""
    held = []
    for buyer, seats in zip(show.buyers(3), ((0, 4), (4, 8), (8, 10)), strict=True):
        held.append((buyer, buyer.reserved(*show.seats[slice(*seats)])))
    reported(show, 0)
    waiting = show.waiting()
    until(lambda: decided(show)["reason"] == "sold-out", SOON_S, "the room is sold out")
    return held, waiting


def stands(buyer: Buyer) -> str:
    received: str = succeeded(buyer.standing())["status"]
    return received


def test_waiting_visitors_see_sold_out_and_are_admitted_when_seats_come_back(
    trial: Office,
) -> None:
    show = trial.show(rows=1)
    held, first = sold_out(show)
    second = show.waiting()
    until(lambda: mode(show) == "sold-out", SOON_S, "it is posted")
    # Each worker keeps the document for a second.
    served = room_of(show).now_serving
    until(lambda: served().json()["waiting"] == 2, SOON_S, "the document counts both")
    assert served().json()["newcomerWaitSeconds"] is None
    # The contract of the calls is as ever, and the operator's mode too.
    assert [stands(each) for each in (first, second)] == ["WAITING", "WAITING"]
    assert room_of(show).show()["mode"] == "open"
    now = decided(show)
    assert (now["mode"], now["mayAdmit"], now["admitPerSecond"]) == ("sold-out", 0, 0)
    assert (now["shop"]["freeSeats"], now["shop"]["liveReservations"]) == (0, 3)

    # Two seats come back, their holder goes, and two visitors may come for them.
    buyer, reservation = held[2]
    assert buyer.cancel(reservation).status_code == 200
    succeeded(room_of(show).remove(str(buyer.user)))
    for each in (first, second):
        each.wait()
    until(lambda: mode(show) == "open", SOON_S, "it is posted")
    assert first.reserve(show.seats[8]).status_code == 201

    # Who has paid gets the money back, and the seats are there for the next.
    assert second.reserve(show.seats[9]).status_code == 201
    reported(show, 0)
    third = show.waiting()
    until(lambda: mode(show) == "sold-out", SOON_S, "it is posted")
    buyer, reservation = held[0]
    paid = buyer.pay(reservation, amount=4 * 50_000)
    assert paid.status_code == 201, paid.text
    assert buyer.cancel(reservation).status_code == 200
    third.wait()


def test_a_stream_tells_that_all_is_sold_and_that_something_is_back(trial: Office) -> None:
    show = trial.show(rows=1)
    held, waiting = sold_out(show)
    with room_of(show).subscribe(str(waiting.user), waiting.token) as stream:
        received = events(stream)
        seen = [next(received), next(received)]
        assert {event.name for event in seen} == {"status-update", "mode"}
        assert [event.data for event in seen if event.name == "mode"] == [{"mode": "sold-out"}]
        buyer, reservation = held[2]
        assert buyer.cancel(reservation).status_code == 200
        rest = [event.name for event in received]
    assert rest[-1] == "ready"
    assert set(rest) <= {"mode", "status-update", "ready"}


def test_the_reason_is_a_metric_and_a_sentence(trial: Office) -> None:
    show = trial.show(rows=1)
    sold_out(show)
    labels = rf'concert_id="{show.room}"'

    def received() -> dict[str, float]:
        text = httpx.get(f"{trial.queue.url}/actuator/prometheus", timeout=SOON_S).text
        found = re.findall(rf"^(queue_\w+)\{{[^}}]*{labels}([^}}]*)\}} (\S+)$", text, re.MULTILINE)
        return {name + "".join(re.findall('reason="(.*?)"', rest)): float(value)
                for name, rest, value in found}  # fmt: skip

    until(lambda: received().get("queue_admission_reasonsold-out") == 1, SOON_S, "it is counted")
    found = received()
    reasons = [value for name, value in found.items() if "admission_reason" in name]
    assert sum(reasons) == 1
    assert len(reasons) > 5
    assert found["queue_admission_limit_per_second"] == 0
    assert found["queue_admission_allowance"] == 0
    assert found["queue_shop_free_seats"] == 0
    assert found["queue_shop_live_reservations"] == 3
    assert found["queue_shop_report_age_seconds"] < SOON_S
    assert {"queue_shop_load", "queue_no_show_share"} <= set(found)

    where = ("--data-dir", str(trial.queue.data_dir))
    done = waitline("rooms", "show", show.room, *where)
    assert re.search(r"now +sold-out: no seats are available", done.stdout), done.stdout
    shown = json.loads(waitline("rooms", "show", show.room, "--json", *where).stdout)
    assert (shown["mode"], shown["now_may_admit"], shown["shop_free_seats"]) == ("open", 0, 0)
    listed = json.loads(waitline("rooms", "list", "--json", *where).stdout)
    assert [row["mode"] for row in listed if row["room"] == show.room] == ["sold-out"]


def test_the_last_seats_draw_no_crowd(trial: Office) -> None:
    show = trial.show(rows=1)
    reported(show, 10)
    crowd = [show.waiting() for _ in range(40)]

    def inside() -> int:
        return sum(stands(each) == "READY" for each in crowd)

    until(lambda: inside() >= 10, SOON_S, "as many are let in as there are seats")
    # None of them takes a seat, so after a while others may; never all at once.
    now = decided(show)
    assert now["reason"] == "last-seats"
    assert now["shop"]["freeSeats"] == 10
    assert now["mayAdmit"] <= 2
    with suppress(AssertionError):
        until(lambda: inside() == len(crowd), 1, "more come than there are seats for")
    assert inside() < len(crowd)
