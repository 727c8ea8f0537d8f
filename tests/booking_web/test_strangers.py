"""Whatever strangers call, and however often, buyers are admitted and served as before."""

from collections.abc import Iterator

import pytest

from tests.booking_web.office import Buyer, Office, Show, running, succeeded
from tests.booking_web.strangers import CALLS, flood
from tests.booking_web.test_following import decided, reported
from tests.until import until
from tests.web.stack import SOON_S

RATE = 20

# Answers of strangers during which the reports are compared: some seconds of the flood.
ANSWERS = 4_000


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """An installation whose worker nobody else uses."""
    with running("production") as office:
        yield office


@pytest.fixture
def show(office: Office) -> Show:
    show = office.show(rows=30)
    path = f"/api/v1/rooms/{show.room}"
    rules = {"admitPerSecond": RATE, "activeMax": 100_000}
    succeeded(office.queue.client.patch(path, json=rules, headers=office.operator))
    return show


def shop(buyer: Buyer, seat: int) -> None:
    """Look at the seats and reserve one."""
    assert buyer.seats().status_code == 200
    assert buyer.reserve(seat).status_code == 201


def watch(show: Show, *kinds: str, connections: int = 1) -> list[float]:
    """Let strangers call while buyers shop; return the loads that the shop reported."""
    reported(show, len(show.seats))
    seats = iter(show.seats)
    buyers = [show.waiting() for _ in range(10)]
    # Somebody waits all the while, so that the room is awake.
    crowd = [show.waiting() for _ in range(RATE * 10)]
    assert crowd
    for buyer in buyers[:2]:
        buyer.wait()
        shop(buyer, next(seats))
    # Without strangers, neighbours on the machine make buyers' statements slow, and that is load.
    until(lambda: decided(show)["admitPerSecond"] == RATE, 4 * SOON_S, "the shop is at its ease")
    loads: dict[float, float] = {}
    rates: set[float] = set()
    with flood(show.office.program.booking_port, *kinds, connections=connections) as strangers:
        for buyer in buyers[2:]:
            buyer.wait()
            shop(buyer, next(seats))

        def enough() -> bool:
            now = decided(show)
            loads[now["shop"]["reportedSecondsAgo"]] = now["shop"]["load"]
            rates.add(now["admitPerSecond"])
            return sum(strangers.answers.values()) >= ANSWERS

        until(enough, 4 * SOON_S, "the strangers got their answers")
    assert 500 not in strangers.answers
    assert rates == {RATE}, (loads, strangers.answers)
    return list(loads.values())


def test_all_kinds_at_once(show: Show) -> None:
    assert max(watch(show, *CALLS)) < 1


@pytest.mark.long
@pytest.mark.parametrize("kind", CALLS)
def test_each_kind(show: Show, kind: str) -> None:
    assert max(watch(show, kind, connections=100)) < 1
