"""Protection rules: their document, and what makes it valid. Pure."""

from enum import StrEnum
from typing import Final

import msgspec

from waitline.kernel.errors import Refused
from waitline.kernel.ids import (
    RoomId,
    TextInvalid,
    is_blank,
    is_reachable,
    normal_name,
    normal_text,
)

RULES_MAX: Final = 100
"""Most rules: an address that is not cached is compared with them one by one, 0.3 µs each."""

PATTERNS_MAX: Final = 20
"""Most patterns of one field of a rule."""

NAMES_MAX: Final = PATTERNS_MAX + 4
"""Most fields of a rule: headers and cookies by name, and the four others."""

PATTERN_BYTES_MAX: Final = 256
"""Longest pattern, in bytes of UTF-8."""

NAME_CHARS_MAX: Final = 64
"""Longest name of a rule, in characters: it is a label of metrics."""

DOCUMENT_BYTES_MAX: Final = 65_536
"""Longest document, in bytes: every worker and every connector fetches it again when it changes."""


class ProtectionInvalid(Refused):
    """The rules are not valid.

    Attributes:
        reason: What is wrong, and where.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProtectionChanged(Refused):
    """The rules were changed since the caller fetched them.

    Attributes:
        version: The current version.
    """

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class ProxyUntrusted(Refused):
    """The gate was called by an address that is not a trusted proxy."""


class Action(StrEnum):
    """What a rule does with a request that it matches."""

    BYPASS = "bypass"  # it passes
    QUEUE = "queue"  # it needs a pass of the rule's room


class RuleMode(StrEnum):
    """Whether a rule is applied."""

    ENFORCE = "enforce"
    OBSERVE = "observe"  # decides and counts, and lets every request pass


class WhenUnreachable(StrEnum):
    """What happens to requests while the waiting room does not answer."""

    OPEN = "open"
    CLOSED = "closed"


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Patterns of a rule: every field must match, by one of its patterns.

    Attributes:
        host: Host without port, in any case; empty for all.
        path: Normal path (`normal_path`), without the query.
        method: HTTP method.
        header: Values by header name.
        cookie: Values by cookie name.
        agent: User agent, in any case.
    """

    host: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    header: dict[str, tuple[str, ...]] = {}
    cookie: dict[str, tuple[str, ...]] = {}
    agent: tuple[str, ...] = msgspec.field(default=(), name="userAgent")


class Rule(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """One rule; the members after `when` belong to the action `queue`.

    Attributes:
        name: Its name, unique in the document; a label of metrics.
        action: What it does.
        when: The requests that it matches.
        room: The room whose pass a request needs.
        mode: Whether it is applied.
        when_unreachable: What happens while the waiting room does not answer.
        bind: Whether a pass is valid in one browser only.
    """

    name: str
    action: Action
    when: When = When()
    room: RoomId = RoomId("")
    mode: RuleMode = RuleMode.ENFORCE
    when_unreachable: WhenUnreachable = WhenUnreachable.OPEN
    bind: bool = False

    @property
    def names_hosts(self) -> bool:
        """Whether it matches only hosts that the operator has named."""
        return bool(self.when.host) and "*" not in self.when.host


class RuleSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules.

    Attributes:
        version: 0 before the first rules, then rises by 1 with each change.
        rules: In the order of matching.
    """

    version: int
    rules: tuple[Rule, ...] = ()


def parse_document(text: bytes) -> RuleSet:
    """Return the rules in a JSON document, in their normal form.

    Raises:
        ProtectionInvalid: They are not valid.
    """
    if len(text) > DOCUMENT_BYTES_MAX:
        raise ProtectionInvalid(f"must have at most {DOCUMENT_BYTES_MAX:,} bytes")
    try:
        document = msgspec.json.decode(text, type=RuleSet)
    except msgspec.ValidationError as error:
        raise ProtectionInvalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtectionInvalid("must be well-formed JSON") from None
    if document.version < 0:
        raise ProtectionInvalid("version: must be 0 or more")
    if len(document.rules) > RULES_MAX:
        raise ProtectionInvalid(f"rules: at most {RULES_MAX}")
    rules = tuple(map(_checked_rule, range(len(document.rules)), document.rules))
    names = [rule.name for rule in rules]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ProtectionInvalid(f"rules[{number}].name: {name!r} is the name of another rule")
    return RuleSet(document.version, rules)


def encode_document(document: RuleSet) -> bytes:
    """Return a document as JSON."""
    return msgspec.json.encode(document)


def _checked_rule(number: int, rule: Rule) -> Rule:
    where = f"rules[{number}]"
    try:
        name = normal_text(rule.name).strip()
    except TextInvalid as error:
        raise ProtectionInvalid(f"{where}.name: {error}") from None
    if is_blank(name) or len(name) > NAME_CHARS_MAX:
        raise ProtectionInvalid(f"{where}.name: must have 1 to {NAME_CHARS_MAX} characters")
    _check_when(where, rule.when)
    if rule.action is Action.BYPASS:
        if rule != Rule(rule.name, rule.action, rule.when):
            raise ProtectionInvalid(f"{where}: a bypass rule has only name, action and when")
        return Rule(name, rule.action, rule.when)
    try:
        room = RoomId(normal_name(rule.room))
    except TextInvalid as error:
        raise ProtectionInvalid(f"{where}.room: {error}") from None
    if not is_reachable(room):
        raise ProtectionInvalid(f"{where}.room: no address leads to a room of this name")
    return msgspec.structs.replace(rule, name=name, room=room)


def _check_when(where: str, when: When) -> None:
    fields: dict[str, tuple[str, ...]] = {
        "host": when.host, "path": when.path, "method": when.method, "userAgent": when.agent,
        **{f"header.{name}": values for name, values in when.header.items()},
        **{f"cookie.{name}": values for name, values in when.cookie.items()},
    }  # fmt: skip
    if len(fields) > NAMES_MAX:
        raise ProtectionInvalid(f"{where}.when: at most {PATTERNS_MAX} headers and cookies")
    for field, patterns in fields.items():
        if len(patterns) > PATTERNS_MAX:
            raise ProtectionInvalid(f"{where}.when.{field}: at most {PATTERNS_MAX} patterns")
        if "." in field and not patterns:
            raise ProtectionInvalid(f"{where}.when.{field}: no pattern; ['*'] matches any value")
        for pattern in patterns:
            _check_pattern(f"{where}.when.{field}", pattern)
            if field == "path" and not pattern.startswith(("/", "*")):
                raise ProtectionInvalid(f"{where}.when.path: {pattern!r} must begin with / or *")


def _check_pattern(where: str, pattern: str) -> None:
    try:
        size = len(normal_text(pattern).encode())
    except TextInvalid as error:
        raise ProtectionInvalid(f"{where}: a pattern {error}") from None
    if not 1 <= size <= PATTERN_BYTES_MAX:
        raise ProtectionInvalid(f"{where}: a pattern has 1 to {PATTERN_BYTES_MAX} bytes")
