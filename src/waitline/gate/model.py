"""Protection rules: patterns over a request, first match wins. Pure.

A pattern is literal text in which `*` stands for any run of characters. It is matched piece by
piece from the left, in linear time: what visitors send never makes it slow.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

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
"""Most rules: each request of the site is compared with them one by one, 0.3 µs each."""

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

_SLASHES = re.compile("/{2,}")


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
    room: str = ""
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


class SiteRequest(NamedTuple):
    """One request of the protected site.

    Attributes:
        method: In upper case.
        host: In lower case, without a port.
        path: The normal path.
        header: Returns a header's value by its name in lower case, or `None`.
        cookies: Returns the values of the cookies with a name.
    """

    method: str
    host: str
    path: str
    header: Callable[[str], str | None]
    cookies: Callable[[str], Sequence[str]]


class Pattern(NamedTuple):
    """A pattern, cut at its stars.

    Attributes:
        prefix: Text before the first star; the whole text if there is no star.
        pieces: Texts between stars; `None` if there is no star.
        suffix: Text after the last star.
    """

    prefix: str
    pieces: tuple[str, ...] | None = None
    suffix: str = ""

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Return the pattern that a text describes."""
        first, *others = text.split("*")
        if not others:
            return cls(first)
        return cls(first, tuple(filter(None, others[:-1])), others[-1])

    def matches(self, text: str) -> bool:
        """Return whether a text fits."""
        if self.pieces is None:
            return text == self.prefix
        start, end = len(self.prefix), len(text) - len(self.suffix)
        if start > end or not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return False
        for piece in self.pieces:
            found = text.find(piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return True


_Test = Callable[[SiteRequest], bool]


class CompiledRules:
    """The rules of a document, with their patterns compiled.

    Args:
        document: Checked by `parse_document`.

    Attributes:
        document: As given.
        read_headers: Whether a rule looks at header fields other than Host and Cookie.
    """

    def __init__(self, document: RuleSet) -> None:
        self.document = document
        self.read_headers = any(rule.when.header or rule.when.agent for rule in document.rules)
        self._compiled = [(rule, _tests(rule.when)) for rule in document.rules]

    def match(self, request: SiteRequest) -> Rule | None:
        """Return the first rule that matches a request, or `None`."""
        for rule, tests in self._compiled:
            for test in tests:
                if not test(request):
                    break
            else:
                return rule
        return None


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


def normal_path(path: str) -> str:
    """Return the path that rules match: decoded once, without repeated slashes and dot segments.

    Frameworks route the decoded path, so `/buy%2F1` is `/buy/1` here too. A backslash counts as a
    slash, since browsers and several servers treat it so.

    Source:
        RFC 3986, sections 5.2.4 and 6.2.2.
    """
    if "%" in path or "\\" in path:
        path = unquote(path).replace("\\", "/")
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


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
    fields: dict[str, Sequence[str]] = {
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


def _tests(when: When) -> list[_Test]:
    """Return the tests of a rule; those that are cheap and exclude most come first."""
    tests: list[_Test] = []
    if when.path:
        path = _matcher(when.path)
        tests.append(lambda request: path(request.path))
    if when.host:
        host = _matcher(one.lower() for one in when.host)
        tests.append(lambda request: host(request.host))
    if when.method:
        method = _matcher(one.upper() for one in when.method)
        tests.append(lambda request: method(request.method))
    if when.agent:
        agent = _matcher(one.lower() for one in when.agent)
        tests.append(lambda request: agent((request.header("user-agent") or "").lower()))
    tests += [_header_test(name.lower(), given) for name, given in when.header.items()]
    tests += [_cookie_test(name, given) for name, given in when.cookie.items()]
    return tests


def _header_test(name: str, given: Sequence[str]) -> _Test:
    matches = _matcher(given)

    def test(request: SiteRequest) -> bool:
        value = request.header(name)
        return value is not None and matches(value)

    return test


def _cookie_test(name: str, given: Sequence[str]) -> _Test:
    matches = _matcher(given)
    return lambda request: any(map(matches, request.cookies(name)))


def _matcher(texts: Iterable[str]) -> Callable[[str], bool]:
    patterns = [Pattern.of(text) for text in texts]
    if len(patterns) == 1:
        return patterns[0].matches
    return lambda text: any(pattern.matches(text) for pattern in patterns)
