import hashlib
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.vectors import generate
from tests.vectors.generate import RING, ROOM, T0, VISITOR
from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring import (
    KEEP_MS,
    KEYS_MAX,
    KID_MAX,
    PUBLISH_MS,
    Key,
    Keyring,
    RotatedTooSoon,
    rotate,
)
from waitline.tokens.passes import jwks, mint_pass
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import TOKEN_MAX, verify_token

VECTORS = json.loads(generate.PATH.read_text("utf-8"))

DAY_MS = 86_400_000

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
rooms = ids.map(RoomId)
visitors = ids.map(VisitorId)
places = st.integers(1, 2**53 - 1)
times_ms = st.integers(0, 2**43)
anything = st.text(st.characters(exclude_categories=()))
# Signing and verifying take a while on a busy machine, and nothing here is about time.
patient = settings(deadline=None, max_examples=60)


def key(n: int, active_from_ms: int = 0) -> Key:
    return Key(f"k{n}", bytes([n]) * 32, bytes([100 + n]) * 32, active_from_ms)


def rotated(ring: Keyring, n: int, now_ms: int) -> Keyring:
    return rotate(
        ring, kid=f"k{n}", ticket_secret=bytes([n]) * 32, pass_seed=bytes([n]) * 32, now_ms=now_ms
    )


def both(ring: Keyring, at_ms: int, place: int = 5) -> tuple[str, str]:
    return (
        mint_ticket(ring, ROOM, VISITOR, place, at_ms),
        mint_pass(
            ring,
            ROOM,
            VISITOR,
            place,
            joined_ms=at_ms,
            admitted_ms=at_ms,
            expires_ms=at_ms + 1_000,
        ),
    )


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(v, id=v.get("name") or v["reason"]) for v in vectors]


# The vectors that every implementation shares.


def test_vectors_are_up_to_date() -> None:
    again = "run python -m tests.vectors.generate, and say in the changelog what changed"
    assert generate.document() == generate.PATH.read_text("utf-8"), again


@pytest.mark.parametrize("vector", named(VECTORS["tickets"]))
def test_ticket_vector(vector: dict[str, Any]) -> None:
    secrets = {k["kid"]: bytes.fromhex(k["ticket_secret"]) for k in VECTORS["keys"]}
    maced = bytes.fromhex(vector["maced"])
    mac = hashlib.blake2b(maced, key=secrets[vector["kid"]], digest_size=16).digest()
    assert urlsafe_b64decode(vector["token"].split(".")[4] + "==") == mac
    claim = verify_token(RING, vector["room"], vector["visitor"], vector["token"])
    assert claim[:3] == (vector["place"], 0, vector["issued_ms"])
    assert claim.holder == vector["holder"]


@pytest.mark.parametrize("vector", named(VECTORS["passes"]))
def test_pass_vector(vector: dict[str, Any]) -> None:
    claim = verify_token(RING, vector["room"], vector["visitor"], vector["token"])
    expected = (vector["place"], vector["claimed_expires_ms"], vector["joined_ms"])
    assert claim[:3] == expected
    assert claim.holder == vector["holder"]


@pytest.mark.parametrize("vector", named(VECTORS["passes"]))
def test_anybody_can_verify_a_pass_with_the_public_keys(vector: dict[str, Any]) -> None:
    kid = jwt.get_unverified_header(vector["token"])["kid"]
    (public,) = (jwt.PyJWK(k) for k in VECTORS["jwks"]["keys"] if k["kid"] == kid)
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        vector["token"], public, audience=vector["room"], issuer="waitline", options=options
    )
    assert (claims["sub"], claims["place"]) == (vector["visitor"], vector["place"])


@pytest.mark.parametrize("vector", named(VECTORS["refused"]))
def test_refused_vector(vector: dict[str, Any]) -> None:
    assert verify_token(RING, vector["room"], vector["visitor"], vector["token"]) == FORGED


def test_what_the_refused_passes_differ_from_is_good() -> None:
    """The control: if this fails, the refusals above prove nothing."""
    good = generate.jws(generate.HEADER, generate.CLAIMS)
    assert verify_token(RING, ROOM, VISITOR, good).genuine


# Any token, any text.


@patient
@given(room=rooms, visitor=visitors, place=places, at_ms=times_ms, account=st.booleans())
def test_ticket_round_trip(
    *, room: RoomId, visitor: VisitorId, place: int, at_ms: int, account: bool
) -> None:
    token = mint_ticket(RING, room, visitor, place, at_ms, account=account)
    assert verify_token(RING, room, visitor, token) == Proof(place, 0, at_ms, account)
    assert token == mint_ticket(RING, room, visitor, place, at_ms, account=account)
    assert not set(token) & set(' ",;\\')
    assert token.isascii()
    assert token.isprintable()


@patient
@given(
    room=rooms,
    visitor=visitors,
    place=places,
    times_ms=st.tuples(times_ms, times_ms, times_ms),
    account=st.booleans(),
)
def test_pass_round_trip(
    *, room: RoomId, visitor: VisitorId, place: int, times_ms: tuple[int, int, int], account: bool
) -> None:
    joined_ms, at_ms, expires_ms = times_ms
    token = mint_pass(
        RING,
        room,
        visitor,
        place,
        joined_ms=joined_ms,
        admitted_ms=at_ms,
        expires_ms=expires_ms,
        account=account,
    )
    claim = verify_token(RING, room, visitor, token)
    assert (claim.place, claim.joined_ms, claim.account) == (place, joined_ms, account)
    assert 0 <= claim.expires_ms - expires_ms < 1_000


@patient
@given(st.tuples(rooms, visitors), st.tuples(rooms, visitors))
@example((RoomId("ab"), VisitorId("c")), (RoomId("a"), VisitorId("bc")))
@example((RoomId("a,1:b"), VisitorId("c")), (RoomId("a"), VisitorId("b,1:c")))
def test_q9_a_ticket_serves_its_visitor_and_room_only(
    mine: tuple[RoomId, VisitorId], yours: tuple[RoomId, VisitorId]
) -> None:
    token = mint_ticket(RING, *mine, 5, T0)
    assert verify_token(RING, *yours, token).genuine == (mine == yours)


@patient
@given(st.data())
def test_an_altered_token_is_forged(data: st.DataObject) -> None:
    token = data.draw(st.sampled_from(both(RING, T0)))
    at = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.characters(exclude_categories=()).filter(lambda c: c != token[at]))
    assert verify_token(RING, ROOM, VISITOR, token[:at] + char + token[at + 1 :]) == FORGED


@patient
@given(anything.map(RoomId), anything.map(VisitorId), anything)
@example(RoomId("\ud800"), VISITOR, both(RING, T0)[0])
@example(ROOM, VisitorId("\ud800"), both(RING, T0)[1])
@example(ROOM, VISITOR, "x" * 10_240)
@example(ROOM, VISITOR, "관" * 10_240)
@example(ROOM, VISITOR, f"t1.test-0.{'9' * 900}.{'9' * 900}.")
def test_no_text_is_genuine_and_none_raises(room: RoomId, visitor: VisitorId, text: str) -> None:
    assert verify_token(RING, room, visitor, text) == FORGED


@patient
@given(
    st.lists(st.text("AQgw-_.=0123456789", max_size=60), max_size=6),
    st.sampled_from(["", "t1.test-0", "e30", generate.b64_json(generate.HEADER)]),
)
def test_nothing_that_looks_like_a_token_raises(fields: list[str], first: str) -> None:
    assert verify_token(RING, ROOM, VISITOR, ".".join([first, *fields])) == FORGED


@patient
@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.lists(st.text()) | st.text(),
    )
)
def test_no_header_raises(header: dict[str, Any]) -> None:
    token = generate.jws(generate.HEADER | header, generate.CLAIMS)
    same = {k: header.get(k, v) for k, v in generate.HEADER.items()} == generate.HEADER
    assert same or verify_token(RING, ROOM, VISITOR, token) == FORGED


def test_the_longest_pass_can_be_read() -> None:
    ring = Keyring((replace(key(1), kid="k" * KID_MAX),))
    room, visitor = RoomId("\x01" * 128), VisitorId("\x02" * 128)
    last_ms = 9_999_999_999_000
    token = mint_pass(
        ring,
        room,
        visitor,
        2**53 - 1,
        joined_ms=last_ms,
        admitted_ms=last_ms,
        expires_ms=last_ms,
        account=True,
    )
    assert len(token) <= TOKEN_MAX
    assert verify_token(ring, room, visitor, token).genuine


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(Proof(5, 0, T0), Proof(5, T0, T0), True, id="ticket and pass of one stay"),
        pytest.param(Proof(5, 0, T0), Proof(5, 0, T0 + 1), False, id="same place, another time"),
        pytest.param(Proof(5, 0, T0), Proof(6, 0, T0), False, id="same time, another place"),
        pytest.param(
            Proof(5, 0, T0, account=True), Proof(6, 9, T0 + 1, account=True), True, id="account"
        ),
        pytest.param(Proof(5, 0, T0), Proof(5, 0, T0, account=True), False, id="stay, account"),
    ],
)
def test_holder(one: Proof, other: Proof, *, same: bool) -> None:
    assert (one.holder == other.holder) is same


def test_a_forged_token_has_no_holder() -> None:
    with pytest.raises(AssertionError):
        _ = FORGED.holder


def test_a_ticket_is_not_minted_for_half_a_character() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        mint_ticket(RING, ROOM, VisitorId("\ud800"), 1, T0)


# Keys and their rotation.


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
    assert [k["kid"] for k in jwks(ring)["keys"]] == ["k1", "k2"]
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


def test_rotation_drops_the_oldest_beyond_the_limit() -> None:
    ring = Keyring(tuple(key(n, T0 + n) for n in range(KEYS_MAX)))
    assert list(rotated(ring, 50, T0 + 100).by_kid) == [f"k{n}" for n in range(1, KEYS_MAX)] + [
        "k50"
    ]


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
        pytest.param([], "holds 1 to 8 keys, not 0", id="none"),
        pytest.param([key(n) for n in range(9)], "holds 1 to 8 keys, not 9", id="too many"),
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
