"""Users on the wire: the name that the waiting room knows, as text or as a number.

A name that is a canonical 64-bit whole number is a JSON number in bodies, any other is text.
"""

from urllib.parse import unquote_to_bytes

from waitline.http.problems import InputInvalid
from waitline.http.requests import NOT_TEXT, Request, checked_name
from waitline.kernel.ids import VisitorId
from waitline.services.identity import UserMissing

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
"""Range of a number of 64 bits."""

DIGITS_MAX = 19
"""Most digits of a number of 64 bits. Longer ones are refused unparsed, which bounds the time."""


def int64_of(text: str) -> int | None:
    """Parse a number of 64 bits; return `None` if it is not one."""
    digits = text.removeprefix("-")
    # int() would also accept digits of other scripts.
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX:
        value = int(text)
        if is_int64(value):
            return value
    return None


def is_int64(value: int) -> bool:
    """Return whether a number has 64 bits at most."""
    return INT64_MIN <= value <= INT64_MAX


def wire_user(user: VisitorId) -> int | str:
    """Return a user as bodies show it.

    The user `7` is the number 7, and the user `007` is text: no two users look the same.
    """
    value = int64_of(user)
    return user if value is None or str(value) != user else value


def user_of(request: Request) -> VisitorId:
    """Return the user of a request, from its header: percent-encoded UTF-8.

    Raises:
        UserMissing: The header is missing.
        InputInvalid: It is blank, too long, or not text.
    """
    given = request.headers.get(b"x-user-id")
    if given is None:
        raise UserMissing
    try:
        text = (unquote_to_bytes(given) if b"%" in given else given).decode()
    except UnicodeDecodeError:
        raise InputInvalid("X-User-Id", NOT_TEXT) from None
    return VisitorId(checked_name("X-User-Id", text))


def user_in_body(given: str | float) -> VisitorId:
    """Return the user of a body; a number is read as text, as the waiting room does.

    Raises:
        InputInvalid: It is blank, too long, or not text.
    """
    return VisitorId(checked_name("userId", str(given)))
