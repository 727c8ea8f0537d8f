"""Write tokens.json: tickets and passes for every implementation to agree on.

`python -m tests.vectors.generate` from the root of the project. The same file comes out each
time. What is MACed or signed is put together here a second time, on purpose: were it taken from
the code under test, a change of the form would change the vectors silently.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.keyring import Key, Keyring
from waitline.tokens.passes import jwks, mint_pass
from waitline.tokens.tickets import mint_ticket

PATH = Path(__file__).with_name("tokens.json")

ABOUT = (
    "Tokens of Waitline, for implementations in any language. The keys are for tests only. "
    "A ticket is `t1.<kid>.<place>.<issued_ms>.<mac>`: mac is base64url without padding (RFC "
    "4648 section 5) of BLAKE2b (RFC 7693) with the key `ticket_secret` and a digest of 16 "
    "bytes, over six netstrings `<length in bytes, decimal>:<UTF-8>,` one after the other: "
    "version, kid, room, visitor, place, issued_ms. `maced` is those bytes in hex. The version is "
    "`t1`, or `a1` where the shop vouched for the visitor: such a ticket proves the account. "
    "A pass is a JWT (RFC 7519) in compact form, signed with Ed25519 (RFC 8037, alg EdDSA); "
    "aud is the room, sub the visitor, iat the second of admission rounded down, exp the second "
    "in which the slot runs out rounded up, joined the ms in which the place was taken; account is "
    "true, or absent unless the shop vouched for the visitor. `signed` is the signing input. "
    "The newest key active when the token was issued signs, else the oldest of the ring; every "
    "key verifies. A reader must accept all of `tickets` and `passes`, with the place, the time of "
    "joining, the holder and the expiry that they state, also those that ran out: exp is "
    "information, and whether the visitor's time is over is the store's to say. A reader must "
    "refuse all of `refused` for the room and visitor named there."
)

ROOM = RoomId("concert-1")
VISITOR = VisitorId("user-42")
T0 = 1_764_000_000_000

RING = Keyring(
    tuple(
        Key(
            kid=f"test-{n}",
            ticket_secret=hashlib.sha256(f"ticket {n}".encode()).digest(),
            pass_seed=hashlib.sha256(f"pass {n}".encode()).digest(),
            active_from_ms=T0 + n * 86_400_000,
        )
        for n in range(3)
    )
)


HEADER: dict[str, Any] = {"typ": "waitline-pass+jwt", "alg": "EdDSA", "kid": "test-0"}
CLAIMS: dict[str, Any] = {
    "iss": "waitline",
    "aud": ROOM,
    "sub": VISITOR,
    "place": 12,
    "joined": T0 - 5_000,
    "iat": T0 // 1_000,
    "exp": T0 // 1_000 + 300,
}
"""A good pass, from which the bad ones differ in one thing."""


def netstrings(*fields: str) -> bytes:
    return b"".join(b"%d:%s," % (len(raw), raw) for raw in map(str.encode, fields))


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64_json(value: dict[str, Any]) -> str:
    return b64(json.dumps(value).encode())


def ticket(
    name: str, room: str, visitor: str, place: int, issued_ms: int, *, account: bool = False
) -> dict[str, Any]:
    token = mint_ticket(RING, RoomId(room), VisitorId(visitor), place, issued_ms, account=account)
    kid = token.split(".")[1]
    version = "a1" if account else "t1"
    return {
        "name": name,
        "room": room,
        "visitor": visitor,
        "place": place,
        "issued_ms": issued_ms,
        "holder": "account" if account else f"{place}-{issued_ms}",
        "kid": kid,
        "maced": netstrings(version, kid, room, visitor, str(place), str(issued_ms)).hex(),
        "token": token,
    }


def signed_pass(
    name: str,
    room: str,
    visitor: str,
    place: int,
    times_ms: tuple[int, int],
    *,
    account: bool = False,
) -> dict[str, Any]:
    admitted_ms, expires_ms = times_ms
    joined_ms = admitted_ms - 1_000
    token = mint_pass(
        RING,
        RoomId(room),
        VisitorId(visitor),
        place,
        joined_ms=joined_ms,
        admitted_ms=admitted_ms,
        expires_ms=expires_ms,
        account=account,
    )
    return {
        "name": name,
        "room": room,
        "visitor": visitor,
        "place": place,
        "joined_ms": joined_ms,
        "holder": "account" if account else f"{place}-{joined_ms}",
        "admitted_ms": admitted_ms,
        "expires_ms": expires_ms,
        "claimed_expires_ms": -(-expires_ms // 1_000) * 1_000,
        "signed": token.rpartition(".")[0],
        "token": token,
    }


def jws(header: dict[str, Any], claims: dict[str, Any], key: Key = RING.keys[0]) -> str:
    """Sign anything, as a careless or hostile issuer would."""
    signed = f"{b64_json(header)}.{b64_json(claims)}"
    public = key.pass_public.public_bytes_raw()
    match header.get("alg"):
        case "EdDSA":
            signature = Ed25519PrivateKey.from_private_bytes(key.pass_seed).sign(signed.encode())
        case "HS256":
            signature = hmac.digest(public, signed.encode(), "sha256")
        case _:
            signature = b""
    return f"{signed}.{b64(signature)}"


def tickets() -> list[dict[str, Any]]:
    return [
        ticket("plain", ROOM, VISITOR, 1, T0),
        ticket("largest place", ROOM, VISITOR, 2**53 - 1, T0 + 999),
        ticket("Korean ids: lengths count bytes", "콘서트-1", "관객-42", 7, T0),
        ticket("ids with separators", "a:b,c.d", "1:x,2:yy,", 7, T0),
        ticket("ids beyond 16 bits", "🎫", "👤", 7, T0),
        ticket("numeric ids", "1", "2", 3, T0),
        ticket("issued before any key: the oldest signs", ROOM, VISITOR, 1, T0 - 1),
        ticket("last ms of the first key", ROOM, VISITOR, 1, RING.keys[1].active_from_ms - 1),
        ticket("first ms of the second key", ROOM, VISITOR, 1, RING.keys[1].active_from_ms),
        ticket("issued long after the last key", ROOM, VISITOR, 1, T0 + 10**12),
        ticket("the shop vouched for the visitor", ROOM, VISITOR, 1, T0, account=True),
    ]


def passes() -> list[dict[str, Any]]:
    second = RING.keys[1].active_from_ms
    return [
        signed_pass("plain", ROOM, VISITOR, 1, (T0, T0 + 300_000)),
        signed_pass("expiry rounds up", ROOM, VISITOR, 1, (T0 + 999, T0 + 300_001)),
        signed_pass("ran out long ago", ROOM, VISITOR, 1, (1_000, 2_000)),
        signed_pass("Korean ids", "콘서트-1", "관객-42", 2**53 - 1, (T0, T0 + 1)),
        signed_pass("ids that JSON escapes", '"\\', "\t\n", 7, (T0, T0 + 1)),
        signed_pass("first ms of the second key", ROOM, VISITOR, 1, (second, second + 1)),
        signed_pass(
            "the shop vouched for the visitor", ROOM, VISITOR, 1, (T0, T0 + 1), account=True
        ),
    ]


def altered(token: str, index: int, value: str) -> str:
    fields = token.split(".")
    fields[index] = value
    return ".".join(fields)


def refused_tickets() -> list[tuple[str, str]]:
    good = ticket("", ROOM, VISITOR, 12, T0)["token"]
    mac = good.rpartition(".")[2]
    # The last character of a MAC has four bits that no byte needs.
    respelt = mac[:-1] + chr(ord(mac[-1]) + 1)
    other = ticket("", "concert-2", VISITOR, 12, T0)["token"]
    shifted = ticket("", "concert-1user", "-42", 12, T0)["token"]
    return [
        ("ticket of another room", other),
        ("ticket of another visitor", ticket("", ROOM, "user-43", 12, T0)["token"]),
        ("ticket whose room and visitor join up the same", shifted),
        ("ticket with a better place", altered(good, 2, "1")),
        ("ticket with a place of other spelling", altered(good, 2, "012")),
        ("ticket with a signed place", altered(good, 2, "+12")),
        ("ticket with an Arabic-Indic place", altered(good, 2, "١٢")),
        ("ticket with an earlier issue time", altered(good, 3, str(T0 - 1))),
        (
            "ticket with digits moved between fields",
            altered(altered(good, 2, "121"), 3, str(T0)[1:]),
        ),
        ("ticket of an unknown kid", altered(good, 1, "test-9")),
        ("ticket under another key's kid", altered(good, 1, "test-1")),
        ("ticket without a kid", altered(good, 1, "")),
        ("ticket of another version", altered(good, 0, "t2")),
        ("ticket of a place as one of an account", altered(good, 0, "a1")),
        (
            "ticket of an account as one of a place",
            altered(ticket("", ROOM, VISITOR, 12, T0, account=True)["token"], 0, "t1"),
        ),
        ("ticket with upper-case version", altered(good, 0, "T1")),
        ("ticket without a MAC", altered(good, 4, "")),
        ("ticket truncated by one", good[:-1]),
        ("ticket truncated to four fields", good.rpartition(".")[0]),
        ("ticket with padding", good + "=="),
        ("ticket with a field more", good + "."),
        ("ticket with a space after it", good + " "),
        ("ticket with a line after it", good + "\n"),
        ("ticket with unused bits set in the MAC", altered(good, 4, respelt)),
        ("ticket with the MAC of no bytes", altered(good, 4, "A" * 22)),
    ]


def refused_passes() -> list[tuple[str, str]]:
    header, claims = HEADER, CLAIMS
    good = jws(header, claims)
    dashed = next(
        token
        for n in range(1_000)
        if "-" in (token := jws(header, claims | {"iat": n})).rpartition(".")[2]
    )
    signature = dashed.rpartition(".")[2]
    # The last character of a signature has four bits that no byte needs.
    respelt = good[:-1] + chr(ord(good[-1]) + 1)
    nested = b64(b"[" * 1_500)
    return [
        ("pass of another room", jws(header, claims | {"aud": "concert-2"})),
        ("pass of several rooms", jws(header, claims | {"aud": [ROOM, "concert-2"]})),
        ("pass of another visitor", jws(header, claims | {"sub": "user-43"})),
        ("pass of another issuer", jws(header, claims | {"iss": "elsewhere"})),
        *(
            (f"pass without {name}", jws(header, {k: v for k, v in claims.items() if k != name}))
            for name in claims
        ),
        ("pass with place 0", jws(header, claims | {"place": 0})),
        ("pass with a place of text", jws(header, claims | {"place": "12"})),
        ("pass with a time of joining before 1970", jws(header, claims | {"joined": -1})),
        ("pass with a time of joining of text", jws(header, claims | {"joined": "12"})),
        ("pass of an account that is false", jws(header, claims | {"account": False})),
        ("pass of an account that is no boolean", jws(header, claims | {"account": 1})),
        ("pass with a fractional expiry", jws(header, claims | {"exp": 1.5})),
        (
            "pass with a better place, signature kept",
            altered(good, 1, b64_json(claims | {"place": 1})),
        ),
        ("pass of an unknown kid", jws(header | {"kid": "test-9"}, claims)),
        ("pass under another key's kid", jws(header | {"kid": "test-1"}, claims)),
        ("pass with a kid that is no text", jws(header | {"kid": 0}, claims)),
        ("pass without a kid", jws({"typ": header["typ"], "alg": "EdDSA"}, claims)),
        ("JWT of another type", jws(header | {"typ": "JWT"}, claims)),
        ("alg none", jws(header | {"alg": "none"}, claims)),
        ("alg none, signature kept", altered(good, 0, b64_json(header | {"alg": "none"}))),
        ("HS256 with the public key", jws(header | {"alg": "HS256"}, claims)),
        ("no alg", jws({"typ": header["typ"], "kid": "test-0"}, claims)),
        ("critical extension nobody knows", jws(header | {"crit": ["x"], "x": 1}, claims)),
        ("pass truncated by one", good[:-1]),
        ("pass without a signature", altered(good, 2, "")),
        ("pass with padding", good + "=="),
        ("pass in the other base64 alphabet", altered(dashed, 2, signature.replace("-", "+"))),
        ("pass with unused bits set in the signature", respelt),
        ("pass with a field more", good + ".x"),
        ("pass with a space before it", " " + good),
        ("header of nested lists", f"{nested}.e30.AAAA"),
        ("header that is no object", f"{b64(b'[]')}.e30.AAAA"),
    ]


def refused() -> list[dict[str, str]]:
    texts = [
        ("empty", ""),
        ("dots only", "...."),
        ("no token at all", "undefined"),
        ("longer than any token", "t1." + "1" * 10_000),
        *refused_tickets(),
        *refused_passes(),
    ]
    return [
        {"reason": reason, "room": ROOM, "visitor": VISITOR, "token": token}
        for reason, token in texts
    ]


def document() -> str:
    """Return the file's text."""
    content = {
        "about": ABOUT,
        "keys": [
            {
                "kid": key.kid,
                "active_from_ms": key.active_from_ms,
                "ticket_secret": key.ticket_secret.hex(),
                "pass_seed": key.pass_seed.hex(),
            }
            for key in RING.keys
        ],
        "jwks": jwks(RING, RING.keys[-1].active_from_ms),
        "tickets": tickets(),
        "passes": passes(),
        "refused": refused(),
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), "utf-8")
