"""Cookie of a visitor in the box office: the pass that the waiting page handed over.

A script cannot read it, and a page of another site cannot send it.
"""

from hashlib import blake2b
from typing import Final

from waitline.http.requests import Request
from waitline.kernel.ids import RoomId
from waitline.services.identity import COOKIE_S

PLAIN: Final = b"waitline-shop-"
STRICT: Final = b"__Host-" + PLAIN
"""Prefix of its name, in trial and in production mode. `__Host-` makes browsers require HTTPS, this
exact host and the path `/`, so another subdomain cannot set it. Source: RFC 6265bis, section
4.1.3.2."""


def session_token(request: Request, room: RoomId, *, trusting: bool) -> str | None:
    """Return the pass in the cookie for a room, or `None`.

    Args:
        request: The request.
        room: The room.
        trusting: Whether this is trial mode, where the cookie needs no HTTPS.
    """
    cookies = request.headers.get(b"cookie")
    if cookies is None:
        return None
    wanted = _name(room, trusting=trusting)
    for pair in cookies.split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == wanted:
            return value.decode("latin-1")
    return None


def session_cookie(room: RoomId, token: str, *, trusting: bool) -> str:
    """Return the value of the Set-Cookie field that keeps a pass.

    It outlives the stay: the pass proves ownership of a reservation while it can be refunded.
    """
    value = f"{_name(room, trusting=trusting).decode()}={token}"
    secure = "" if trusting else "; Secure"
    return f"{value}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Lax{secure}"


def _name(room: RoomId, *, trusting: bool) -> bytes:
    # Hashed, because a room's name may contain characters that a cookie's name may not.
    hashed = blake2b(room.encode(), digest_size=8).hexdigest().encode("ascii")
    return (PLAIN if trusting else STRICT) + hashed
