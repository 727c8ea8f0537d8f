"""`waitline protect`: the rules of the gate, which say which requests of a site need a pass.

They use Valkey directly, so they also work while no service runs.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options, protect_rules
from waitline.gate.matching import CompiledRules, SiteRequest, normal_path
from waitline.gate.model import (
    DOCUMENT_BYTES_MAX,
    Action,
    ProtectionChanged,
    ProtectionInvalid,
    Rule,
    RuleMode,
    RuleSet,
    encode_document,
    parse_document,
)
from waitline.gate.store import Protection
from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.queue.rooms import Rooms
from waitline.settings import Settings
from waitline.valkey.client import ValkeyClient

app = typer.Typer(
    help="Add, show and try the rules of the gate: which pages of your site have a waiting line.",
    no_args_is_help=True,
)

RulesFile = Annotated[
    Path, typer.Argument(help='JSON file: {"rules": [...]}; docs/gate.md describes the rules')
]


@app.command("add")
def add(
    room: Annotated[str, typer.Option("--room", help="Room whose pass these pages need")] = "",
    bypass: Annotated[
        bool, typer.Option("--bypass", help="Let these requests pass, whatever other rules say")
    ] = False,
    host: protect_rules.Hosts = None,
    path: protect_rules.Paths = None,
    method: protect_rules.Methods = None,
    header: protect_rules.Headers = None,
    cookie: protect_rules.Cookies = None,
    agent: protect_rules.Agents = None,
    observe: protect_rules.Observe = False,
    when_unreachable: protect_rules.Unreachable = None,
    bind: protect_rules.Bind = False,
    name: Annotated[
        str, typer.Option("--name", help="Name of the rule; by default the room, or 'bypass'")
    ] = "",
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Add a rule: pages that need a pass of a room, or requests that pass without one.

    Every kind of pattern that is given must match, and each header and cookie by its name; several
    patterns of one kind or name are alternatives. * is any text; put patterns in quotes.

    The first rule that matches decides. A bypass goes before all others, a rule with a room goes
    last. Takes effect within two seconds.

    Examples: waitline protect add --host shop.example --path '/buy/*' --room summer --observe;
    waitline protect add --bypass --path '/hooks/*' --method POST --header 'x-partner: *'
    """
    if bool(room) == bypass:
        raise Misconfigured("give --room ROOM for pages that need its pass, or --bypass; not both")
    when = protect_rules.matching(
        host=host, path=path, method=method, header=header, cookie=cookie, agent=agent
    )
    if bypass:
        given = {"--observe": observe, "--when-unreachable": when_unreachable, "--bind": bind}
        rule = protect_rules.bypass_rule(name, when, queue_only=given)
    else:
        rule = protect_rules.queue_rule(
            name, when, room, observe=observe, when_unreachable=when_unreachable, bind=bind
        )

    def added(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if any(other.name == rule.name for other in rules):
            raise Misconfigured(
                f"there is a rule {rule.name!r} already; give this one a --name of its own, or "
                f"remove that one: waitline protect remove {rule.name!r}"
            )
        return (rule, *rules) if bypass else (*rules, rule)

    _change(chosen.load(data_dir=data_dir, valkey_url=valkey_url), added, as_json=as_json)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the rule")],
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove a rule. Takes effect within two seconds.

    Example: waitline protect remove summer
    """

    def removed(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        kept = tuple(rule for rule in rules if rule.name != name)
        if len(kept) == len(rules):
            names = ", ".join(repr(rule.name) for rule in rules) or "none yet"
            raise Misconfigured(f"NAME: there is no rule {name!r}; rules: {names}")
        return kept

    _change(chosen.load(data_dir=data_dir, valkey_url=valkey_url), removed, as_json=as_json)


@app.command("show")
def show(
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the rules, in the order in which they are compared. The first match wins."""
    document = _fetch(chosen.load(data_dir=data_dir, valkey_url=valkey_url))
    if as_json:
        typer.echo(json_line(document))
        return
    _print(document)


@app.command("set")
def replace(
    file: RulesFile,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Set all rules from a file. They take effect within two seconds.

    A file with a `version` replaces that version only, as `show --json` prints it; without one, the
    current rules, whatever their version.

    Example: waitline protect set rules.json
    """
    text, settings = _text(file), chosen.load(data_dir=data_dir, valkey_url=valkey_url)
    document, has_version = _parsed(file, text)

    async def use(store: ValkeyClient) -> tuple[RuleSet, list[str]]:
        protection = Protection(store)
        version = document.version if has_version else (await protection.fetch()).version
        stored = await protection.replace(RuleSet(version, document.rules))
        return stored, await _missing_rooms(store, stored)

    try:
        stored, missing = options.with_store(settings, use)
    except ProtectionChanged as changed:
        raise Misconfigured(
            f"{file}: replaces version {document.version}, but the rules have version "
            f"{changed.version}; `waitline protect show --json` prints them"
        ) from None
    _report(stored, missing, as_json=as_json)


@app.command("try")
def try_rules(
    url: Annotated[str, typer.Argument(help="Address of a page: https://shop.example/buy/1")],
    file: Annotated[
        Path | None, typer.Option("--file", help="Try this file instead of the stored rules")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="HTTP method")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", help="Header, as 'Name: value'; repeatable")
    ] = None,
    cookie: Annotated[
        list[str] | None, typer.Option("--cookie", help="Cookie, as name=value; repeatable")
    ] = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Show which rule a request matches, without sending it.

    Examples: waitline protect try https://shop.example/buy/1;
    waitline protect try https://shop.example/hook --method POST --file rules.json
    """
    request = _request(url, method, header or [], cookie or [])
    if file is None:
        document = _fetch(chosen.load(data_dir=data_dir, valkey_url=valkey_url))
    else:
        document, _ = _parsed(file, _text(file))
    # As at the gate, no rule is asked about a preflight.
    rule = None if request.is_preflight else CompiledRules(document).match(request)
    found = _verdict(request, rule, document)
    if as_json:
        typer.echo(json_line(found))
        return
    Terminal().print(f"{found['verdict']}: {found['reason']}")


def _change(
    settings: Settings,
    change: Callable[[tuple[Rule, ...]], tuple[Rule, ...]],
    *,
    as_json: bool,
) -> None:
    """Change the stored rules, unless another operator changes them at the same time."""

    async def use(store: ValkeyClient) -> tuple[RuleSet, list[str]]:
        protection = Protection(store)
        document = await protection.fetch()
        changed = RuleSet(document.version, change(document.rules))
        try:
            parse_document(encode_document(changed))
        except ProtectionInvalid as invalid:
            raise Misconfigured(invalid.reason) from None
        stored = await protection.replace(changed)
        return stored, await _missing_rooms(store, stored)

    try:
        stored, missing = options.with_store(settings, use)
    except ProtectionChanged:
        raise Misconfigured("another operator has just changed the rules; run it again") from None
    _report(stored, missing, as_json=as_json)


async def _missing_rooms(store: ValkeyClient, document: RuleSet) -> list[str]:
    """Return the rooms that rules name and that do not exist."""
    names = sorted({rule.room for rule in document.rules if rule.room})
    known = await Rooms(store).listed(names) if names else []
    return [name for name, there in zip(names, known, strict=True) if not there]


def _report(stored: RuleSet, missing: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_line(stored))
    else:
        typer.echo(f"Version {stored.version}: {counted(len(stored.rules), 'rule')}")
    for room in missing:
        typer.echo(f"room {room!r} does not exist yet: waitline rooms create {room!r}", err=True)


def _verdict(request: SiteRequest, rule: Rule | None, document: RuleSet) -> dict[str, Any]:
    if request.is_preflight:
        verdict, reason = "passes", "CORS preflights always pass"
    elif rule is None:
        verdict, reason = "passes", f"none of {counted(len(document.rules), 'rule')} matches"
    elif rule.action is Action.BYPASS:
        verdict, reason = "passes", f"rule {rule.name!r} is a bypass"
    elif rule.mode is RuleMode.OBSERVE:
        verdict, reason = "passes", f"rule {rule.name!r} only observes (room {rule.room!r})"
    else:
        verdict, reason = "needs a pass", f"of room {rule.room!r}, by rule {rule.name!r}"
    return {
        "verdict": verdict,
        "reason": reason,
        "rule": rule and rule.name,
        "room": rule and (rule.room or None),
        "host": request.host,
        "path": request.path,
    }


def _request(url: str, method: str, headers: list[str], cookies: list[str]) -> SiteRequest:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misconfigured("URL: must be a whole address, such as https://shop.example/buy/1")
    fields: dict[bytes, bytes] = {}
    for name, value in protect_rules.split_headers(headers, "value"):
        fields[os.fsencode(name.lower())] = os.fsencode(value)
    if given := protect_rules.split_cookies(cookies, "value"):
        fields[b"cookie"] = os.fsencode("; ".join(f"{name}={value}" for name, value in given))
    return SiteRequest(method.upper(), parts.hostname, normal_path(parts.path or "/"), fields)


def _fetch(settings: Settings) -> RuleSet:
    return options.with_store(settings, lambda store: Protection(store).fetch())


def _text(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from None


def _parsed(file: Path, text: bytes) -> tuple[RuleSet, bool]:
    """Return the rules in a file, and whether it names the version that they replace."""
    try:
        members = parse_json(text, object)
    except ValueError:
        members = None
    has_version = not isinstance(members, dict) or "version" in members
    if isinstance(members, dict) and not has_version:
        text = json.dumps(members | {"version": 0}).encode()
    try:
        return parse_document(text), has_version
    except ProtectionInvalid as invalid:
        raise Misconfigured(f"{file}: {invalid.reason}") from None


def _print(document: RuleSet) -> None:
    table = Table("rule", "action", "room", "mode", "when", box=None)
    for rule in document.rules:
        queue = rule.action is Action.QUEUE
        mode = str(rule.mode) if queue else ""
        table.add_row(rule.name, str(rule.action), rule.room, mode, _shown(rule))
    empty = "No rules yet, so every request passes: waitline protect add --path '/*' --room ROOM"
    Terminal().print(table if document.rules else empty)


def _shown(rule: Rule) -> str:
    fields: dict[str, Any] = json.loads(encode_document(RuleSet(0, (rule,))))["rules"][0]
    parts = [
        f"{name} {json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.get("when", {}).items()
        if value
    ]
    return "\n".join(parts) or "every request"
