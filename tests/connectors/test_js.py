"""The tests of connectors/js, by the Node.js that comes with Playwright."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

JS = Path(__file__).parents[2] / "connectors" / "js"

# Seconds for tests that take five, and for an installation, on a machine that runs others as well.
DEADLINE_S = 120
INSTALL_S = 300


def test_the_package() -> None:
    assert passed(JS, *JS.glob("test/*.test.js")) > 100


@pytest.mark.long
def test_the_worker_in_the_runtime_of_cloudflare(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: apt-get install npm"
    copy = Path(shutil.copytree(JS, tmp_path / "js"))
    install = [npm, "ci", "--ignore-scripts", "--no-audit"]
    subprocess.run(install, cwd=copy / "miniflare", check=True, timeout=INSTALL_S)  # noqa: S603
    assert passed(copy, copy / "miniflare" / "worker.test.js") == 3


def passed(folder: Path, *files: Path) -> int:
    """Run test files; return how many tests passed, if all did."""
    node, _ = compute_driver_executable()
    limits = ["--test-timeout", str(DEADLINE_S * 500)]
    done = subprocess.run(  # noqa: S603 - our own tests
        [node, "--test", "--test-reporter", "tap", *limits, *map(str, files)],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted is not None
    return int(counted[1])
