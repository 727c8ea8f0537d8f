"""Run `waitline audit --booking` on the installation under test."""

import json
import subprocess
import sys
from typing import Any

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable
from waitline.trial.installation import Installation

AUDIT_S = 120.0
"""Timeout of the audit, in s, on a machine that was just under load."""


def audited(stack: Installation) -> dict[str, Any]:
    """Return rows by table, broken invariants as `findings`, and `limits` per person.

    Args:
        stack: The installation.

    Raises:
        Unavailable: The audit failed; the message holds the end of what it printed.

    Invariant:
        B1 to B10.
    """
    command = [sys.executable, "-m", "waitline", "audit", "--booking", "--json"]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--data-dir", str(stack.data_dir)],
        env=chosen.inherited(),
        capture_output=True,
        text=True,
        check=False,
        timeout=AUDIT_S,
    )
    if not done.stdout.strip():
        raise Unavailable(f"the audit failed: {done.stderr.strip()[-300:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
