"""The composition with a Valkey cluster and a standby of PostgreSQL; both fail over under load."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest

from tests.compose.composition import UP_S, Composition, Show, enter
from tests.compose.composition import running as running_composition
from tests.compose.engine import Engine, needed
from tests.compose.proofs import BURST_ROOM, Proofs, Updates, inside
from tests.http_client import Client
from tests.until import until

__all__ = ["inside"]

pytestmark = [needed, pytest.mark.long]

# Visitors of the load who enter, or buy, at once; and answers that each phase of a failover waits
# for. A visitor comes some time after the one before: what is counted stays countable.
COMERS = 4
ANSWERS = 20
PAUSE_S = 0.1


@pytest.fixture(scope="module")
def running(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    with running_composition(engine, tmp_path_factory.mktemp("cluster"), "cluster") as made:
        yield made


@pytest.fixture(scope="module")
def show(running: Composition) -> Show:
    return running.on_sale("spring")


@contextmanager
def load(visit: Callable[[int], None], answered: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """Let visitors come until the block ends.

    Args:
        visit: What the visitor of a number does.
        answered: How many have been served.

    Yields:
        Waits until `ANSWERS` more have been served.
    """
    stop = threading.Event()
    numbers = count()

    def come() -> None:
        while not stop.wait(PAUSE_S):
            visit(next(numbers))

    def more() -> None:
        wanted = answered() + ANSWERS

        def served() -> bool:
            # A visit that failed ends the wait, with its reason.
            for one in comers:
                if one.done():
                    one.result()
            return answered() >= wanted

        until(served, UP_S, f"{ANSWERS} more are served")

    with ThreadPoolExecutor(COMERS) as threads:
        comers = [threads.submit(come) for _ in range(COMERS)]
        try:
            yield more
        finally:
            stop.set()
        for one in comers:
            one.result(UP_S)


def primary_of(running: Composition, room: str, asked: str) -> str:
    """Return the node that has a room, as another node knows it; empty if none has."""

    def cluster(*words: str) -> str:
        line = f"valkey-cli --no-auth-warning cluster {' '.join(words)}"
        script = f"REDISCLI_AUTH=$(cat /run/secrets/valkey_password) {line}"
        return running.compose("exec", "-T", asked, "sh", "-c", script)

    slot = int(cluster("keyslot", f"'wl:{{{room}}}:room'"))
    for line in cluster("nodes").splitlines():
        _, address, flags, _, _, _, _, _, *ranges = line.split()
        ends = [tuple(map(int, one.split("-"))) for one in ranges if one[0].isdigit()]
        if "master" in flags and any(end[0] <= slot <= end[-1] for end in ends):
            return f"valkey-{int(address.partition(':')[0].rpartition('.')[2]) - 10}"
    return ""


class TestCluster(Proofs, Updates):
    killed = ("queue", "admitter", "valkey-1", "postgres")

    def test_a_replica_replaces_the_primary_of_a_room_under_load(
        self, running: Composition
    ) -> None:
        primary = primary_of(running, BURST_ROOM, "valkey-1")
        witness = "valkey-2" if primary == "valkey-1" else "valkey-1"
        before = dict(running.entered)
        with running.client() as client:
            client.patience_s = UP_S

            def visit(number: int) -> None:
                user = f"failover-{number}"
                running.entered[BURST_ROOM, user] = enter(client, BURST_ROOM, user)["position"]

            with load(visit, lambda: len(running.entered)) as more:
                more()
                running.take_away(primary)
                until(
                    lambda: primary_of(running, BURST_ROOM, witness) not in {"", primary},
                    UP_S,
                    "a replica is the primary",
                )
                # Joins are confirmed by a replica: the node of before becomes that.
                running.compose("start", primary)
                more()
            assert running.waiting(BURST_ROOM) == len(running.entered)
            assert sorted(running.entered.values()) == list(range(1, len(running.entered) + 1))
            for room, user in running.entered.keys() - before.keys():
                again = enter(client, room, user)
                kept = (False, running.entered[room, user])
                assert (again["isNewEntry"], again["position"]) == kept
        assert running.audits(BURST_ROOM) == []

    def test_the_standby_replaces_the_primary_of_the_bookings_under_load(
        self, running: Composition, show: Show
    ) -> None:
        with running.client() as client:
            client.patience_s = UP_S
            paid = running.paid
            with load(lambda number: _buy(show, client, number), lambda: len(paid)) as more:
                more()
                running.take_away("postgres")
                running.script("failover", "promote")
                more()
                running.script("failover", "rejoin")
                more()
            assert all(buyer.confirmed(client) for buyer in paid.values())
            assert running.audits(show.room) == []
        # The roles are kept, also by what was the primary at first.
        running.compose("down")
        running.up()
        with running.client() as client:
            assert all(buyer.confirmed(client) for buyer in paid.values())
            show.buyer(client, "after-failover")
        assert running.audits(show.room) == []


def _buy(show: Show, client: Client, number: int) -> None:
    show.buyer(client, f"buyer-{number}")
