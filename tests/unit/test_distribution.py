"""The order in which workers take the files of tests."""

from pathlib import Path

import pytest

from tests.distribution import LONGEST_FIRST, OFFICES, folder_of, next_file

FILES = ["tests/unit/test_a.py", "tests/web/test_a.py", "tests/web/test_b.py",
         "tests/faults/test_a.py", "tests/store/test_a.py"]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "begun", "expected"),
    [
        pytest.param(None, set(), "tests/faults/test_a.py", id="the longest begins"),
        pytest.param(None, {"faults"}, "tests/web/test_a.py", id="then the second longest"),
        pytest.param("web", {"web"}, "tests/web/test_a.py", id="a worker keeps to its folder"),
        pytest.param("cli", {"cli", "web", "faults"}, "tests/store/test_a.py", id="a new folder"),
        pytest.param(
            "cli", {"faults", "store", "unit", "web"}, "tests/faults/test_a.py", id="it helps"
        ),
        pytest.param("browser", {"browser", "web"}, "tests/web/test_a.py", id="what shares"),
        pytest.param(
            "cli",
            {"cli", "faults", "store", "unit"},
            "tests/faults/test_a.py",
            id="it helps before it starts an installation",
        ),
    ],
)
def test_the_next_file(own: str | None, begun: set[str], expected: str) -> None:
    assert next_file(FILES, own, begun) == expected


def test_the_long_folders_exist() -> None:
    here = {folder_of(str(file)) for file in Path("tests").glob("*/test_*.py")}
    assert here.issuperset(LONGEST_FIRST)
    assert here.issuperset(OFFICES)
