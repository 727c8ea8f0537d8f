"""Protection rules: which room guards a request; the first match wins. Pure.

A pattern is literal text in which `*` matches any run of characters, `/` included.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self
from urllib.parse import unquote_to_bytes

RULES_MAX: Final = 100
"""Most rules of a document; each request may be compared with all of them."""

PATTERNS_MAX: Final = 20
"""Most patterns of one condition, for the same reason."""

PATTERN_BYTES_MAX: Final = 256
"""Longest pattern, in bytes of UTF-8."""

_NAMED: Final = ("header", "cookie")
_LISTED: Final = ("host", "path", "method", "userAgent")


class RulesInvalid(ValueError):  # noqa: N818 - reads as the outcome it is
    """The document cannot be used; the message names the member and what is wrong with it."""


class Patterns:
    """Texts with wildcards, of which any may match, in time linear in the text.

    Not regular expressions: with twenty wildcards, backtracking could take seconds. The common
    forms, `text`, `text*` and `*text`, take one call each for the whole list.
    """

    __slots__ = ("_exact", "_fold", "_prefixes", "_split", "_suffixes")

    def __init__(self, texts: Sequence[str], *, fold: bool = False) -> None:
        exact, prefixes, suffixes, split = [], [], [], []
        for text in texts:
            match (text.lower() if fold else text).split("*"):
                case [whole]:
                    exact.append(whole)
                case [prefix, ""]:
                    prefixes.append(prefix)
                case ["", suffix]:
                    suffixes.append(suffix)
                case parts:
                    split.append(parts)
        self._fold = fold
        self._exact = frozenset(exact)
        self._prefixes, self._suffixes = tuple(prefixes), tuple(suffixes)
        self._split = split

    def match(self, text: str) -> bool:
        """Return whether any pattern matches the whole text."""
        if self._fold:
            text = text.lower()
        return (
            text in self._exact
            or text.startswith(self._prefixes)
            or text.endswith(self._suffixes)
            or (bool(self._split) and any(_matches(parts, text) for parts in self._split))
        )


def _matches(parts: Sequence[str], text: str) -> bool:
    """Return whether a text has these parts in this order, the first and last at its ends."""
    at, end = len(parts[0]), len(text) - len(parts[-1])
    if end < at or not (text.startswith(parts[0]) and text.endswith(parts[-1])):
        return False
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@dataclass(frozen=True)
class Request:
    """What rules and decisions read of a request.

    Attributes:
        method: As sent, in upper case.
        host: The `Host` header, as sent.
        target: The path, as sent, its bytes as Latin-1.
        query: The query string, as sent, without `?`.
        headers: Values by name in lower case; several lines of a name are joined by a comma.
    """

    method: str
    host: str
    target: str
    query: str
    headers: Mapping[str, str]

    @cached_property
    def cookies(self) -> dict[str, list[str]]:
        """The values of the cookies, by name."""
        return cookies_of(self.headers.get("cookie", ""))

    def cookie(self, name: str) -> str:
        """Return the first cookie of a name; empty if there is none."""
        return self.cookies.get(name, _NONE)[0]

    @cached_property
    def normal_host(self) -> str:
        """The host in lower case, without port and final dot."""
        return normal_host(self.host)

    @cached_property
    def normal_path(self) -> str:
        """The path as rules see it."""
        return normal_path(self.target)


_NONE: Final = ("",)


def normal_path(target: str) -> str:
    """Return a path as rules see it: `/x/../buy/1`, `//buy/1`, `/%62uy/1` are all `/buy/1`.

    Escapes are decoded once, as frameworks do before they route.

    Source:
        RFC 3986 section 5.2.4 for dot segments. Repeated slashes are joined and a backslash counts
        as a slash, since many servers and browsers treat them so: a rule must not be avoidable.
    """
    if target.startswith("/") and not _ABNORMAL.search(target):
        return target
    path = unquote_to_bytes(target.encode("latin-1", "replace")).decode("utf-8", "replace")
    segments: list[str] = []
    parts = path.replace("\\", "/").split("/")
    for part in parts:
        if part == "..":
            del segments[-1:]
        elif part not in {"", "."}:
            segments.append(part)
    ends_open = parts[-1] in {"", ".", ".."} and segments
    return "/" + "/".join(segments) + ("/" if ends_open else "")


_ABNORMAL: Final = re.compile(r"[%\\\x80-\xff]|//|/\.\.?(?:/|$)")


def normal_host(host: str) -> str:
    """Return a `Host` header in lower case, without its port and a final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].removesuffix(".")


def cookies_of(header: str) -> dict[str, list[str]]:
    """Parse a `Cookie` header into values by name; a space before `=` is part of the name."""
    found: dict[str, list[str]] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            found.setdefault(name.lstrip(), []).append(value.strip())
    return found


Condition = Callable[[Request], bool]


@dataclass(frozen=True)
class Rule:
    """One rule: what it matches, and what happens to a request that it matches.

    Attributes:
        name: For logs.
        action: `queue`: a pass of the room is needed. `bypass`: nothing is.
        room: The room; empty for `bypass`.
        mode: `observe`: decide and log, but let the request through.
        when_unreachable: Whether requests pass (`open`) while the queue does not answer.
        bind: Whether a pass counts only in the browser that waited for it.
        conditions: All must hold.
    """

    name: str
    action: Literal["queue", "bypass"] = "queue"
    room: str = ""
    mode: Literal["enforce", "observe"] = "enforce"
    when_unreachable: Literal["open", "closed"] = "open"
    bind: bool = False
    conditions: tuple[Condition, ...] = ()

    def matches(self, request: Request) -> bool:
        """Return whether all conditions hold."""
        for condition in self.conditions:  # noqa: SIM110 - a generator would take twice the time
            if not condition(request):
                return False
        return True


@dataclass(frozen=True)
class Rules:
    """A protection document: an ordered list of rules.

    Attributes:
        rules: In the order in which they are tried.
        version: The document's, for logs.
    """

    rules: tuple[Rule, ...] = ()
    version: int = 0

    @classmethod
    def parse(cls, document: object) -> Self:
        """Read a document as the queue serves it, `{"version": 1, "rules": […]}`.

        Members that we do not know are ignored, but for conditions: without a condition that it
        does not know, a rule would match more than its author meant.

        Raises:
            RulesInvalid: A member is missing or malformed.
        """
        if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
            raise RulesInvalid('a document is {"version": 1, "rules": […]}')
        listed = document["rules"]
        if len(listed) > RULES_MAX:
            raise RulesInvalid(f"at most {RULES_MAX} rules, not {len(listed)}")
        version = document.get("version", 0)
        if not isinstance(version, int):
            raise RulesInvalid("version must be a whole number")
        return cls(tuple(_rule(one, f"rules[{n}]") for n, one in enumerate(listed)), version)

    def match(self, request: Request) -> Rule | None:
        """Return the first rule that matches."""
        for rule in self.rules:
            if rule.matches(request):
                return rule
        return None

    @cached_property
    def rooms(self) -> dict[str, Rule]:
        """The first rule of each room, by room."""
        rooms: dict[str, Rule] = {}
        for rule in self.rules:
            if rule.room:
                rooms.setdefault(rule.room, rule)
        return rooms


def _rule(one: object, at: str) -> Rule:
    if not isinstance(one, dict):
        raise RulesInvalid(f"{at} must be an object")
    action = _choice(one, "action", at, ("queue", "bypass"))
    room = one.get("room", "")
    if not isinstance(room, str) or (action == "queue") != bool(room):
        raise RulesInvalid(f"{at}.room must name a room if the action is queue, and only then")
    bind = one.get("bind", False)
    if not isinstance(bind, bool):
        raise RulesInvalid(f"{at}.bind must be true or false")
    return Rule(
        name=str(one.get("name", at)),
        action=action,
        room=room,
        mode=_choice(one, "mode", at, ("enforce", "observe")),
        when_unreachable=_choice(one, "whenUnreachable", at, ("open", "closed")),
        bind=bind,
        conditions=_conditions(one.get("when", {}), f"{at}.when"),
    )


def _choice(one: Mapping[str, object], name: str, at: str, among: Sequence[str]) -> Any:  # noqa: ANN401 - one of `among`
    value = one.get(name, among[0])
    if value not in among:
        raise RulesInvalid(f"{at}.{name} must be {' or '.join(among)}")
    return value


def _conditions(when: object, at: str) -> tuple[Condition, ...]:
    if not isinstance(when, dict):
        raise RulesInvalid(f"{at} must be an object")
    unknown = sorted(when.keys() - {*_LISTED, *_NAMED})
    if unknown:
        raise RulesInvalid(f"{at}.{unknown[0]} is not a condition that this version knows")
    # An empty list is served for a condition that is absent.
    given = [name for name in _LISTED if when.get(name, []) != []]
    conditions = [_listed(name, when[name], f"{at}.{name}") for name in given]
    for name in _NAMED:
        fields = when.get(name, {})
        if not isinstance(fields, dict):
            raise RulesInvalid(f"{at}.{name} must be an object of lists")
        conditions += [_named(name, field, fields[field], f"{at}.{name}") for field in fields]
    return tuple(conditions)


def _listed(name: str, texts: object, at: str) -> Condition:
    patterns = _patterns(texts, at, fold=name != "path")
    match name:
        case "host":
            return lambda request: patterns.match(request.normal_host)
        case "path":
            return lambda request: patterns.match(request.normal_path)
        case "method":
            return lambda request: patterns.match(request.method)
        case _:
            return _of_header("user-agent", patterns)


def _named(kind: str, name: str, texts: object, at: str) -> Condition:
    patterns = _patterns(texts, f"{at}.{name}", fold=False)
    return _of_header(name.lower(), patterns) if kind == "header" else _of_cookie(name, patterns)


def _of_header(name: str, patterns: Patterns) -> Condition:
    def holds(request: Request) -> bool:
        value = request.headers.get(name)
        return value is not None and patterns.match(value)

    return holds


def _of_cookie(name: str, patterns: Patterns) -> Condition:
    return lambda request: any(map(patterns.match, request.cookies.get(name, ())))


def _patterns(texts: object, at: str, *, fold: bool) -> Patterns:
    if not isinstance(texts, list) or not 1 <= len(texts) <= PATTERNS_MAX:
        raise RulesInvalid(f"{at} must be a list of 1 to {PATTERNS_MAX} patterns")
    for text in texts:
        if not isinstance(text, str) or not 1 <= len(text.encode()) <= PATTERN_BYTES_MAX:
            raise RulesInvalid(f"{at}: a pattern has 1 to {PATTERN_BYTES_MAX} bytes of text")
    return Patterns(texts, fold=fold)
