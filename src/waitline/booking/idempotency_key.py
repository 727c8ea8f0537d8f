"""Idempotency key of a request, as the statements that write record it. Pure.

A write records its key in the statement that does it, so that both commit together or not at all
(decision 0025).
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from waitline.kernel.errors import Refused

KEY_CHARS_MAX = 200
"""Longest key. Source: migrations/0001_box_office.sql."""

KEYS_MAX = 1_000
"""Most keys of one holder in 24 h: a write every two seconds for half an hour, the longest stay.
Bounds the rows that one visitor can make. The oldest are not dropped for new ones, since an answer
is promised for 24 h. Calls at the same time can exceed it by their number."""


Language = Literal["ko", "en"]


class IdempotencyKeyReused(Refused):
    """The idempotency key was used for another request before."""


class IdempotencyKeyRunning(Refused):
    """A request with the same idempotency key is still running."""


class TooManyKeys(Refused):
    """The holder has used `KEYS_MAX` idempotency keys in 24 h."""


class IdempotencyKey(NamedTuple):
    """The key of one request.

    Attributes:
        text: 1 to `KEY_CHARS_MAX` characters.
        request: Digest that identifies the request.
        language: Language of the request, which its repeats are answered in.
    """

    text: str
    request: bytes
    language: Language


# Refusal for each outcome of a statement that says that the key was not free. 'key_used': another
# call recorded it after the look-up.
KEY_REFUSED: dict[str, type[Refused]] = {
    "key_running": IdempotencyKeyRunning,
    "key_used": IdempotencyKeyRunning,
    "key_limit": TooManyKeys,
}


def key_columns(keys: Iterable[IdempotencyKey | None]) -> dict[str, Any]:
    """Return the keys of a batch's requests as a statement takes them, by column.

    Args:
        keys: One per request, in order; `None` for a request without a key.
    """
    given = [(no, key) for no, key in enumerate(keys, 1) if key is not None]
    return {
        "key_nos": [no for no, _ in given],
        "keys": [key.text for _, key in given],
        "requests": [key.request for _, key in given],
        "languages": [key.language for _, key in given],
        "keys_max": KEYS_MAX,
    }
