"""The queue token of a request to the box office, from its header or its cookies."""

from waitline.http.requests import Request
from waitline.kernel.ids import RoomId
from waitline.services.booking.bodies import words
from waitline.services.booking.session_cookie import session_token
from waitline.services.identity import COOKIE_PREFIX, TOKEN_HEADER, TokenMissing, given_token

_OURS = COOKIE_PREFIX.removeprefix(b"__Host-")
"""Common part of our cookies' names."""

TOKEN_CHARS_MAX = 4_096
"""Longest token header: longer than any pass."""


def header_token(request: Request) -> str | None:
    """Return the token in the header, or `None`.

    Raises:
        InputInvalid: It is blank or too long.
    """
    given = request.headers.get(b"x-queue-token")
    if given is None:
        return None
    return words("X-Queue-Token", given.decode("latin-1"), TOKEN_CHARS_MAX)


def require_token(request: Request) -> str:
    """Return the request's token, from its header or the cookie of any room.

    Raises:
        TokenMissing: There is none.
        InputInvalid: The header is blank or too long.
    """
    token = header_token(request)
    if token is None:
        _, found, cookie = request.headers.get(b"cookie", b"").partition(_OURS)
        if not found:
            raise TokenMissing
        token = cookie.partition(b"=")[2].partition(b";")[0].decode("latin-1")
    return token


def room_token(request: Request, room: RoomId, *, trusting: bool) -> str:
    """Return the request's token for a room: the header's, or that of a cookie.

    The box office's own cookie counts before the waiting room's.

    Args:
        request: The request.
        room: The room.
        trusting: Whether this is trial mode.

    Raises:
        TokenMissing: There is none.
    """
    token = None
    if TOKEN_HEADER not in request.headers:
        token = session_token(request, room, trusting=trusting)
    if token is None:
        token = given_token(request, room)
    if token is None:
        raise TokenMissing
    return token
