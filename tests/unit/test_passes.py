import hashlib
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.rings import both, key
from tests.vectors import generate
from tests.vectors.generate import RING, ROOM, T0, VISITOR
from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring import KID_MAX, Keyring
from waitline.tokens.passes import mint_pass
from waitline.tokens.proof import FORGED, Proof
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import TOKEN_MAX, verify_token

VECTORS = json.loads(generate.PATH.read_text("utf-8"))

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
rooms = ids.map(RoomId)
visitors = ids.map(VisitorId)
places = st.integers(1, 2**53 - 1)
times_ms = st.integers(0, 2**43)
anything = st.text(st.characters(exclude_categories=()))
# Signing and verifying take a while on a busy machine, and nothing here is about time.
patient = settings(deadline=None, max_examples=60)


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
