"""Quarantine: tests that may fail without failing the run, each with its reason. Empty is normal.

A test goes here when it fails for a reason that is known, is not a fault of the product, and cannot
be removed today. Every run ends with the list and what each of its tests did.
"""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import pytest
from _pytest.terminal import TerminalReporter

QUARANTINE_MAX = 5
"""More at a time would hide faults; fix one before another is added."""


class Quarantined(NamedTuple):
    """A test that may fail.

    Attributes:
        test: Its id as pytest prints it, with or without parameters.
        reason: Why it fails and what would end that.
        since: The day on which it was put here.
    """

    test: str
    reason: str
    since: date


QUARANTINE: tuple[Quarantined, ...] = ()


def mark(items: Iterable[pytest.Item], listed: Iterable[Quarantined] = QUARANTINE) -> None:
    """Let the listed tests fail; that they pass is no failure either."""
    entries = list(listed)
    for item in items:
        for entry in entries:
            if entry.test in {item.nodeid, item.nodeid.partition("[")[0]}:
                reason = f"quarantined since {entry.since}: {entry.reason}"
                # Before the test's own marks: the first that applies is the one that counts.
                item.add_marker(pytest.mark.xfail(reason=reason, strict=False), append=False)


def write(reporter: TerminalReporter, listed: Iterable[Quarantined] = QUARANTINE) -> None:
    """End a run with the list and the outcome of each of its tests."""
    entries = list(listed)
    outcomes: dict[str, set[str]] = {}
    for outcome, name in (("xfailed", "failed"), ("xpassed", "passed")):
        for report in reporter.getreports(outcome):
            for test in {report.nodeid, report.nodeid.partition("[")[0]}:
                outcomes.setdefault(test, set()).add(name)
    reporter.write_line(f"quarantine: {len(entries) or 'empty'}", yellow=bool(entries))
    for entry in entries:
        outcome = " and ".join(sorted(outcomes.get(entry.test, {"not run"})))
        reporter.write_line(f"  {entry.test}: {outcome}. Since {entry.since}: {entry.reason}")
