"""Request context: what names a request in logs, events and traces.

An id is made when it is first used: most requests are neither logged nor passed on.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

ID_CHARS_MAX: Final = 64
"""Longest request id that is taken over: a UUID has 36 characters, nginx' `$request_id` 32."""

_WELL_FORMED = re.compile(rb"[0-9A-Za-z._:=+/@-]{1,%d}" % ID_CHARS_MAX)

ID_BYTES: Final = 8
"""Random bytes of an id of ours: no two of a billion requests have the same."""


class RecordedSpan(Protocol):
    """A timed part of a trace that is recorded."""

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits."""

    @property
    def traceparent(self) -> str:
        """This span as the parent of another. Source: W3C Trace Context, section 3.2."""

    def child(self, name: str) -> "RecordedSpan":
        """Begin a part of it: a call to another system."""

    def fail(self, reason: str) -> None:
        """Record that it failed."""

    def end(self) -> None:
        """Record that it is over."""

    def answered(self, method: str, route: str, status: int, request_id: str) -> None:
        """Record the response of the request that it is about, and end it."""


class RequestContext:
    """The context of one request.

    Args:
        given: The id that the caller gave; `None` if there is none, or the caller is not trusted.
        answered: Whether the response names the id even if nothing else has used it.

    Attributes:
        span: The innermost span of the request; `None` if its trace is not recorded.
        unrecorded: Whether its trace is not recorded, by decision of this service.
    """

    __slots__ = ("_answered", "_given", "_id", "span", "unrecorded")

    def __init__(self, given: bytes | None = None, *, answered: bool = False) -> None:
        self._given = given
        self._answered = answered
        self._id: str | None = None
        self.span: RecordedSpan | None = None
        self.unrecorded = False

    @property
    def id(self) -> str:
        """The request's id: the caller's if it is well-formed, else one of ours."""
        if self._id is None:
            given = self._given
            taken = given is not None and _WELL_FORMED.fullmatch(given) is not None
            self._id = given.decode("ascii") if given and taken else secrets.token_hex(ID_BYTES)
        return self._id

    @property
    def known_id(self) -> str | None:
        """The id if it is in use: the caller sent one, or something has used ours."""
        return self.id if self._answered or self._id is not None else None

    @property
    def field(self) -> bytes:
        """The line of the response's header that names the id; empty if it is not in use."""
        known = self.known_id
        return b"" if known is None else b"x-request-id: %b\r\n" % known.encode("ascii")


CURRENT: ContextVar[RequestContext | None] = ContextVar("CURRENT", default=None)
"""The context of the request that the current task works for; `None` in background jobs.

Only code that runs in the request's own task may read it: the task of a batch has the context of
one of its requests.
"""


def current_id() -> str | None:
    """Return the id of the current request; `None` in background jobs."""
    context = CURRENT.get()
    return None if context is None else context.id


def outgoing() -> dict[str, str]:
    """Return the header fields that pass the current request on to another service."""
    context = CURRENT.get()
    if context is None:
        return {}
    fields = {"X-Request-Id": context.id}
    if context.span is not None:
        fields["traceparent"] = context.span.traceparent
    elif context.unrecorded:
        # The decision holds for the whole trace, so the next service must not decide again.
        fields["traceparent"] = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    return fields


@contextmanager
def step(name: str) -> Iterator[None]:
    """Record a step of the current request as a span, if its trace is recorded."""
    context = CURRENT.get()
    outer = None if context is None else context.span
    if context is None or outer is None:
        yield
        return
    inner = context.span = outer.child(name)
    try:
        yield
    except BaseException as error:
        # Not the text of the error, which may have names in it.
        inner.fail(type(error).__name__)
        raise
    finally:
        context.span = outer
        inner.end()
