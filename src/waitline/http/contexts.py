"""Contexts of requests: the caller's request id counts if a trusted proxy sent it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from waitline.http.client_address import UNIX, ClientAddresses
from waitline.kernel.request_context import RequestContext

if TYPE_CHECKING:
    from waitline.http.requests import Request

REQUEST_ID = b"x-request-id"

STATE = "context"
"""Member of an ASGI scope's state that holds the context."""


class RequestContexts:
    """Makes the context of each request, once.

    Args:
        addresses: Knows the trusted proxies; by default there are none. Anybody else could write
            another request's id into our log.
    """

    def __init__(self, addresses: ClientAddresses | None = None) -> None:
        self._addresses = addresses or ClientAddresses()

    def of(self, request: "Request") -> RequestContext:
        """Return the context of a request."""
        context = request.context
        if context is None:
            context = request.context = self.new(request.headers, request.peer)
        return context

    def new(self, headers: Mapping[bytes, bytes], peer: str) -> RequestContext:
        """Make the context of a request with these header fields."""
        given = headers.get(REQUEST_ID)
        if given is None:
            return RequestContext()
        return RequestContext(given if self.trusts(peer) else None, answered=True)

    def trusts(self, peer: str) -> bool:
        """Return whether the other end of a connection is a trusted proxy."""
        return self._addresses.trusts(peer or UNIX)

    def field(self, request: "Request") -> bytes:
        """Return the line of the response's header that names the request's id, or nothing."""
        if request.context is None and REQUEST_ID not in request.headers:
            return b""
        return self.of(request).field
