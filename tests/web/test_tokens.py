"""Passes that anyone can verify, and key rotation without refusals."""

import json

import jwt
import pytest

from tests.until import until
from tests.web.cast import Cast
from tests.web.stack import SOON_S, Stack, instant_ms, succeeded, waitline
from waitline.kernel.clock import SystemClock


def test_a_pass_is_verified_by_the_served_keys_alone(trial: Stack, cast: Cast) -> None:
    visitor = cast.somebody("READY")
    keys = jwt.PyJWKSet.from_dict(trial.client.get("/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(visitor.token)
    assert (header["alg"], header["typ"]) == ("EdDSA", "waitline-pass+jwt")
    key = keys[header["kid"]]
    room = visitor.room.name
    claims = jwt.decode(visitor.token, key, ["EdDSA"], audience=room, issuer="waitline")
    assert (claims["sub"], claims["aud"]) == (visitor.name, room)
    status = succeeded(visitor.room.status(visitor.name))
    assert claims["exp"] == -(-instant_ms(status["expiredAt"]) // 1000)
    assert claims["place"] == int(visitor.ticket.split(".")[2])
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(visitor.token, key, ["EdDSA"], audience="elsewhere")


def test_the_served_keys_hold_no_secret(trial: Stack) -> None:
    for key in trial.client.get("/.well-known/jwks.json").json()["keys"]:
        assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}


def test_rotation_turns_nobody_away(trial: Stack, cast: Cast) -> None:
    waiting, ready = cast.somebody("WAITING"), cast.somebody("READY")
    before = jwt.get_unverified_header(ready.token)["kid"]
    done = waitline("keys", "rotate", "--data-dir", trial.data_dir, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rotated = json.loads(done.stdout)
    after = rotated[-1]["kid"]
    assert [(key["kid"], key["use"]) for key in rotated] == [
        (before, "signs"),
        (after, "will sign"),
    ]
    signs_ms = SystemClock().now_ms() + 6_000

    def old_ones_serve() -> None:
        for visitor in (waiting, ready):
            data = succeeded(visitor.room.status(visitor.name, visitor.ticket))
            assert data["token"] == visitor.token
        succeeded(ready.room.validate(ready.name, ready.token))

    def in_use() -> bool:
        old_ones_serve()
        return SystemClock().now_ms() > signs_ms

    until(in_use, SOON_S, "the new key is in use")
    # It is public before anything is signed with it.
    served = trial.client.get("/.well-known/jwks.json").json()["keys"]
    assert [key["kid"] for key in served] == [before, after]

    room = trial.room(admitPerSecond=1000)
    ticket = room.arrive()
    assert ticket.split(".")[1] == after
    token = room.until("u", "READY")["token"]
    assert jwt.get_unverified_header(token)["kid"] == after
    succeeded(room.validate("u", token))
    succeeded(room.validate("u", ticket))
    old_ones_serve()
