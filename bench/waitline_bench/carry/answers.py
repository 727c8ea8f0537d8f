"""Finds what a visitor needs in an answer's bytes. Pure.

A full reader of HTTP and JSON would cost the generator more than the service spends on the answer,
and patterns three times as much as looking for a word. This one relies on how the service writes:
a length in every answer, each member once, and another one after it. Where it is not so, reading
fails, and does not guess.
"""

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_RETRY_AFTER = b"\r\nretry-after: "
_TICKET = b'"token":"t1.'


def size(data: bytes) -> int:
    """Return the bytes of the answer that begins here, or 0 while its head is incomplete.

    Raises:
        ValueError: It does not say how long it is.
    """
    end = data.find(_END)
    if end < 0:
        return 0
    at = data.find(_LENGTH, 0, end)
    if at < 0:
        raise ValueError("an answer without a length")
    at += len(_LENGTH)
    return end + len(_END) + int(data[at : data.find(b"\r", at)])


def code(data: bytes) -> int:
    """Return the status of an answer."""
    return int(data[9:12])


def hint_ms(data: bytes) -> int:
    """Return when to ask for one's place again, in ms."""
    return _number(data, b'"recommendedPollIntervalMs":')


def retry_after_s(data: bytes) -> int:
    """Return when to ask for the place that was given, in s."""
    return _number(data, _RETRY_AFTER, b"\r")


def after_ms(data: bytes) -> int:
    """Return when to read again how far the line has come, in ms."""
    return _number(data, b'"pollAfterMs":')


def serving(data: bytes) -> int:
    """Return up to which place everybody's turn has come."""
    return _number(data, b'"serving":')


def ticket_place(data: bytes) -> int | None:
    """Return the place that the answer's ticket proves, or `None` if it holds no ticket."""
    at = data.find(_TICKET)
    if at < 0:
        return None
    # t1.<key>.<place>.<issued>.<mac>
    return int(data[at + len(_TICKET) : data.find(b'"', at + len(_TICKET))].split(b".")[1])


def _number(data: bytes, name: bytes, end: bytes = b",") -> int:
    at = data.find(name)
    if at < 0:
        raise ValueError(f"an answer without {name!r}")
    at += len(name)
    return int(data[at : data.find(end, at)])
