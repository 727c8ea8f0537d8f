"""GET /api/v1/rooms/{room}/now-serving: one small document for everyone."""

import asyncio
import itertools
import re
from time import monotonic
from typing import Any

import pytest

from tests.until import until
from tests.web.stack import SOON_S, Room, Stack, at_once, refused, succeeded
from waitline.kernel.clock import SystemClock
from waitline.services.queue.now_serving import CHECK_S
from waitline.valkey.client import ValkeyClient

WORKERS = 2

SURVEYS = re.compile(
    r'^redis_script_duration_seconds_count\{[^}]*script="survey"[^}]*\} (\S+)$', re.MULTILINE
)


def test_the_document(trial: Stack) -> None:
    room = trial.room(
        mode="paused", title="서울 공연", message="곧 열립니다", shopUrl="https://shop.example"
    )
    for n in range(3):
        room.arrive(f"u{n}")
    succeeded(room.remove("u0"))
    # A worker that has estimated a wait keeps what it saw for a second.
    until(lambda: room.now_serving().json()["waiting"] == 2, SOON_S, "the document is fresh")
    response = room.now_serving()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=1"
    assert "set-cookie" not in response.headers
    document = response.json()
    assert abs(document.pop("asOfMs") - SystemClock().now_ms()) < 5_000
    assert document == {
        "room": room.name,
        "title": "서울 공연",
        "mode": "paused",
        "message": "곧 열립니다",
        "titles": {"ko": "서울 공연"},
        "messages": {"ko": "곧 열립니다"},
        "shopUrl": "https://shop.example",
        "state": "paused",
        "opensAt": None,
        "closesAt": None,
        "idleSeconds": 600,
        "returnSeconds": 600,
        "serving": 1,
        "returned": 0,
        "waiting": 2,
        "ratePerSecond": None,
        "newcomerWaitSeconds": None,
        "pollAfterMs": 3_000,
    }


def test_a_room_before_its_opening(trial: Stack) -> None:
    room = trial.room(
        opensAt="2099-03-15T20:00+09:00", title="Spring", message="잠시만요", messageEn="Wait"
    )
    document = room.now_serving().json()
    assert (document["state"], document["mode"]) == ("before-opening", "paused")
    assert (document["opensAt"], document["closesAt"]) == ("2099-03-15T20:00:00+09:00", None)
    assert document["titles"] == {"en": "Spring"}
    assert document["messages"] == {"ko": "잠시만요", "en": "Wait"}


def test_the_pace(measured: Room) -> None:
    seen: list[dict[str, Any]] = []

    def paced() -> bool:
        seen.append(measured.now_serving().json())
        return seen[-1]["ratePerSecond"] is not None

    until(paced, SOON_S, "the pace is posted")
    document = seen[-1]
    rate, wait = document["ratePerSecond"], document["newcomerWaitSeconds"]
    assert 0 < rate["low"] <= 4.4
    assert rate["low"] <= rate["high"] <= 8
    assert 0 < wait["low"] <= wait["high"]
    assert wait["high"] == pytest.approx(document["waiting"] / rate["low"], rel=0.05)


def test_a_document_that_the_asker_has(paused: Room) -> None:
    first = paused.now_serving()
    tag = first.headers["etag"]
    for given in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        same = paused.now_serving(**{"If-None-Match": given})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == tag
        assert same.headers["cache-control"] == first.headers["cache-control"]
        assert "content-length" not in same.headers
    assert paused.now_serving(**{"If-None-Match": 'W/"other"'}).status_code == 200

    paused.arrive()
    until(
        lambda: paused.now_serving(**{"If-None-Match": tag}).status_code == 200,
        SOON_S,
        "the change is posted",
    )


def test_no_room(trial: Stack) -> None:
    room = trial.unused()
    for _ in range(3):
        refused(room.now_serving(), 404, "C004")
    # That there is none is not remembered.
    room.arrive()
    assert room.now_serving().status_code == 200


def test_the_store_is_asked_once_a_second(alone: Stack) -> None:
    room = alone.room(mode="paused")
    rooms = len(succeeded(alone.client.get("/api/v1/rooms", headers=alone.operator))["rooms"])
    looks = 0

    def surveys() -> float:
        nonlocal looks
        looks += 1
        return sum(float(count) for count in SURVEYS.findall(alone.metrics()))

    before, started = surveys(), monotonic()
    asked = 0

    def most(lasted: float) -> float:
        """Each worker surveys once a second; a scrape of the metrics surveys every room, too."""
        return WORKERS * (lasted + 2) + rooms * looks

    # On a slow machine it takes longer until many more have asked; three looks are to come.
    lasted = 0.0
    while lasted < 2.5 or (asked <= 5 * (most(lasted) + 3 * rooms) and lasted < SOON_S):
        asked += len(at_once(8, lambda: [room.now_serving() for _ in range(10)])) * 10
        lasted = monotonic() - started
    # A worker adds its count to the sum within a second.
    until(lambda: surveys() > before, SOON_S, "the surveys are counted")
    bound = most(lasted)
    assert surveys() - before <= bound + rooms
    assert asked > 5 * bound


def test_invented_names_share_few_calls(alone: Stack) -> None:
    def checks() -> int:
        return asyncio.run(_commands(alone)).get("cmdstat_smismember", 0)

    def surveys() -> float:
        return sum(float(count) for count in SURVEYS.findall(alone.metrics()))

    known = alone.room(mode="paused")
    names = itertools.count()
    surveyed, before, started = surveys(), checks(), monotonic()
    asked = 0

    def ask() -> None:
        for _ in range(20):
            invented = Room(alone, f"invented-{next(names)}")
            assert invented.now_serving().status_code == 404

    def most() -> float:
        """Each worker checks twenty times a second at most, and once more at the beginning."""
        return WORKERS * ((monotonic() - started) / CHECK_S + 1)

    while monotonic() < started + 2.5 or (asked < most() and monotonic() < started + SOON_S):
        at_once(8, ask)
        asked += 8 * 20
        assert known.now_serving().status_code == 200
    made = checks() - before
    assert made <= most() < asked
    # Of the known room, and of every room for the metrics.
    assert surveys() - surveyed < asked / 2
    # Nothing is remembered: a name is found from the moment at which it is a room's.
    room = alone.unused()
    assert room.now_serving().status_code == 404
    room.arrive()
    assert [each.status_code for each in at_once(8, room.now_serving)] == [200] * 8


async def _commands(stack: Stack) -> dict[str, int]:
    """Return how often the store has carried out each command."""
    store = ValkeyClient((stack.data_dir / "valkey.url").read_text("utf-8"), timeout_s=SOON_S)
    try:
        received = await store.command("INFO", "commandstats")
    finally:
        await store.close()
    found = re.findall(r"^(cmdstat_\w+):calls=(\d+)", received, re.MULTILINE)
    return {name: int(calls) for name, calls in found}


def test_positions_never_rise_while_others_come_and_go(trial: Stack) -> None:
    room = trial.room(mode="paused", admitPerSecond=15, admitBurst=2)
    watchers = {}
    for n in range(12):
        room.arrive(f"other-{n}")
        watchers[f"u{n}"] = int(room.arrive(f"u{n}").split(".")[2])
    room.change(mode="open")
    shown = dict.fromkeys(watchers, 10**9)
    as_of_ms = 0
    step = 0

    def all_served() -> bool:
        nonlocal as_of_ms, step
        step += 1
        room.arrive(f"newcomer-{step}")
        succeeded(room.remove(f"newcomer-{step - 2}"))
        succeeded(room.remove(f"other-{step}"))
        for document in at_once(3, lambda: room.now_serving().json()):
            if document["asOfMs"] < as_of_ms:
                # Another worker's, a moment older than what has been seen.
                continue
            as_of_ms = document["asOfMs"]
            for name, place in watchers.items():
                position = max(place - document["serving"], 0)
                assert position <= shown[name]
                shown[name] = position
        # The exact position is asked for later, and does not rise either.
        for name in list(watchers)[step % 3 :: 3]:
            assert succeeded(room.status(name))["position"] <= shown[name]
        return not any(shown.values())

    until(all_served, 30, "everybody who watches is served")
