"""The tests of connectors/js, by the Node.js that comes with Playwright."""

import re
import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

JS = Path(__file__).parents[2] / "connectors" / "js"

# Seconds for tests that take five, on a machine that runs others as well.
DEADLINE_S = 120


def test_node_runs_the_tests_of_the_package() -> None:
    node, _ = compute_driver_executable()
    files = sorted(str(path.relative_to(JS)) for path in JS.glob("test/*.test.js"))
    done = subprocess.run(  # noqa: S603 - our own tests
        [node, "--test", "--test-reporter", "tap", *files],
        cwd=JS,
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A run without tests would succeed too.
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 100
