"""What every composition is tested for, from the first visitor to `down` and `up`.

The tests of a module share one running composition, and run in order.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.compose.composition import SOON_S, Composition, Show, enter
from tests.until import until

# Visitors of the entry burst, and those who enter while something happens.
BURST = 2_000
MORE = 50

BURST_ROOM = "burst"


@contextmanager
def no_request_fails(composition: Composition, show: Show) -> Iterator[None]:
    """Let visitors come until the block ends, each through nginx; no answer may be a failure."""
    stop = threading.Event()
    calls: list[int] = []

    def come() -> None:
        with composition.client() as client, client.impatient():
            while not stop.wait(0.05):
                user = f"roll-{len(calls)}"
                body = {"concertId": show.room, "userId": user}
                calls.append(client.post("/api/v1/queue/enter", json=body).status_code)
                calls.append(client.get(f"/api/v1/concerts/{show.concert}").status_code)

    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(come)
        try:
            yield
        finally:
            stop.set()
        coming.result(SOON_S)
    assert len(calls) > MORE
    assert set(calls) == {200, 201}, Counter(calls)


def lose_nothing(running: Composition, show: Show, killed: Sequence[str]) -> None:
    """Kill services one by one; each is started again, and what was answered is still there."""
    for service in killed:
        running.kill(service)
        before = len(running.entered)
        running.enter(BURST_ROOM, MORE)
        assert len(running.entered) == before + MORE
        with running.client() as client:
            show.buyer(client, f"after-{service}")
    assert running.waiting(BURST_ROOM) == len(running.entered)
    assert running.audits(BURST_ROOM) == []


class Proofs:
    """The tests; a class of a composition takes them over and names what is killed."""

    killed: tuple[str, ...]

    def test_a_visitor_comes_from_the_line_to_a_paid_seat(
        self, running: Composition, show: Show
    ) -> None:
        with running.client() as client:
            buyer = show.buyer(client, "first")
            assert buyer.confirmed(client)

            def gone() -> bool:
                query = {"concertId": show.room, "userId": buyer.user}
                headers = {"X-Queue-Token": buyer.token}
                found = client.get("/api/v1/queue/status", params=query, headers=headers)
                return found.status_code == 404

            # The event of the payment reaches the line: the slot is free.
            until(gone, SOON_S, "the visitor has left the line")
            # Nobody else reads the reservation, and what is for operators is not public.
            headers = {"X-Queue-Token": "forged", "X-User-Id": buyer.user}
            url = f"/api/v1/reservations/{buyer.reservation}"
            assert client.get(url, headers=headers).status_code in {401, 404}
            for path in ("/actuator/prometheus", "/api/v1/operator/concerts"):
                assert client.get(path).status_code == 404

    def test_an_entry_burst_gives_everybody_a_place_of_their_own(
        self, running: Composition
    ) -> None:
        running.tools("rooms", "create", BURST_ROOM, "--mode", "paused")
        running.enter(BURST_ROOM, BURST)
        places = [place for (room, _), place in running.entered.items() if room == BURST_ROOM]
        assert sorted(places) == list(range(1, BURST + 1))

    def test_what_is_killed_comes_back_and_nothing_is_lost(
        self, running: Composition, show: Show
    ) -> None:
        lose_nothing(running, show, self.killed)

    def test_down_and_up_lose_nothing(self, running: Composition, show: Show) -> None:
        running.compose("down")
        running.up()
        assert running.waiting(BURST_ROOM) == len(running.entered)
        with running.client() as client:
            assert running.paid
            assert all(buyer.confirmed(client) for buyer in running.paid.values())
            # Those who wait find their place; the room admits nobody.
            (room, user), place = next(iter(running.entered.items()))
            again = enter(client, room, user)
            assert (again["isNewEntry"], again["position"]) == (False, place)
            show.buyer(client, "after-up")
        assert running.audits(show.room) == []
        assert running.audits(BURST_ROOM) == []


class Updates:
    """An update, of a composition that has been tested by `Proofs`."""

    def test_a_rolling_update_fails_no_request(self, running: Composition, show: Show) -> None:
        for service in ("queue", "booking"):
            old = set(running.containers(service))
            with no_request_fails(running, show):
                running.script("roll", service)
            new = set(running.containers(service))
            assert len(new) == len(old)
            assert not new & old


@pytest.fixture(autouse=True)
def inside(running: Composition) -> Iterator[None]:
    """Let the test be in the engine's network, where the published ports are."""
    with running.engine.host.entered():
        yield
