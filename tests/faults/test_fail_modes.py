"""Fail modes: the box office while the queue is down, the queue while load reports stop.

Each concert and each room chooses its own; all are checked in one installation and one failure.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.stack import SOON_S, START_S, Stack, family, up
from tests.http_client import call, operate
from tests.processes import halted
from tests.until import until

CHOICES = ["refuse", "admit", "default"]
RULES = {"keep": "silent-keep", "slow": "silent-slow", "hold": "silent-hold"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("w"))
    with up(folder, workers=1, box_office=True) as running:
        until(running.whole, START_S, "everything runs")
        yield running


def operated(shop: Stack, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
    url = f"http://127.0.0.1:{shop.booking_port}/api/v1/operator/{path}"
    return operate(method, url, shop.program.operator_key, body)


def on_sale(shop: Stack, room: str, seats: int = 10) -> tuple[int, int]:
    """Put a concert on sale in a room; return its number and its schedule's."""
    concert = operated(shop, "POST", "concerts", {"title": room, "queue": room})["concertId"]
    body = {"startsAt": "2030-01-01T19:00:00+09:00"}
    made = operated(shop, "POST", f"concerts/{concert}/schedules", body)["scheduleId"]
    lines = [f"Floor,0,0-{seat},VIP,50000" for seat in range(seats)]
    text = "\n".join(["section,row,seat,grade,price", *lines]).encode()
    operated(shop, "POST", f"schedules/{made}/seats", text)
    return concert, made


def queue(shop: Stack, method: str, verb: str, room: str, user: int) -> dict[str, Any]:
    query = {"concertId": room, "userId": str(user)}
    how = {"json": query} if method == "POST" and verb == "enter" else {"params": query}
    url = f"http://127.0.0.1:{shop.port}/api/v1/queue/{verb}"
    answer = call(method, url, **how)
    assert answer.is_success, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def passed(shop: Stack, room: str, user: int) -> str:
    """Go through the waiting room and return the pass."""
    queue(shop, "POST", "enter", room, user)
    found: dict[str, Any] = {}

    def inside() -> bool:
        found.update(queue(shop, "GET", "status", room, user))
        return bool(found["status"] == "READY")

    until(inside, SOON_S, "the visitor is let in")
    return str(found["token"])


def seats(shop: Stack, schedule: int, user: int, token: str) -> httpx.Response:
    return call(
        "GET",
        f"http://127.0.0.1:{shop.booking_port}/api/v1/schedules/{schedule}/seats",
        headers={"X-User-Id": str(user), "X-Queue-Token": token},
    )


def test_while_the_queue_is_silent_each_concert_does_as_was_chosen(shop: Stack) -> None:
    ours: list[tuple[str, int, int, str, str]] = []
    for user, choice in enumerate(CHOICES, start=1):
        room = shop.room(f"silent-queue-{choice}", admitPerSecond=1000)
        concert, schedule = on_sale(shop, room)
        changed = operated(shop, "PATCH", f"concerts/{concert}", {"queueDown": choice})
        assert changed["queueDown"] == (None if choice == "default" else choice)
        ticket = str(queue(shop, "POST", "enter", room, user)["token"])
        ours.append((choice, schedule, user, passed(shop, room, user), ticket))
    with halted([shop.valkey]):
        for choice, schedule, user, token, ticket in ours:
            answer = seats(shop, schedule, user, token)
            if choice == "admit":
                assert answer.status_code == 200, answer.text
                # A ticket proves that its holder has come, and not that its turn has.
                assert seats(shop, schedule, user, ticket).status_code == 503
            else:
                # The installation has chosen nothing, so nobody comes in unasked.
                assert (answer.status_code, answer.json()["code"]) == (503, "E003")
                assert int(answer.headers["retry-after"]) > 0

    def answered() -> bool:
        return all(
            seats(shop, schedule, user, token).status_code == 200
            for _, schedule, user, token, _ in ours
        )

    until(answered, START_S, "everybody is asked about again")


def decided(shop: Stack, room: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.operator("GET", f"/{room}", {})
    return found


def test_while_the_shop_is_silent_each_room_does_as_was_chosen(shop: Stack) -> None:
    """All three are sold out, until nobody knows any more."""
    rooms = {}
    for number, rule in enumerate(RULES, start=1):
        room = shop.room(
            f"silent-shop-{rule}", admitPerSecond=100, admitBurst=10, whenShopSilent=rule
        )
        _, schedule = on_sale(shop, room, seats=1)
        user = 1_000 * number
        token = passed(shop, room, user)
        found = seats(shop, schedule, user, token).json()
        answer = call(
            "POST",
            f"http://127.0.0.1:{shop.booking_port}/api/v1/reservations",
            json={"scheduleId": schedule, "seatId": found[0]["seatId"]},
            headers={"X-User-Id": str(user), "X-Queue-Token": token},
        )
        assert answer.status_code == 201, answer.text
        rooms[rule] = (room, user)
    for room, user in rooms.values():
        wait_in_a_sold_out_room(shop, room, user)
    with halted(family(shop.booking)):
        for rule, (room, _) in rooms.items():
            until(
                lambda room=room, rule=rule: decided(shop, room)["now"]["reason"] == RULES[rule],  # type: ignore[misc]
                START_S,
                f"{room} does as its operator has chosen",
            )
        # Those who wait are let in, at once or slowly; or nobody is.
        for rule in ("keep", "slow"):
            until(
                lambda room=rooms[rule][0]: decided(shop, room)["waiting"] == 0,  # type: ignore[misc]
                START_S,
                "nobody waits there any more",
            )
        held = decided(shop, rooms["hold"][0])
        assert held["waiting"] > 0
        assert (held["now"]["admitPerSecond"], held["now"]["mode"]) == (0, "paused")
        assert held["mode"] == "open"
    # It reports again, and what it says counts.
    room = rooms["hold"][0]
    until(lambda: decided(shop, room)["now"]["reason"] == "sold-out", START_S, "it is heard again")
    assert decided(shop, room)["waiting"] > 0
    assert shop.audited(room) == []


def wait_in_a_sold_out_room(shop: Stack, room: str, first: int) -> None:
    """Let visitors come until some of them wait, because the room has heard that all is sold."""
    come = first

    def held() -> bool:
        nonlocal come
        now = decided(shop, room)
        if now["now"] and now["now"]["reason"] == "sold-out" and now["waiting"]:
            return True
        if not now["waiting"]:
            come += 1
            queue(shop, "POST", "enter", room, come)
        return False

    until(held, START_S, "somebody waits in a sold-out room")
