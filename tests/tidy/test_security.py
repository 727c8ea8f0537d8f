"""Every promise of docs/security.md names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security.md").read_text("utf-8")
TABLES = re.findall(
    r"^\| promise \| kept by \| test \|\n\|[-|]+\n((?:\|.+\n)+)", TEXT, re.MULTILINE
)
ROWS = [
    [cell.strip() for cell in row.strip("|").split(" | ")]
    for table in TABLES
    for row in table.splitlines()
]
PROMISES_MIN = 40


def test_there_are_promises() -> None:
    assert len(ROWS) >= PROMISES_MIN


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_a_promise_names_its_test_and_its_code(row: list[str]) -> None:
    promise, code, test = row
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", test)
    assert tests, promise
    for path, name in tests:
        file = ROOT / path
        assert file.exists(), path
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        tree = ast.parse(file.read_text("utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}, name
    for path in re.findall(r"`([\w/.]+)`", code):
        assert (ROOT / "src/waitline" / path).exists(), path
