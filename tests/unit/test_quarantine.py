"""A quarantined test fails without failing the run, which ends with the list; today it is empty."""

from datetime import date, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from tests.quarantine import QUARANTINE, QUARANTINE_MAX

ROOT = Path(__file__).parents[2]

pytest_plugins = ["pytester"]

CONFTEST = f"""
import sys
from datetime import date
sys.path.insert(0, {str(ROOT)!r})
from tests import quarantine
LISTED = [quarantine.Quarantined("test_it.py::test_TEST", "the moon", date(2026, 11, 29))]

def pytest_collection_modifyitems(items):
    quarantine.mark(items, LISTED)

def pytest_terminal_summary(terminalreporter):
    quarantine.write(terminalreporter, LISTED)
"""

TESTS = dedent("""
    import pytest

    def test_good():
        pass

    @pytest.mark.parametrize("n", [1, 2])
    def test_bad(n):
        assert n == 1

    @pytest.fixture
    def broken():
        raise OSError

    def test_broken(broken):
        pass
""")


@pytest.mark.parametrize(
    ("listed", "outcomes", "said"),
    [
        ("bad", {"passed": 1, "xfailed": 1, "xpassed": 1, "errors": 1}, "failed and passed"),
        ("bad[2]", {"passed": 2, "xfailed": 1, "errors": 1}, "failed"),
        ("good", {"xpassed": 1, "passed": 1, "failed": 1, "errors": 1}, "passed"),
        ("broken", {"passed": 2, "failed": 1, "xfailed": 1}, "failed"),
        ("gone", {"passed": 2, "failed": 1, "errors": 1}, "not run"),
    ],
)
def test_what_a_quarantined_test_does(
    pytester: pytest.Pytester, listed: str, outcomes: dict[str, int], said: str
) -> None:
    pytester.makeconftest(CONFTEST.replace("TEST", listed))
    pytester.makepyfile(test_it=TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes)
    line = f"  test_it.py::test_{listed}: {said}. Since 2026-11-29: the moon"
    result.stdout.fnmatch_lines(["quarantine: 1", line.replace("[", "[[]")])


def test_entries_name_a_test_a_reason_and_a_day() -> None:
    assert len(QUARANTINE) <= QUARANTINE_MAX
    for entry in QUARANTINE:
        file, _, rest = entry.test.partition("::")
        function = rest.rpartition("::")[2].partition("[")[0]
        assert f"def {function}(" in (ROOT / file).read_text("utf-8"), entry.test
        assert entry.reason
        assert entry.since <= date.today() + timedelta(days=1)  # noqa: DTZ011
