"""Extract fields from the bytes of an answer by substring search. Pure.

Parsing HTTP and JSON would cost the generator more than the service spends on the answer, and
regular expressions three times a substring search. This relies on how the service writes answers: a
Content-Length, each member once, and another member after it. Other answers raise an error.
"""

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_RETRY_AFTER = b"\r\nretry-after: "
_TICKET = b'"token":"t1.'


def size(data: bytes) -> int:
    """Return the length of the first answer in bytes, or 0 while its head is incomplete.

    Raises:
        ValueError: It has no Content-Length.
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
    """Return the recommended polling interval, in ms."""
    return _number(data, b'"recommendedPollIntervalMs":')


def retry_after_s(data: bytes) -> int:
    """Return Retry-After, in s."""
    return _number(data, _RETRY_AFTER, b"\r")


def after_ms(data: bytes) -> int:
    """Return the polling interval of now-serving, in ms."""
    return _number(data, b'"pollAfterMs":')


def serving(data: bytes) -> int:
    """Return the highest place whose turn has come."""
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
