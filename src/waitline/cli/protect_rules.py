"""Options of `waitline protect add`, and the rule that they describe."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import typer

from waitline.gate.model import (
    Action,
    ProtectionInvalid,
    Rule,
    RuleMode,
    RuleSet,
    When,
    WhenUnreachable,
    encode_document,
    parse_document,
)
from waitline.kernel.errors import Misconfigured
from waitline.kernel.ids import RoomId, TextInvalid, is_blank, normal_text

Texts = list[str] | None

Hosts = Annotated[
    Texts, typer.Option("--host", help="Host that it matches, as '*.shop.example'; repeatable")
]
Paths = Annotated[
    Texts, typer.Option("--path", help="Path that it matches, as '/buy/*'; repeatable")
]
Methods = Annotated[
    Texts, typer.Option("--method", help="HTTP method that it matches, as POST; repeatable")
]
Headers = Annotated[
    Texts,
    typer.Option("--header", help="Header that it matches, as 'x-app: *'; repeatable"),
]
Cookies = Annotated[
    Texts, typer.Option("--cookie", help="Cookie that it matches, as 'vip=1'; repeatable")
]
Agents = Annotated[
    Texts, typer.Option("--user-agent", help="User agent that it matches, as '*bot*'; repeatable")
]
Observe = Annotated[
    bool, typer.Option("--observe", help="Decide and count, but let every request pass")
]
Unreachable = Annotated[
    WhenUnreachable | None,
    typer.Option(
        "--when-unreachable",
        help="Whether requests pass while the waiting room does not answer; default open",
    ),
]
Bind = Annotated[
    bool, typer.Option("--bind", help="A pass counts only in the browser that first used it")
]

_OPTIONS: Final = {"userAgent": "--user-agent", "when": "--header and --cookie"}
"""Options whose names are not those of the fields of a rule."""


def matching(
    *, host: Texts, path: Texts, method: Texts, header: Texts, cookie: Texts, agent: Texts
) -> When:
    """Return the patterns of a rule.

    Raises:
        Misconfigured: There are none, or one is not written as it must be.
    """
    given = {
        "--host": host, "--path": path, "--method": method, "--header": header,
        "--cookie": cookie, "--user-agent": agent,
    }  # fmt: skip
    if not any(given.values()):
        raise Misconfigured("give --path, --host or another pattern; --path '/*' is every page")
    for option, texts in given.items():
        _check_texts(option, texts)
    return When(
        host=tuple(host or ()),
        path=tuple(path or ()),
        method=tuple(method or ()),
        # Names of headers have no case, so patterns of one name are alternatives in any case.
        header=_by_name((one.lower(), text) for one, text in split_headers(header, "pattern")),
        cookie=_by_name(split_cookies(cookie, "pattern")),
        agent=tuple(agent or ()),
    )


def bypass_rule(name: str, when: When, *, queue_only: Mapping[str, object]) -> Rule:
    """Return a rule that lets requests pass.

    Args:
        name: Its name; empty for the default.
        when: The requests.
        queue_only: Values of the options that only a rule with a room has.

    Raises:
        Misconfigured: It is not valid, or one of those options was given.
    """
    for option, value in queue_only.items():
        if value:
            raise Misconfigured(f"{option}: belongs to a rule with --room; a bypass has none")
    return _checked(Rule(name or "bypass", Action.BYPASS, when))


def queue_rule(
    name: str,
    when: When,
    room: str,
    *,
    observe: bool,
    when_unreachable: WhenUnreachable | None,
    bind: bool,
) -> Rule:
    """Return a rule whose requests need a pass of a room; its default name is the room's.

    Raises:
        Misconfigured: It is not valid.
    """
    if is_blank(room):
        # Before the name, which is the room's.
        raise Misconfigured("--room: must not be blank")
    return _checked(
        Rule(
            name or room.strip(),
            Action.QUEUE,
            when,
            RoomId(room),
            RuleMode.OBSERVE if observe else RuleMode.ENFORCE,
            when_unreachable or WhenUnreachable.OPEN,
            bind,
        )
    )


def split_headers(lines: Texts, what: str) -> list[tuple[str, str]]:
    """Return names and values of header fields that are written 'name: value'.

    Args:
        lines: The fields.
        what: What follows the name, in the error message.

    Raises:
        Misconfigured: One is not written so.
    """
    found = []
    for line in lines or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise Misconfigured(f"--header: {line!r} must be written 'name: {what}'")
        found.append((name.strip(), value.strip()))
    return found


def split_cookies(lines: Texts, what: str) -> list[tuple[str, str]]:
    """Return names and values of cookies that are written 'name=value', as `split_headers`."""
    found = []
    for line in lines or ():
        name, equals, value = line.partition("=")
        if not equals or not name.strip() or ";" in line:
            raise Misconfigured(
                f"--cookie: {line!r} must be written 'name={what}', once per cookie"
            )
        found.append((name.strip(), value.strip()))
    return found


def _check_texts(option: str, texts: Texts) -> None:
    """Check the texts of an option.

    Raises:
        Misconfigured: One has control characters, or is no Unicode, which JSON cannot hold.
    """
    try:
        for text in texts or ():
            normal_text(text)
    except TextInvalid as error:
        raise Misconfigured(f"{option}: {error}") from None


def _by_name(patterns: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, pattern in patterns:
        found[name] = (*found.get(name, ()), pattern)
    return found


def _checked(rule: Rule) -> Rule:
    """Return a rule in its normal form; an error names the option."""
    _check_texts("--name", [rule.name])
    _check_texts("--room", [rule.room])
    try:
        return parse_document(encode_document(RuleSet(0, (rule,)))).rules[0]
    except ProtectionInvalid as invalid:
        field, colon, reason = invalid.reason.removeprefix("rules[0].").partition(": ")
        if not colon:
            raise Misconfigured(f"the rule {invalid.reason}") from None
        option, _, name = field.removeprefix("when.").partition(".")
        option = _OPTIONS.get(option, f"--{option}")
        raise Misconfigured(f"{option}{name and ' ' + name}: {reason}") from None
