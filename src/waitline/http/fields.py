"""Parser for header and trailer sections of messages. Pure."""

import re

from waitline.http.limits import EdgeLimits
from waitline.http.problems import FieldsTooLarge, RequestMalformed
from waitline.http.texts import Text

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a method or a field's name. Source: RFC 9110, section 5.6.2."""

FIELD = Text("헤더 필드가 올바르지 않습니다.", "a header field is not valid")

# Quantifiers are possessive, so that no text makes the match take more than linear time. A value
# ends with its carriage return: to match any byte is twice as fast as to match those of a set.
_FIELD = re.compile(rb"^(" + TOKEN + rb"++):[ \t]*+(.*+)(?<=\r)\n", re.MULTILINE)
_VALUE_BYTES = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_AROUND = b" \t\r"
_FOLD = re.compile(rb"\r\n[ \t]++")
_FOLDED = re.compile(rb"^([^:\r\n]*+):[^\r\n]*+\r\n(?=[ \t])", re.MULTILINE)

_SINGLE = frozenset(
    (
        b"authorization",
        b"content-type",
        b"idempotency-key",
        b"stripe-signature",
        b"x-identity",
        b"x-operator-key",
        b"x-queue-token",
        b"x-user-id",
        b"x-visitor-key",
    )
)
"""Fields with one value, on which authentication and routing depend: of several values, two parsers
could choose different ones. Those of all other fields are joined (RFC 9110, section 5.3)."""

_FRAMING_FIELDS = frozenset((b"content-length", b"host", b"transfer-encoding"))


def parse_fields(data: bytes, start: int, end: int, limits: EdgeLimits) -> dict[bytes, bytes]:
    """Parse the lines of a header or trailer section.

    Raises:
        RequestMalformed: One is not well-formed.
        FieldsTooLarge: There are too many.
    """
    found, block = _FIELD.findall(data, start, end), data[start:end]
    # Each match is one line from its begin to its end; any other line has none.
    if not _breaks(block, len(found)):
        found = _unfolded(block)
    if len(found) > limits.fields:
        raise FieldsTooLarge
    fields = {name.lower(): value.rstrip(_AROUND) for name, value in found}
    if len(fields) != len(found):
        fields = _joined(found)
    return fields


def _unfolded(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of a section with folded lines, each fold replaced by a space.

    Source: RFC 9112, section 5.2. Only an attacker folds the fields that frame the message.

    Raises:
        RequestMalformed: It is malformed in other ways too.
    """
    folded = [name.lower() for name in _FOLDED.findall(block)]
    if not folded or block[:1] in b" \t" or not _FRAMING_FIELDS.isdisjoint(folded):
        raise RequestMalformed(FIELD)
    block = _FOLD.sub(b" ", block)
    found: list[tuple[bytes, bytes]] = _FIELD.findall(block)
    if not _breaks(block, len(found)):
        raise RequestMalformed(FIELD)
    return found


def _breaks(block: bytes, lines: int) -> bool:
    """Return whether a section has this many lines, and no control characters but their ends."""
    return block.translate(None, _VALUE_BYTES) == b"\r\n" * lines


def _joined(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join the fields of one name.

    Raises:
        RequestMalformed: A field that has one value comes with two.
    """
    fields: dict[bytes, bytes] = {}
    for given, value in found:
        name, value = given.lower(), value.rstrip(_AROUND)  # noqa: PLW2901 - the same, tidied
        before = fields.get(name)
        if before is None:
            fields[name] = value
        elif name in _SINGLE:
            if value != before:
                text = given.decode("ascii")
                raise RequestMalformed(Text(f"{text}: 값이 둘입니다.", f"{text}: has two values"))
        else:
            # Two hosts become one that is not valid, and two lengths a list.
            fields[name] = before + (b"; " if name == b"cookie" else b", ") + value
    return fields
