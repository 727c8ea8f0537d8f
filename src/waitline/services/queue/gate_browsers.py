"""Browsers that passes are bound to: the secret in a cookie, and the mark beside the pass."""

import re
import secrets
from hmac import compare_digest
from typing import Final, NamedTuple

from waitline.gate.matching import cookie_values
from waitline.gate.returns import pass_mark
from waitline.http.requests import Request
from waitline.http.responses import Headers
from waitline.services.queue.site_requests import Asked, Form

BROWSER_S: Final = 400 * 86_400
"""How long, in s, a browser keeps its secret: the most that browsers allow."""

SECRET_BYTES: Final = 16
"""Random bytes of a secret: nobody guesses 128 bits."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{22,64}")


class Browser(NamedTuple):
    """A browser of a visitor.

    Attributes:
        secret: What only this browser has.
        known: Whether it has it already, in its cookie.
    """

    secret: str
    known: bool

    @classmethod
    def of(cls, request: Request, asked: Asked) -> "Browser":
        """Return the browser that makes a request, with a new secret if it has none."""
        given = cookie_values(request.headers.get(b"cookie", b""), _cookie_name(asked))
        kept = next((value for value in given if _SECRET.fullmatch(value)), None)
        return cls(kept or secrets.token_urlsafe(SECRET_BYTES), kept is not None)

    def bound(self, key: bytes, token: str) -> str:
        """Return the value of the cookie that keeps a pass for this browser alone."""
        return f"{token}~{pass_mark(key, token, self.secret)}"

    def is_bound(self, key: bytes, value: str) -> bool:
        """Return whether the value of such a cookie is this browser's."""
        token, _, mark = value.partition("~")
        return self.known and compare_digest(
            pass_mark(key, token, self.secret).encode(), mark.encode("latin-1", "replace")
        )

    def cookie(self, asked: Asked, *, alone: bool) -> Headers:
        """Return the field that keeps the secret in the browser; none if it is there.

        Args:
            asked: The request.
            alone: Whether no other cookie is set: nginx takes one from each field.
        """
        if self.known:
            return ()
        secure = b"; Secure" if asked.is_secure else b""
        value = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b" % (
            _cookie_name(asked),
            self.secret.encode("ascii"),
            BROWSER_S,
            secure,
        )
        of_nginx = asked.form is Form.NGINX and not alone
        return ((b"x-waitline-browser" if of_nginx else b"set-cookie", value),)


def _cookie_name(asked: Asked) -> bytes:
    return b"__Host-waitline-browser" if asked.is_secure else b"waitline-browser"
