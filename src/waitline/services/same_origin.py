"""Protection of writes against other sites (CSRF), beside SameSite cookies and CORS.

Most writes need a JSON body or a header of their own, so a page of another origin must send a
preflight first, which CORS refuses. For those this check is the second line; for calls without a
body, and for forms, it is the first: `SameSite` lets pages of other hosts of the same site through,
and old browsers ignore it. A browser says in each write where it comes from.
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
        """Check where a write comes from. Programs, which name no origin, pass.

        Raises:
            CrossSite: From a page of another origin, and cookies are its only proof.
        """
        headers = request.headers
        origin = headers.get(b"origin")
        if origin is None or b"cookie" not in headers or b"x-queue-token" in headers:
            return
        if headers.get(b"sec-fetch-site") == b"same-origin" or origin in self._allowed:
            return
        # Browsers before 2023 do not send the field above. A proxy must pass on the host then.
        if b"sec-fetch-site" in headers or origin.partition(b"://")[2] != headers.get(b"host"):
            raise CrossSite
