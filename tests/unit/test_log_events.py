"""Log events: calls, list and documentation agree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from waitline.http import access_log
from waitline.http.access_log import AccessLine
from waitline.kernel.log_events import EVENTS

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "waitline"
TABLE = ROOT / "docs" / "log-events.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log", "logger"}

PERIODIC = SRC / "kernel" / "periodic.py"


class Call(NamedTuple):
    where: str
    event: str | None
    keys: frozenset[str]
    levels: frozenset[str]


def calls() -> Iterator[Call]:
    # Its lines bypass the logger.
    fields = frozenset(AccessLine.__struct_fields__) - {"event", "level", "timestamp"}
    yield Call("http/access_log.py", access_log.EVENT, fields, frozenset({"info"}))
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr=level), args=args
                ) if name in LOGGERS and level in LEVELS:
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    levels = frozenset({"error" if level == "exception" else level})
                    keys = {keyword.arg or "**" for keyword in node.keywords} - {"exc_info"}
                    match args:
                        case [ast.Constant(value=str(event))]:
                            yield Call(where, event, frozenset(keys), levels)
                        case _ if path == PERIODIC:
                            pass  # NAME_failed and NAME_recovered, for each call of `periodic`
                        case _:
                            yield Call(where, None, frozenset(keys), levels)
                case ast.Call(
                    func=ast.Name(id="periodic"), args=[ast.Constant(value=str(name)), *_]
                ):
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    failed = frozenset({"warning", "error"})
                    yield Call(where, f"{name}_failed", frozenset({"reason", "retry_in_s"}), failed)
                    yield Call(where, f"{name}_recovered", frozenset(), frozenset({"info"}))
                case _:
                    pass


CALLS = list(calls())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.where)
def test_a_log_call_uses_a_listed_event_and_its_keys(call: Call) -> None:
    assert call.event is not None
    assert call.event in EVENTS
    assert call.keys <= set(EVENTS[call.event].keys)


def test_every_listed_event_and_key_is_used() -> None:
    used = {(call.event, key) for call in CALLS for key in {"", *call.keys}}
    listed = {(name, key) for name, event in EVENTS.items() for key in {"", *event.keys}}
    assert listed - used == set()


def test_the_listed_levels_are_those_of_the_calls() -> None:
    used: dict[str | None, set[str]] = {}
    for call in CALLS:
        used.setdefault(call.event, set()).update(call.levels)
    assert used == {name: set(event.level.split(" or ")) for name, event in EVENTS.items()}


def test_names_are_snake_case_and_the_meaning_is_a_sentence() -> None:
    for name, event in EVENTS.items():
        for word in (name, *event.keys):
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", word), word
        assert event.meaning[0].isupper()
        assert not event.meaning.endswith(".")


def test_operators_find_every_event_in_the_documentation() -> None:
    rows = [
        f"| `{name}` | {event.level} | {', '.join(f'`{key}`' for key in event.keys)} | "
        f"{event.meaning} |"
        for name, event in sorted(EVENTS.items())
    ]
    table = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert table == rows
