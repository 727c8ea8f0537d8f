"""Finds what a visitor needs in an answer's bytes. Pure.

A full reader of HTTP and JSON would cost the generator more than the service spends on the answer.
This one relies on how the service writes: a length in every answer, and each member once.
"""

import re

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")
_AFTER = re.compile(rb'"(?:recommendedPollIntervalMs|pollAfterMs)":(\d+)')
_SERVING = re.compile(rb'"serving":(\d+)')
_TICKET = re.compile(rb'"token":"t1\.[^".]+\.(\d+)\.')


def size(data: bytes) -> int:
    """Return the bytes of the answer that begins here, or 0 while its head is incomplete.

    Raises:
        ValueError: It does not say how long it is.
    """
    end = data.find(_END)
    if end < 0:
        return 0
    length = _LENGTH.search(data, 0, end + 2)
    if length is None:
        raise ValueError("an answer without a length")
    return end + len(_END) + int(length[1])


def code(data: bytes) -> int:
    """Return the status of an answer."""
    return int(data[9:12])


def after_ms(data: bytes) -> int:
    """Return when to ask again, in ms."""
    return _number(_AFTER, data)


def serving(data: bytes) -> int:
    """Return up to which place everybody's turn has come."""
    return _number(_SERVING, data)


def ticket_place(data: bytes) -> int | None:
    """Return the place that the answer's ticket proves, or `None` if it holds no ticket."""
    ticket = _TICKET.search(data)
    return int(ticket[1]) if ticket else None


def _number(pattern: re.Pattern[bytes], data: bytes) -> int:
    found = pattern.search(data)
    if found is None:
        raise ValueError(f"an answer without {pattern.pattern!r}")
    return int(found[1])
