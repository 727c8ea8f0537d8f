"""Counts agree with their nouns: every count that is printed goes through `kernel/plurals.py`."""

import ast
import re
from pathlib import Path

import pytest

from waitline.kernel.plurals import counted

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("src/waitline", "bench/waitline_bench")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "plurals.py"
]

# Nouns of things that are counted: those of the glossary, and a few of every program.
NOUNS = (
    "address|arrival|attempt|booking|buyer|byte|cell|change|charge|column|concert|connection|core|"
    "entry|event|extension|field|file|finding|hour|key|line|minute|order|payment|place|process|"
    "refund|request|reservation|room|round|row|sample|schedule|seat|second|setting|slot|socket|"
    "stream|ticket|time|user|visitor|worker"
)
PLURAL = re.compile(rf"^ (?:{NOUNS})(?:s|es)\b|^ entries\b")


def unchecked(code: str) -> list[str]:
    """Return the counts of a module that do not agree with their noun where they are 1.

    A constant is no such count: its noun is known.
    """
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and isinstance(after.value, str)
                    and PLURAL.match(after.value)
                    and not _constant(value.value)
                ):
                    found.append(f"line {value.lineno}: {ast.unparse(value.value)}{after.value!r}")
        if isinstance(node, ast.IfExp) and _is_one(node.test) and _is_text(node.body):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def _constant(value: ast.expr) -> bool:
    return ast.unparse(value).rpartition(".")[2].isupper()


def _is_one(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and ast.unparse(test).endswith(" == 1")


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def test_counts_agree_with_their_nouns() -> None:
    found = {path: unchecked(path.read_text("utf-8")) for path in SOURCES}
    assert {str(path.relative_to(ROOT)): found[path] for path in found if found[path]} == {}


def test_a_count_that_does_not_agree_is_found() -> None:
    assert unchecked('print(f"{count:,} seats are on sale")')
    assert unchecked("""print(f"{count} seat{'' if count == 1 else 's'}")""")
    assert (
        unchecked("print(f\"{counted(count, 'seat')} on sale, at most {SEATS_MAX} seats\")") == []
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (counted(0, "seat"), "0 seats"),
        (counted(1, "seat"), "1 seat"),
        (counted(1_200, "seat"), "1,200 seats"),
        (counted(1, "seat is", "seats are"), "1 seat is"),
        (counted(2, "seat is", "seats are"), "2 seats are"),
        (counted(2, "process", "processes"), "2 processes"),
    ],
)
def test_counted(text: str, expected: str) -> None:
    assert text == expected
