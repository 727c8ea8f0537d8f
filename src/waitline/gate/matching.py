"""Which rule matches a request: patterns over its parts, first match wins. Pure.

A pattern is literal text in which `*` stands for any run of characters. It is matched piece by
piece from the left, in linear time: what visitors send never makes it slow.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from waitline.gate.model import Rule, RuleSet

ADDRESSES_CACHED: Final = 4_096
"""Addresses per worker whose rules are cached; most requests are for few pages."""

ADDRESS_CHARS_CACHED: Final = 512
"""Most characters of their method and path: longer ones would let strangers fill the memory."""

_SLASHES = re.compile("/{2,}")


class SiteRequest(NamedTuple):
    """One request of the protected site.

    Attributes:
        method: In upper case.
        host: In lower case, without a port.
        path: The normal path.
        fields: Header fields by name in lower case.
    """

    method: str
    host: str
    path: str
    fields: Mapping[bytes, bytes]

    @property
    def is_preflight(self) -> bool:
        """Whether it is a CORS preflight, which always passes: browsers send it no cookie."""
        return self.method == "OPTIONS" and b"access-control-request-method" in self.fields

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in lower case, or `None`."""
        value = self.fields.get(name.encode("latin-1", "replace"))
        return None if value is None else value.decode("latin-1")

    def cookies(self, name: str) -> list[str]:
        """Return the values of the cookies with a name."""
        given = self.fields.get(b"cookie")
        return [] if given is None else cookie_values(given, name.encode("latin-1", "replace"))


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


_Matcher = Callable[[str], bool]
_Test = Callable[[SiteRequest], bool]


class _Compiled(NamedTuple):
    """A rule with its patterns compiled: of the address, and of all else."""

    rule: Rule
    method: _Matcher
    host: _Matcher
    path: _Matcher
    tests: tuple[_Test, ...]


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
        self._compiled = [_compiled(rule) for rule in document.rules]
        self._known = lru_cache(maxsize=ADDRESSES_CACHED)(self._candidates)

    def match(self, request: SiteRequest) -> Rule | None:
        """Return the first rule that matches a request, or `None`."""
        method, host, path = request.method, request.host, request.path
        known = len(method) + len(path) <= ADDRESS_CHARS_CACHED
        candidates = self._known if known else self._candidates
        for rule, tests in candidates(method, host, path):
            for test in tests:
                if not test(request):
                    break
            else:
                return rule
        return None

    def _candidates(
        self, method: str, host: str, path: str
    ) -> list[tuple[Rule, tuple[_Test, ...]]]:
        """Return the rules that can match at an address, with the tests that are left."""
        found = []
        for one in self._compiled:
            if one.path(path) and one.host(host) and one.method(method):
                found.append((one.rule, one.tests))
                if not one.tests:
                    break
        return found


def cookie_values(cookies: bytes, name: bytes) -> list[str]:
    """Return the values of the cookies with a name, in a Cookie field."""
    found, start, begin = [], 0, name + b"="
    while (at := cookies.find(begin, start)) >= 0:
        before = cookies[start:at].rstrip()
        # Elsewhere it is the end of another name, or part of a value.
        begins = before.endswith(b";") if start else not before or before.endswith(b";")
        start = at + len(begin)
        if begins:
            value = cookies[start:].partition(b";")[0]
            found.append(value.strip().decode("latin-1"))
    return found


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


def _compiled(rule: Rule) -> _Compiled:
    when, tests = rule.when, list[_Test]()
    if when.agent:
        agent = _matcher(one.lower() for one in when.agent)
        tests.append(lambda request: agent((request.header("user-agent") or "").lower()))
    tests += [_header_test(name.lower(), given) for name, given in when.header.items()]
    tests += [_cookie_test(name, given) for name, given in when.cookie.items()]
    return _Compiled(
        rule,
        _matcher(one.upper() for one in when.method),
        _matcher(one.lower() for one in when.host),
        _matcher(when.path),
        tuple(tests),
    )


def _header_test(name: str, given: Sequence[str]) -> _Test:
    matches = _matcher(given)

    def test(request: SiteRequest) -> bool:
        value = request.header(name)
        return value is not None and matches(value)

    return test


def _cookie_test(name: str, given: Sequence[str]) -> _Test:
    matches = _matcher(given)
    return lambda request: any(map(matches, request.cookies(name)))


def _matcher(texts: Iterable[str]) -> _Matcher:
    """Return whether a text fits one of several patterns, or any text if there are none."""
    patterns = [Pattern.of(text) for text in texts]
    if len(patterns) == 1:
        return patterns[0].matches
    return lambda text: not patterns or any(pattern.matches(text) for pattern in patterns)
