"""Authentication of operators by the installation's operator key."""

from hmac import compare_digest

from fastapi import Request

from waitline.http.problems import OperatorKeyMissing, OperatorKeyWrong


class Operators:
    """Authenticates the calls of operators.

    Args:
        key: The installation's operator key.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    async def require(self, request: Request) -> None:
        """Accept the request.

        Raises:
            OperatorKeyMissing: It carries no key.
            OperatorKeyWrong: It carries a wrong key.
        """
        given = request.headers.get("x-operator-key")
        if given is None:
            scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
            given = credentials if scheme.lower() == "bearer" else None
        if not given:
            raise OperatorKeyMissing
        if not compare_digest(given.encode(), self._key):
            raise OperatorKeyWrong
