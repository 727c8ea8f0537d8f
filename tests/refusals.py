"""503 answers that a test client repeats its call after, counted and shown at the end of the run.

A service answers 503 when a store is silent for half a second, which a shared machine that stalls
can cause. The contract makes 503 an allowed answer with a Retry-After, so clients repeat the call;
how often they did is part of the result. A run in which many tests needed it fails.
"""

from collections import Counter

import pytest
from _pytest.terminal import TerminalReporter

PROPERTY = "answers_503"

TESTS_MAX = 20
"""Tests of a run that may have met a 503. A stall meets one test a worker; a service that refuses
on a machine that does not stall meets hundreds."""

_seen = 0


def count(answers: int = 1) -> None:
    """Count answers of 503 after which the running test repeats its call."""
    global _seen  # noqa: PLW0603 - a test is one at a time in a process
    _seen += answers


def attach(item: pytest.Item) -> None:
    """Hand what was counted to the report of a test, and begin again."""
    global _seen  # noqa: PLW0603 - as above
    if _seen:
        item.user_properties.append((PROPERTY, _seen))
    _seen = 0


class Refusals:
    """The 503 answers of a run, by test; a plugin of the process that reports."""

    def __init__(self) -> None:
        self.by_test: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test counted."""
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == PROPERTY:
                    assert isinstance(value, int)
                    self.by_test[report.nodeid] += value

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run in which too many tests met a 503."""
        if len(self.by_test) > TESTS_MAX and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def write(self, reporter: TerminalReporter) -> None:
        """Write how many answers were 503, and in which tests."""
        total, tests = self.by_test.total(), len(self.by_test)
        reporter.write_line(
            f"503 answers after which a call was repeated: {total} in {tests} tests, "
            f"{TESTS_MAX} tests at most",
            red=tests > TESTS_MAX,
        )
        for test, answers in self.by_test.most_common(TESTS_MAX):
            reporter.write_line(f"  {answers:4} {test}")
