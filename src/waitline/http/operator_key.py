"""Authentication of operators by the installation's operator key."""

from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest

from fastapi import Request

from waitline.http.problems import OperatorKeyMissing, OperatorKeyWrong


class Operators:
    """Authenticates the calls of operators.

    Args:
        key: The installation's operator key.

    Attributes:
        who: "operator" and a digest of the key, for logs of changes.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        digest = blake2b(self._key, digest_size=4).hexdigest()
        self.who = f"operator {digest}"

    async def require(self, request: Request) -> None:
        """Accept the request.

        Raises:
            OperatorKeyMissing: It carries no key.
            OperatorKeyWrong: It carries a wrong key.
        """
        self.check(dict(request.headers.raw))

    def check(self, fields: Mapping[bytes, bytes]) -> None:
        """Accept a request by its header fields.

        Raises:
            OperatorKeyMissing: They hold no key.
            OperatorKeyWrong: They hold a wrong key.
        """
        given = fields.get(b"x-operator-key")
        if given is None:
            scheme, _, credentials = fields.get(b"authorization", b"").partition(b" ")
            given = credentials if scheme.lower() == b"bearer" else None
        if not given:
            raise OperatorKeyMissing
        if not compare_digest(given, self._key):
            raise OperatorKeyWrong
