"""promtool and Prometheus, of Debian's package `prometheus`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import IN_CI

PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")

needed = pytest.mark.skipif(
    (PROMTOOL is None or PROMETHEUS is None) and not IN_CI,
    reason="Prometheus is missing: apt-get install prometheus",
)


def promtool(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    assert PROMTOOL is not None
    return subprocess.run(  # noqa: S603 - a tool of the tests
        [PROMTOOL, *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )
