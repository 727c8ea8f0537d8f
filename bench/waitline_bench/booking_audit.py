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


def audited(stack: Installation, *, at_price: bool = True) -> dict[str, Any]:
    """Return the number of rows by table, and the broken invariants as `findings`.

    Args:
        stack: The installation.
        at_price: Whether every payment must be of the price (B6), as those of our buyers are.

    Raises:
        Unavailable: The audit failed; the message holds the end of what it printed.

    Invariant:
        B1 to B7.
    """
    command = [sys.executable, "-m", "waitline", "audit", "--booking", "--json"]
    command += ["--mode", "production" if at_price else "trial"]
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
