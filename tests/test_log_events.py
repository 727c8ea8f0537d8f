"""Log events: calls, list and documentation agree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from waitline.kernel.log_events import EVENTS

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "waitline"
TABLE = ROOT / "docs" / "log-events.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log", "logger"}

# Both are about to be merged into kernel/batching.py.
OLD_BATCHERS = {SRC / "queue" / "batcher.py", SRC / "booking" / "gathering.py"}


class Call(NamedTuple):
    where: str
    event: str | None
    keys: frozenset[str]


def calls() -> Iterator[Call]:
    for path in sorted(SRC.rglob("*.py")):
        if path in OLD_BATCHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr=level), args=args
                ) if name in LOGGERS and level in LEVELS:
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    keys = {keyword.arg or "**" for keyword in node.keywords} - {"exc_info"}
                    match args:
                        case [ast.Constant(value=str(event))]:
                            yield Call(where, event, frozenset(keys))
                        case _:
                            yield Call(where, None, frozenset(keys))


CALLS = list(calls())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.where)
def test_a_log_call_uses_a_listed_event_and_its_keys(call: Call) -> None:
    assert call.event is not None
    assert call.event in EVENTS
    assert call.keys <= set(EVENTS[call.event].keys)


def test_every_listed_event_and_key_is_used() -> None:
    used = {(call.event, key) for call in CALLS for key in {"", *call.keys}}
    listed = {(name, key) for name, event in EVENTS.items() for key in {"", *event.keys}}
    if any(path.exists() for path in OLD_BATCHERS):
        listed = {pair for pair in listed if pair[0] != "batch_failed"}
    assert listed - used == set()


def test_names_are_snake_case_in_order_and_the_meaning_is_a_sentence() -> None:
    assert list(EVENTS) == sorted(EVENTS)
    for name, event in EVENTS.items():
        for word in (name, *event.keys):
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", word), word
        assert event.meaning[0].isupper()
        assert not event.meaning.endswith(".")


def test_operators_find_every_event_in_the_documentation() -> None:
    rows = [
        f"| `{name}` | {', '.join(f'`{key}`' for key in event.keys)} | {event.meaning} |"
        for name, event in EVENTS.items()
    ]
    table = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert table == rows
