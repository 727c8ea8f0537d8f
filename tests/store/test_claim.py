"""Claims: a stay belongs to the browser that claims it first."""

import pytest

from tests.store.room import Room, no_memory
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.ids import VisitorId
from waitline.queue.claims import BrowserClaim, Claims, PassUsed
from waitline.queue.model import Slot, StoreFull, TimeRanOut, TokenRejected, VisitorUnknown

MINE, OTHERS = "m" * 22, "o" * 22


def claim(room: Room, *claims: tuple[str, str | int, str]) -> list[Refused | Unavailable | None]:
    given = [BrowserClaim(VisitorId(name), stay, browser) for name, stay, browser in claims]
    return room.server.wait(Claims(room.store).claim(room.id, given))


def types(outcomes: list[Refused | Unavailable | None]) -> list[type]:
    return [type(one) for one in outcomes]


def test_the_first_browser_keeps_it(room: Room) -> None:
    room.open()
    room.let_in("a", "b")
    assert claim(room, ("a", 0, MINE)) == [None]
    assert types(claim(room, ("a", 0, OTHERS), ("a", 0, MINE))) == [PassUsed, type(None)]
    # In one call the first one has it as well.
    assert types(claim(room, ("b", 0, OTHERS), ("b", 0, MINE))) == [type(None), PassUsed]
    # It lasts through what happens to the stay.
    room.activate("a")
    room.extend("a")
    assert types(claim(room, ("a", 0, OTHERS), ("a", 0, MINE))) == [PassUsed, type(None)]
    # The secret itself is not stored.
    assert MINE not in str(room.raw("HGETALL", room.keys.claims))
    assert room.findings() == []


def test_a_claim_ends_with_its_stay(room: Room) -> None:
    room.open()
    room.let_in("a")
    claim(room, ("a", 0, MINE))
    room.leave("a")
    assert types(claim(room, ("a", 0, MINE))) == [VisitorUnknown]
    room.let_in("a")
    assert claim(room, ("a", 0, OTHERS)) == [None]
    assert room.raw("PTTL", room.keys.claims) > 0
    room.delete(force=True)
    assert room.raw("EXISTS", room.keys.claims) == 0


def test_claims_that_are_over_do_not_accumulate(room: Room) -> None:
    room.open(active_max=10)
    for number in range(200):
        name = f"v{number}"
        room.let_in(name)
        assert claim(room, (name, 0, MINE)) == [None]
        room.leave(name)
    assert room.raw("HLEN", room.keys.claims) <= 4
    # Those of stays that last are kept.
    names = [f"w{number}" for number in range(10)]
    room.let_in(*names)
    claim(room, *((name, 0, MINE) for name in names))
    assert set(types(claim(room, *((name, 0, OTHERS) for name in names)))) == {PassUsed}


def test_what_cannot_be_claimed(room: Room) -> None:
    room.open(ready_ttl_ms=10)
    (slot,) = room.let_in("over")
    room.reach(slot.expires_ms)
    room.change(ready_ttl_ms=60_000)
    (other,) = room.let_in("a")
    assert isinstance(other, Slot)
    room.join("waits")
    wrong = f"{other.place}-{other.joined_ms - 1}"
    before = room.stored()
    assert types(
        claim(room, ("over", 0, MINE), ("a", wrong, MINE), ("waits", 0, MINE), ("nobody", 0, MINE))
    ) == [TimeRanOut, TokenRejected, TokenRejected, VisitorUnknown]
    assert room.stored() == before
    assert claim(room, ("a", f"{other.place}-{other.joined_ms}", MINE)) == [None]


@pytest.mark.parametrize("known", [True, False])
def test_a_full_store_gives_nothing_away(room: Room, *, known: bool) -> None:
    room.open()
    room.let_in("a", "b")
    claim(room, ("a", 0, MINE), *([("b", 0, MINE)] if known else []))
    with no_memory(room.server):
        (outcome,) = claim(room, ("b", 0, MINE))
        assert outcome is None if known else isinstance(outcome, StoreFull)
        assert types(claim(room, ("a", 0, OTHERS))) == [PassUsed]
