"""Cross-origin resource sharing (CORS): which pages of other origins may call the services. Pure.

Source: WHATWG Fetch, section 3.2 (CORS protocol).
"""

from collections.abc import Mapping
from http import HTTPStatus

from waitline.http.responses import Answer, Headers

MAX_AGE_S = 600
"""How long a browser caches a preflight, in s: the longest time until a removed origin is
refused."""

_METHODS = b"GET, HEAD, POST, PATCH, DELETE"
# What visitors send. Operators' keys do not belong in pages.
_REQUEST_HEADERS = (
    b"Content-Type, Idempotency-Key, X-Identity, X-Queue-Token, X-User-Id, X-Visitor-Key"
)
_RESPONSE_HEADERS = b"ETag, Retry-After, X-Request-Id"
_VARY = (b"vary", b"Origin")
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _REQUEST_HEADERS),
    (b"access-control-max-age", b"%d" % MAX_AGE_S),
    (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
)


class CrossOrigin:
    """Allows the pages of some origins to call.

    Args:
        origins: The origins, exactly as browsers send them, separated by commas.
    """

    def __init__(self, origins: str) -> None:
        self._fields: dict[bytes, Headers] = {
            origin: (
                (b"access-control-allow-origin", origin),
                # Never with `*`: a cookie proves whose place it is.
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", _RESPONSE_HEADERS),
                _VARY,
            )
            for origin in (word.strip().encode("ascii") for word in origins.split(","))
        }

    def fields(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what a response adds for the origin of its request, allowed or not."""
        return self._fields.get(headers.get(b"origin", b""), (_VARY,))

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Answer | None:
        """Return the answer to a preflight, or `None` if the request is not one.

        To an origin that is not allowed it lacks the fields of `fields`, so browsers refuse.
        """
        if method != "OPTIONS" or b"origin" not in headers:
            return None
        if b"access-control-request-method" not in headers:
            return None
        allowed = headers[b"origin"] in self._fields
        return Answer(HTTPStatus.NO_CONTENT, _PREFLIGHT if allowed else (), b"")
