"""The contract's envelope around every success."""

import msgspec

from waitline.http.requests import Request
from waitline.http.responses import JSON, Answer, Headers
from waitline.http.texts import Language, Text


class Envelope(msgspec.Struct, frozen=True):
    """The body of a success. Source: the wire contract."""

    result: str
    message: str
    data: msgspec.Struct | None


_encode = msgspec.json.Encoder().encode


def success(
    request: Request,
    message: Text,
    data: msgspec.Struct | None,
    status: int = 200,
    *,
    headers: Headers = JSON,
) -> Answer:
    """Answer with data in the contract's envelope."""
    body = _encode(Envelope("success", message.to(request.language), data))
    return Answer(status, headers, body)


def success_in(
    language: Language, message: Text, data: msgspec.Struct | None, status: int = 200
) -> Answer:
    """Answer as `success` does, in a language that is not the request's own."""
    return Answer(status, JSON, _encode(Envelope("success", message.to(language), data)))
