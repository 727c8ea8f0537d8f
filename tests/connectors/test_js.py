"""The tests of connectors/js, by the Node.js that comes with Playwright."""

import re
import shutil
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.processes import finished
from tests.until import until

JS = Path(__file__).parents[2] / "connectors" / "js"

# Seconds for tests that take five, and for an installation, on a machine that runs others as well.
DEADLINE_S = 120
INSTALL_S = 300


def test_the_package() -> None:
    assert passed(JS, *JS.glob("test/*.test.js")) > 100


@pytest.mark.long
@pytest.mark.parametrize(
    ("runtime", "file", "count"),
    [
        pytest.param("miniflare", "worker.test.js", 3, id="Cloudflare Workers"),
        pytest.param("deno", "site.test.js", 9, id="Deno"),
    ],
)
def test_in_the_runtime_itself(runtime: str, file: str, count: int, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: apt-get install npm"
    copy = Path(shutil.copytree(JS, tmp_path / "js"))
    install = [npm, "ci", "--ignore-scripts", "--no-audit"]
    done = finished(install, copy / runtime, INSTALL_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed(copy, copy / runtime / file) == count


def test_no_child_outlives_a_run(tmp_path: Path) -> None:
    # `node --test` starts a process for each file, which would go on if only Node.js were ended.
    finished(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $! >child"], tmp_path, DEADLINE_S)
    child = Path("/proc") / (tmp_path / "child").read_text("ascii").strip() / "cmdline"
    # Nothing is left to read of a process that has ended, whether or not init has noticed.
    until(lambda: not child.exists() or child.read_bytes() == b"", 20, "the child has ended")


def passed(folder: Path, *files: Path) -> int:
    """Run test files; return how many tests passed, if all did."""
    node, _ = compute_driver_executable()
    limits = ["--test-timeout", str(DEADLINE_S * 500)]
    argv: list[str | Path] = [node, "--test", "--test-reporter", "tap", *limits, *files]
    done = finished(argv, folder, DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted is not None
    return int(counted[1])
