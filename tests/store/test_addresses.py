"""Counts and limits of client addresses: places in a minute, places held, refused calls."""

import pytest

from tests.store.room import Room
from waitline.kernel.ids import VisitorId
from waitline.queue.addresses import Addresses, Counted
from waitline.queue.model import AddressLimited

HOME, NETWORK = "203.0.113.7", "203.0.113.0/24"
NEXT_DOOR, ELSEWHERE = "203.0.113.8", ("198.51.100.1", "198.51.100.0/24")


class Limited:
    """A room whose newcomers come from addresses."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.addresses = Addresses(room.store)

    def take(self, visitor: str, address: str = HOME, network: str = NETWORK) -> str | None:
        """Try to take a place; return the limit that refuses it, or `None`."""
        newcomer = (VisitorId(visitor), address, network)
        (outcome,) = self.room.server.wait(self.addresses.allow(self.room.id, [newcomer]))
        if isinstance(outcome, AddressLimited):
            assert 1 <= outcome.retry_after_s <= 60
            return outcome.limit
        self.room.join(visitor)
        return None

    def top(self) -> dict[str, tuple[int, int, int]]:
        found = self.room.server.wait(self.addresses.top(self.room.id))
        return {one.address: (one.taken, one.held, one.refused) for one in found}

    def tally(self, *rows: Counted) -> set[str]:
        return self.room.server.wait(self.addresses.tally(self.room.id, rows))[1]


@pytest.fixture
def limited(room: Room) -> Limited:
    return Limited(room)


@pytest.mark.parametrize("limit", [1, 3])
def test_places_of_an_address_in_a_minute(limited: Limited, limit: int) -> None:
    limited.room.open(address_joins_max=limit, network_joins_max=limit + 1, mode="paused")
    # The minute may end in between, so only what is refused within one is counted.
    for number in range(limit):
        assert limited.take(f"v{number}") is None
    assert limited.take("more") == "address_joins_max"
    assert limited.take("v0") is None, "a visitor with a place is not limited"
    assert limited.take("neighbour", NEXT_DOOR) is None
    assert limited.take("second", "203.0.113.9") == "network_joins_max"
    assert limited.take("far", *ELSEWHERE) is None


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_places_held_go_down_when_visitors_leave(limited: Limited, limit: int) -> None:
    limited.room.open(address_held_max=limit, mode="paused")
    for number in range(limit):
        assert limited.take(f"v{number}") is None
    assert limited.take("more") == "address_held_max"
    assert limited.top()[HOME] == (limit, limit, 0)
    limited.room.leave("v0")
    assert limited.take("more", NEXT_DOOR) is None, "another address"
    assert limited.top()[HOME] == (limit, limit - 1, 0)
    assert limited.take("again") is None
    assert limited.take("too many") == "address_held_max"


def test_places_that_ended_are_found_without_an_operator(limited: Limited) -> None:
    limited.room.open(network_held_max=20, mode="paused")
    for number in range(20):
        assert limited.take(f"v{number}", f"203.0.113.{number}") is None
    assert limited.take("more") == "network_held_max"
    limited.room.leave("v7")
    assert limited.take("more") is None
    limited.room.reset()
    assert all(limited.take(f"w{number}") is None for number in range(20))


def test_names_with_spaces_and_prefixes_are_kept_apart(limited: Limited) -> None:
    limited.room.open(address_held_max=1, mode="paused")
    assert limited.take("a b  c", "10.0.0.1", "10.0.0.0/24") is None
    assert limited.take("a b  c", "10.0.0.1", "10.0.0.0/24") is None
    assert limited.take("d", "10.0.0.11", "10.0.0.0/24") is None
    assert limited.take("\U0010ffff", "10.0.0.1", "10.0.0.0/24") == "address_held_max"
    limited.room.leave("a b  c")
    assert limited.take("\U0010ffff", "10.0.0.1", "10.0.0.0/24") is None
    assert limited.take("e", "10.0.0.1", "10.0.0.0/24") == "address_held_max"


def test_without_limits_everything_is_counted_and_nothing_refused(limited: Limited) -> None:
    limited.room.open(mode="paused")
    limited.room.join("one")
    limited.room.join("two")
    over = limited.tally(
        Counted(HOME, NETWORK, 2, 5, "one"),
        Counted(HOME, NETWORK, 0, 0, "two"),
        Counted("2001:db8::/64", "2001:db8::/48", 0, 1, ""),
    )
    assert over == set()
    assert limited.top() == {
        HOME: (2, 2, 5),
        NETWORK: (2, 2, 5),
        "2001:db8::/64": (0, 0, 1),
        "2001:db8::/48": (0, 0, 1),
    }
    limited.room.leave("one")
    assert limited.top()[HOME] == (2, 1, 5)
    limited.room.delete(force=True)
    assert limited.top() == {}
    assert limited.tally(Counted(HOME, NETWORK, 1, 0, "x")) == set(), "no room, no key"
    assert limited.room.server.wait(limited.room.store.command("KEYS", "*addresses*")) == []


def test_refused_calls_of_an_address_and_of_its_network(limited: Limited) -> None:
    limited.room.open(address_refusals_max=10, network_refusals_max=15, mode="paused")
    assert limited.tally(Counted(HOME, NETWORK, 0, 9, "")) == set()
    assert limited.tally(Counted(HOME, NETWORK, 0, 1, "")) == {HOME}
    assert limited.tally(Counted(NEXT_DOOR, NETWORK, 0, 5, "")) == {NETWORK}
    assert limited.tally(Counted(*ELSEWHERE, 0, 5, "")) == set()


def test_the_memory_is_bounded(limited: Limited) -> None:
    limited.room.open(mode="paused")
    limited.tally(Counted(HOME, NETWORK, 1_000, 0, ""))
    for third in range(20):
        limited.tally(
            *(
                Counted(f"10.{third}.{fourth}.1", f"10.{third}.{fourth}.0/24", 1, 0, "")
                for fourth in range(256)
            )
        )
    k = limited.room.keys
    assert limited.room.server.wait(limited.room.store.command("HLEN", k.addresses)) == 4_096
    assert limited.top()[HOME] == (1_000, 0, 0), "the busiest stay"
