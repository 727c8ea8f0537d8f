"""CSRF protection of writes, in addition to SameSite cookies and CORS.

Most writes need a JSON body or a header of their own, so a page of another origin must send a
preflight first, which CORS refuses. For those this check is the second line; for calls without a
body, and for forms, it is the first: `SameSite` lets pages of other hosts of the same site through,
and old browsers ignore it. Browsers state the origin of each write.
"""

from waitline.http.requests import Request
from waitline.kernel.errors import Refused


class CrossSite(Refused):
    """A page of another origin sends a write with the visitor's cookies."""


class SameOrigin:
    """Refuses writes with cookies that come from pages of other origins.

    Args:
        allowed: Origins whose pages may call, separated by commas; `None` for none.

    Source: OWASP, Cross-Site Request Forgery Prevention, "Fetch Metadata" and "Verifying Origin";
    W3C, Fetch Metadata Request Headers.
    """

    def __init__(self, allowed: str | None) -> None:
        self._allowed = frozenset(one.strip().encode("ascii") for one in (allowed or "").split(","))

    def check(self, request: Request) -> None:
        """Check the origin of a write. Clients that send none, such as programs, pass.

        Raises:
            CrossSite: It comes from a page of another origin and is authenticated by cookies only.
        """
        headers = request.headers
        origin = headers.get(b"origin")
        if origin is None or b"cookie" not in headers or b"x-queue-token" in headers:
            return
        if headers.get(b"sec-fetch-site") == b"same-origin" or origin in self._allowed:
            return
        # Browsers before 2023 do not send the field above. A proxy must then forward the Host
        # header.
        if b"sec-fetch-site" in headers or origin.partition(b"://")[2] != headers.get(b"host"):
            raise CrossSite
