"""What a test client repeats after a 503 is shown, and a run that needs it often fails."""

from pathlib import Path

import pytest

from tests.refusals import TESTS_MAX

ROOT = Path(__file__).parents[2]

pytest_plugins = ["pytester"]

CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests import refusals
SEEN = refusals.Refusals()

def pytest_configure(config):
    config.pluginmanager.register(SEEN)

def pytest_runtest_teardown(item):
    refusals.attach(item)

def pytest_terminal_summary(terminalreporter):
    SEEN.write(terminalreporter)
"""

TESTS = """
import pytest
from tests import refusals

@pytest.mark.parametrize("n", range({tests}))
def test_it(n):
    refusals.count()
    refusals.count(2)

def test_calm():
    pass
"""


@pytest.mark.parametrize(
    ("tests", "code"),
    [(0, pytest.ExitCode.OK), (TESTS_MAX, pytest.ExitCode.OK), (TESTS_MAX + 1, 1)],
)
def test_a_run_fails_when_many_tests_met_a_503(
    pytester: pytest.Pytester, tests: int, code: int
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS.format(tests=tests))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines([f"*repeated: {3 * tests} in {tests} tests*"])
    assert result.ret == code
