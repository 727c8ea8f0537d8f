"""A room that stands by: no line at half its rate, and a fair line beyond its capacity."""

import asyncio
import threading
from time import monotonic

import httpx
import pytest

from tests.faults.stack import snapshot
from tests.http_client import ANSWER_S
from tests.until import until
from tests.web.gated import HOST, HTML, Gated, cookie_name
from tests.web.stack import SOON_S, Room, succeeded
from waitline.kernel.ids import RoomId
from waitline.queue.audit import examine

PER_S = 20
APART_S = 2 / PER_S
"""Time between two visitors at half the rate. Each comes that long after the answer to the one
before, so a slow machine only makes the load lower."""


def standing_by(site: Gated, **rules: object) -> Room:
    room = site.stack.room(standby="on", **rules)
    when = {"host": [HOST], "path": ["/buy/*"]}
    site.protect({"name": "buy", "action": "queue", "room": room.name, "when": when})
    return room


def passes(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("x-waitline-decision") == "standby")


def test_at_half_the_rate_no_visitor_sees_the_waiting_page(site: Gated) -> None:
    room = standing_by(site, admitPerSecond=PER_S)
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the bucket of a new room fills")
    answers = []
    for _ in range(30):
        threading.Event().wait(APART_S)
        answers.append(site.ask("/buy/1", **HTML))
    assert [answer.status_code for answer in answers] == [204] * 30
    assert all(map(passes, answers))
    # Each has a pass of its own, which the next request shows.
    tokens = {answer.headers["set-cookie"].split(";")[0] for answer in answers}
    assert len(tokens) == 30
    token = tokens.pop()
    assert token.startswith(cookie_name(room))
    again = site.ask("/buy/1", cookie=token, **HTML)
    assert again.headers["x-waitline-decision"] == "pass"
    assert again.headers["x-waitline-room"] == room.name


def test_at_twice_the_rate_all_queue_in_order_and_the_line_dissolves(site: Gated) -> None:
    per_s = 2
    room = standing_by(site, admitPerSecond=per_s, admitBurst=1)
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the bucket of a new room fills")
    joined: list[str] = []

    def waits() -> list[bool]:
        # The latest first, since visitors are let in while this is read.
        return [
            room.status(name).json()["data"]["status"] == "WAITING" for name in reversed(joined)
        ]

    for number in range(16):
        threading.Event().wait(1 / (2 * per_s))
        answer = site.ask("/buy/1", **HTML)
        if passes(answer):
            assert not any(waits())
        else:
            assert answer.status_code == 302
            joined.append(f"v{number}")
            succeeded(room.enter(joined[-1]), 201)
    assert joined

    def all_are_in() -> bool:
        found = waits()
        assert found == sorted(found, reverse=True)
        return not any(found)

    until(all_are_in, SOON_S, "the line has had its turns")
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the line has dissolved")


def test_beyond_its_capacity_all_queue_in_order_and_the_line_dissolves(site: Gated) -> None:
    room = standing_by(site, admitPerSecond=1000, activeMax=3)
    inside: list[httpx.Response] = []

    def three_are_inside() -> bool:
        answer = site.ask("/buy/1", **HTML)
        if passes(answer):
            inside.append(answer)
        return len(inside) == 3

    until(three_are_inside, SOON_S, "all slots are taken")
    for number in range(6):
        assert site.ask("/buy/1", **HTML).status_code == 302
        assert succeeded(room.enter(f"v{number}"), 201)["position"] == number + 1
    # A slot is free: it is the first in the line's, and nobody else's.
    left = room.who(inside[0].headers["x-waitline-user"])
    succeeded(site.left(left))
    until(lambda: room.status("v0").json()["data"]["status"] == "READY", SOON_S, "the first")
    assert site.ask("/buy/1", **HTML).status_code == 302
    assert [room.status(f"v{n}").json()["data"]["position"] for n in range(6)] == [0, 1, 2, 3, 4, 5]
    for number in range(6):
        succeeded(room.remove(f"v{number}"))
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the line has dissolved")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("HEAD", HTML, id="head"),
        pytest.param("GET", {**HTML, "Range": "bytes=0-"}, id="range"),
        pytest.param("GET", {**HTML, "Sec_Purpose": "prefetch"}, id="prefetch"),
        pytest.param("GET", {"Accept": "application/json"}, id="script"),
        pytest.param("POST", HTML, id="form"),
    ],
)
def test_only_a_page_takes_a_place(site: Gated, method: str, headers: dict[str, str]) -> None:
    room = standing_by(site, admitPerSecond=1000)
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "it admits")
    before = room.show()["totals"]["entered"]
    assert site.ask("/buy/1", method=method, **headers).status_code == 429
    assert room.show()["totals"]["entered"] == before


class Arrivals:
    """Visitors who come at a rate, whether or not those before them have their answers."""

    def __init__(self, site: Gated, room: Room) -> None:
        self._site = site
        self._room = room
        self.walked_in = 0
        self.joined: list[str] = []

    async def come(self, count: int, per_s: float) -> None:
        loop = asyncio.get_running_loop()
        begins_s = loop.time()
        limits = httpx.Limits(max_connections=50)
        url = str(self._site.stack.client.base_url)
        async with (
            httpx.AsyncClient(base_url=url, timeout=ANSWER_S, limits=limits) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(count):
                visit = self._visit(client, f"v{number}")
                loop.call_at(begins_s + number / per_s, tasks.create_task, visit)
            all_came = loop.create_future()
            loop.call_at(begins_s + count / per_s, all_came.set_result, None)
            await all_came

    async def _visit(self, client: httpx.AsyncClient, name: str) -> None:
        described = {
            "X-Forwarded-Method": "GET", "X-Forwarded-Proto": "http", "X-Forwarded-Host": HOST,
            "X-Forwarded-Uri": "/buy/1", "Cookie": "",
        }  # fmt: skip
        answer = await client.get("/api/v1/gate", headers=described | HTML)
        if passes(answer):
            self.walked_in += 1
            return
        assert answer.status_code == 302
        entered = await client.post("/api/v1/queue/enter", json=self._room.who(name))
        assert entered.status_code == 201
        self.joined.append(name)


@pytest.mark.long
@pytest.mark.parametrize("times", [0.5, 2.0], ids=["half the rate", "twice the rate"])
def test_a_crowd(site: Gated, times: float) -> None:
    """Many requests at a time; the short run has them one after the other."""
    per_s = 100
    room = standing_by(site, admitPerSecond=per_s, admitBurst=per_s, activeMax=10_000)
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the bucket of a new room fills")
    arrivals = Arrivals(site, room)
    began_s = monotonic()
    asyncio.run(arrivals.come(int(6 * per_s * times), per_s * times))
    took_s = monotonic() - began_s
    if times < 1:
        assert arrivals.walked_in == 6 * per_s * times
        return
    # Nobody inside has a higher place than one who waits.
    assert examine(snapshot(site.stack.program.valkey_url, RoomId(room.name))) == []
    # What the bucket had and got meanwhile.
    assert arrivals.walked_in <= (1 + took_s) * per_s
    assert len(arrivals.joined) + arrivals.walked_in == 6 * per_s * times
    until(lambda: passes(site.ask("/buy/1", **HTML)), SOON_S, "the line has dissolved")
    assert examine(snapshot(site.stack.program.valkey_url, RoomId(room.name))) == []
