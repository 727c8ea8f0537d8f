"""Parser of JSON documents that others made: an error for whatever is not the expected document."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def parse_json(body: bytes | str, kind: type[T]) -> T:
    """Decode a document.

    Raises:
        msgspec.ValidationError: It is another document.
        msgspec.DecodeError: It is no JSON, or nested more deeply than the interpreter's stack
            allows: a few kilobytes of brackets are, and the parser's own error for them would be
            taken for a bug of ours.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (RecursionError, UnicodeDecodeError):
        raise msgspec.DecodeError("nested too deeply, or no UTF-8") from None
