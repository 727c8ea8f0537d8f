"""Parser for requests: query string, headers, JSON bodies."""

from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    MutableMapping,
)
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from waitline.http import texts
from waitline.http.contexts import STATE
from waitline.http.problems import InputInvalid
from waitline.http.responses import Answer, Send
from waitline.http.texts import Language, Text
from waitline.kernel.ids import NAME_BYTES_MAX, TextFault, TextInvalid, normal_name

if TYPE_CHECKING:
    from waitline.kernel.request_context import RequestContext

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MISSING = Text("값이 필요합니다.", "is required")
BLANK = Text("비어 있을 수 없습니다.", TextFault.BLANK)
NOT_TEXT = Text("올바른 UTF-8 텍스트가 아닙니다.", TextFault.NOT_UNICODE)
FAULTS = {
    TextFault.BLANK: BLANK,
    TextFault.TOO_LONG: Text(f"최대 {NAME_BYTES_MAX}바이트까지 가능합니다.", TextFault.TOO_LONG),
    TextFault.CONTROLS: Text("제어 문자를 사용할 수 없습니다.", TextFault.CONTROLS),
    TextFault.NOT_UNICODE: NOT_TEXT,
}
"""Message to clients for each fault of a text."""

NOT_JSON_TYPE = Text("application/json 이어야 합니다.", "must be application/json")
NOT_JSON = Text("올바른 JSON이 아닙니다.", "must be well-formed JSON")

T = TypeVar("T")


class Request:
    """One complete request.

    Args:
        path: Without the query.
        query_string: The text after the question mark, still encoded.
        headers: Names in lower case, each once.
        body: Empty where the handler needs none.
        peer: Address of the connection's other end; empty for a unix socket.
        method: As the client wrote it.

    Attributes:
        context: What names it in logs and traces; `None` until `RequestContexts` makes it.
    """

    __slots__ = ("_query", "body", "context", "headers", "method", "path", "peer", "query_string")

    def __init__(
        self,
        path: str,
        query_string: bytes,
        headers: dict[bytes, bytes] | Iterable[tuple[bytes, bytes]],
        body: bytes = b"",
        peer: str = "",
        *,
        method: str = "GET",
    ) -> None:
        self.peer = peer
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers if isinstance(headers, dict) else dict(headers)
        self.body = body
        self._query: dict[str, str] | None = None
        self.context: RequestContext | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Request":
        """Return the request of an ASGI call, without its body."""
        client = scope.get("client")
        peer = client[0] if isinstance(client, tuple) else ""
        made = cls(scope["path"], scope["query_string"], scope["headers"], peer=peer)
        made.context = scope.get("state", {}).get(STATE)
        return made

    @property
    def language(self) -> Language:
        """The language that the client prefers."""
        return texts.preferred_language(self.headers.get(b"accept-language"))

    def json(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Decode a JSON body.

        Raises:
            InputInvalid: It does not fit the decoder, or is not declared to be JSON.
        """
        declared = self.headers.get(b"content-type", b"")
        if declared != b"application/json" and (
            declared.partition(b";")[0].strip().lower() != b"application/json"
        ):
            raise InputInvalid("Content-Type", NOT_JSON_TYPE)
        try:
            return decoder.decode(self.body)
        except msgspec.ValidationError as error:
            # The library's message contains the field and the type, never the value.
            raise InputInvalid("body", Text(str(error), str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InputInvalid("body", NOT_JSON) from None

    def parameter(self, name: str) -> str:
        """Return a name from the query string, in its normal form.

        Raises:
            InputInvalid: It is missing, or refused by `checked_name`.
        """
        value = self.optional_parameter(name)
        if value is None:
            raise InputInvalid(name, MISSING)
        return value

    def has_parameter(self, name: str) -> bool:
        """Return whether the query string names a parameter, with a value or without."""
        return name in self._parameters()

    def optional_parameter(self, name: str) -> str | None:
        """Return a name from the query string in its normal form, or `None` if it is missing.

        Raises:
            InputInvalid: It is refused by `checked_name`.
        """
        given = self._parameters().get(name)
        if given is None:
            return None
        if "%" in given or "+" in given or not given.isascii():
            given = decode_parameter(name, given)
        return checked_name(name, given)

    def raw_parameter(self, name: str) -> str | None:
        """Return a value from the query string as it was sent, or `None` if it is missing."""
        return self._parameters().get(name)

    def _parameters(self) -> dict[str, str]:
        query = self._query
        if query is None:
            query = self._query = {}
            # The first of several with one name wins.
            for pair in reversed(self.query_string.decode("latin-1").split("&")):
                key, _, value = pair.partition("=")
                query[key] = value
        return query


def decode_parameter(name: str, value: str) -> str:
    """Decode one percent-encoded value of a query string, given as Latin-1.

    Raises:
        InputInvalid: It is not UTF-8.
    """
    try:
        return unquote_to_bytes(value.replace("+", " ").encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise InputInvalid(name, NOT_TEXT) from None


def decode_header(name: str, value: bytes) -> str:
    """Decode the text of a header: percent-encoded, or UTF-8 as it is.

    A percent sign that begins no escape stands for itself. Spaces around a header's value are not
    part of it (RFC 9110, section 5.5); a text that begins with one is percent-encoded.

    Raises:
        InputInvalid: It is not UTF-8.
    """
    try:
        text = value.strip(b" \t")
        return (unquote_to_bytes(text) if b"%" in text else text).decode()
    except UnicodeDecodeError:
        raise InputInvalid(name, NOT_TEXT) from None


def checked_name(name: str, value: str) -> str:
    """Return the name of a room or visitor in its normal form.

    Args:
        name: The field, parameter or header that it comes from.
        value: The name.

    Raises:
        InputInvalid: `waitline.kernel.ids.normal_name` refuses it.
    """
    try:
        return normal_name(value)
    except TextInvalid as error:
        raise InputInvalid(name, FAULTS[error.fault]) from None


Handler = Callable[[Request], Coroutine[Any, Any, Answer]]
HotHandler = Callable[[Request], Answer | Coroutine[Any, Any, Answer]]
"""Answers at once, or returns a coroutine if something has to be awaited."""
