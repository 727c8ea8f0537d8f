"""Keys of tokens, and their rotation."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.rings import both, key, rotated
from tests.vectors.generate import ROOM, T0, VISITOR
from waitline.tokens.keyring import (
    KEEP_MS,
    KEYS_MAX,
    KID_MAX,
    PUBLIC_MS,
    PUBLISH_MS,
    Key,
    KeyInUse,
    Keyring,
    KeyringFull,
    KeyUnknown,
    RotatedTooSoon,
    revoke,
)
from waitline.tokens.passes import jwks
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import verify_token

DAY_MS = 86_400_000

# Signing and verifying take a while on a busy machine, and nothing here is about time.
patient = settings(deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("at_ms", "kid"),
    [
        pytest.param(0, "k1", id="before any is active: the oldest"),
        pytest.param(100, "k1", id="from its first ms"),
        pytest.param(199, "k1", id="until the next is active"),
        pytest.param(200, "k2", id="the next"),
        pytest.param(10**15, "k2", id="for ever, if none follows"),
    ],
)
def test_signing(at_ms: int, kid: str) -> None:
    assert Keyring((key(1, 100), key(2, 200))).signing(at_ms).kid == kid


def test_a_rotated_ring_publishes_before_it_signs() -> None:
    ring = rotated(Keyring((key(1),)), 2, T0)
    assert [k["kid"] for k in jwks(ring, T0)["keys"]] == ["k1", "k2"]
    assert ring.signing(T0 + PUBLISH_MS - 1).kid == "k1"
    assert ring.signing(T0 + PUBLISH_MS).kid == "k2"


@pytest.mark.parametrize(
    ("later_ms", "kids"),
    [
        pytest.param(KEEP_MS, ["k1", "k2", "k3"], id="kept for all of KEEP_MS"),
        pytest.param(KEEP_MS + 1, ["k2", "k3"], id="dropped after it"),
    ],
)
def test_rotation_drops_what_was_superseded_long_ago(later_ms: int, kids: list[str]) -> None:
    ring = Keyring((key(1, 0), key(2, T0)))
    assert list(rotated(ring, 3, T0 + later_ms).by_kid) == kids


def test_rotation_keeps_the_signing_key_however_old() -> None:
    ring = rotated(Keyring((key(1, 0),)), 2, 1_000 * DAY_MS)
    assert list(ring.by_kid) == ["k1", "k2"]


def full_ring() -> Keyring:
    """More rotations within `KEEP_MS` than there may be."""
    return Keyring(tuple(key(n, T0 + n * DAY_MS // 2) for n in range(KEYS_MAX)))


def test_rotation_never_drops_a_key_that_is_needed() -> None:
    ring = full_ring()
    needed_ms = ring.keys[1].active_from_ms + KEEP_MS
    with pytest.raises(KeyringFull) as refusal:
        rotated(ring, KEYS_MAX, needed_ms)
    assert refusal.value.wait_ms == 1
    assert [*rotated(ring, KEYS_MAX, needed_ms + 1).by_kid] == [
        f"k{n}" for n in range(1, KEYS_MAX + 1)
    ]


@pytest.mark.parametrize("gap_ms", [PUBLISH_MS, DAY_MS, 7 * DAY_MS, 90 * DAY_MS])
def test_a_ticket_outlives_any_row_of_rotations(gap_ms: int) -> None:
    """A buyer's ticket proves the reservation for 400 days, however often keys change."""
    ring, now_ms, number = Keyring((key(1),)), T0, 1
    tokens = both(ring, T0)
    while (now_ms := now_ms + gap_ms) <= T0 + KEEP_MS and number < KEYS_MAX:
        number += 1
        ring = rotated(ring, number, now_ms)
        for token in tokens:
            assert verify_token(ring, ROOM, VISITOR, token).holder == f"5-{T0}"


def test_a_worker_of_a_full_ring_finds_its_cached_passes() -> None:
    one, same = full_ring(), full_ring()
    assert (hash(one), one) == (hash(same), same)


@pytest.mark.parametrize(
    ("kid", "problem"),
    [
        pytest.param("k1", None, id="superseded"),
        pytest.param("k2", KeyInUse, id="signs"),
        pytest.param("k3", KeyInUse, id="will sign"),
        pytest.param("k9", KeyUnknown, id="unknown"),
    ],
)
def test_revoke(kid: str, problem: type[Exception] | None) -> None:
    ring = Keyring((key(1), key(2, T0), key(3, T0 + PUBLISH_MS)))
    if problem is not None:
        with pytest.raises(problem):
            revoke(ring, kid, T0)
        return
    left = revoke(ring, kid, T0)
    assert [*left.by_kid] == ["k2", "k3"]
    for token in both(ring, T0 - 1):
        assert verify_token(left, ROOM, VISITOR, token) == FORGED


def test_public_keys_are_those_of_the_last_days() -> None:
    ring = Keyring((key(1), key(2, T0), key(3, T0 + DAY_MS)))
    for now_ms, kids in (
        (T0 + PUBLIC_MS, ["k1", "k2", "k3"]),
        (T0 + PUBLIC_MS + 1, ["k2", "k3"]),
        (T0 + KEEP_MS, ["k3"]),
    ):
        assert [k["kid"] for k in jwks(ring, now_ms)["keys"]] == kids


def test_rotation_waits_until_the_last_one_is_in_use() -> None:
    ring = rotated(Keyring((key(1),)), 2, T0)
    with pytest.raises(RotatedTooSoon) as refusal:
        rotated(ring, 3, T0 + PUBLISH_MS - 1)
    assert refusal.value.wait_ms == 1
    assert list(rotated(ring, 3, T0 + PUBLISH_MS).by_kid) == ["k1", "k2", "k3"]


def test_entering_again_after_a_rotation_gives_the_same_ticket() -> None:
    old = Keyring((key(1), key(2, T0)))
    new = rotated(old, 3, T0 + KEEP_MS)
    assert both(old, T0) == both(new, T0)


def test_a_ticket_of_a_dropped_key_is_forged_and_replaced_by_a_good_one() -> None:
    old = Keyring((key(1), key(2, T0)))
    new = rotated(old, 3, T0 + KEEP_MS + 1)
    ticket = mint_ticket(old, ROOM, VISITOR, 5, T0 - 1)
    assert verify_token(new, ROOM, VISITOR, ticket) == FORGED
    again = mint_ticket(new, ROOM, VISITOR, 5, T0 - 1)
    assert verify_token(new, ROOM, VISITOR, again) == Proof(5, 0, T0 - 1)


def ring_of_a_worker(rings: list[tuple[int, Keyring]], at_ms: int, lag_ms: int) -> Keyring:
    """Return what a worker knows who reads each ring `lag_ms` after it was written."""
    return [ring for written_ms, ring in rings if written_ms + lag_ms <= at_ms][-1]


@patient
@given(
    gaps_ms=st.lists(st.integers(PUBLISH_MS, DAY_MS), min_size=1, max_size=6),
    lags_ms=st.tuples(st.integers(0, PUBLISH_MS), st.integers(0, PUBLISH_MS)),
    issue=st.integers(0, 5),
    after_ms=st.integers(-2 * PUBLISH_MS, 2 * PUBLISH_MS),
    shown_after_ms=st.integers(0, DAY_MS),
)
@example(
    gaps_ms=[PUBLISH_MS], lags_ms=(0, PUBLISH_MS), issue=0, after_ms=PUBLISH_MS, shown_after_ms=0
)
def test_rotation_turns_nobody_away(
    gaps_ms: list[int],
    lags_ms: tuple[int, int],
    issue: int,
    after_ms: int,
    shown_after_ms: int,
) -> None:
    """Two workers learn of each ring at most PUBLISH_MS late; each reads the other's tokens."""
    rings = [(T0 - DAY_MS, Keyring((key(1),)))]
    now_ms = T0
    for n, gap_ms in enumerate(gaps_ms, start=2):
        rings.append((now_ms, rotated(rings[-1][1], n, now_ms)))
        now_ms += gap_ms
    issued_ms = rings[1 + issue % len(gaps_ms)][0] + after_ms
    for minter_ms, reader_ms in (lags_ms, lags_ms[::-1]):
        minter = ring_of_a_worker(rings, issued_ms, minter_ms)
        reader = ring_of_a_worker(rings, issued_ms + shown_after_ms, reader_ms)
        for token in both(minter, issued_ms):
            assert verify_token(reader, ROOM, VISITOR, token).genuine


def test_a_key_used_at_once_would_turn_people_away() -> None:
    """The control: without publishing first, a worker that reads late refuses."""
    old = Keyring((key(1),))
    hasty = Keyring((*old.keys, key(2, T0)))
    for token in both(hasty, T0):
        assert verify_token(old, ROOM, VISITOR, token) == FORGED


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param([], "holds 1 to 512 keys, not 0", id="none"),
        pytest.param([key(n) for n in range(513)], "holds 1 to 512 keys, not 513", id="too many"),
        pytest.param([key(1), key(1)], "its own kid", id="one name twice"),
        pytest.param([key(1, 2), key(2, 1)], "ordered", id="newest first"),
    ],
)
def test_no_such_keyring(keys: list[Key], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Keyring(tuple(keys))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"kid": ""}, "a kid must be", id="no name"),
        pytest.param({"kid": "a.b"}, "a kid must be", id="name with a dot"),
        pytest.param({"kid": "키"}, "a kid must be", id="name beyond ASCII"),
        pytest.param({"kid": "k" * (KID_MAX + 1)}, "a kid must be", id="long name"),
        pytest.param({"ticket_secret": b"short"}, "32 bytes", id="short ticket secret"),
        pytest.param({"pass_seed": bytes(33)}, "32 bytes", id="long pass seed"),
    ],
)
def test_no_such_key(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(key(1), **change)


def test_a_taken_name_is_not_rotated_in() -> None:
    with pytest.raises(ValueError, match="has a key k1 already"):
        rotated(Keyring((key(1),)), 1, T0)


@pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
def test_secrets_do_not_show(show: Callable[[object], str]) -> None:
    ring = Keyring((Key("k1", b"S" * 32, b"P" * 32, T0),))
    both(ring, T0)
    for holder in (ring, ring.keys, ring.keys[0]):
        assert "k1" in show(holder)
        assert not re.search("SSS|PPP|secret|seed", show(holder))
