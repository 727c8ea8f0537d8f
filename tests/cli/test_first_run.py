"""What the first `make up` shows while packages are installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "install-packages"

# As pip prints it, for eleven packages.
PIP = """
import sys
for n in range(11):
    print(f"Collecting package-{n}==1.0", flush=True)
print("Installing collected packages: all", flush=True)
print("ERROR: no space left", flush=True)
sys.exit(int(open("status").read()))
"""


def installed(folder: Path, status: int) -> "subprocess.CompletedProcess[str]":
    """Run the tool with a pip of our own."""
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").write_text("")
    (folder / "pip" / "__main__.py").write_text(PIP)
    (folder / "status").write_text(str(status))
    (folder / "some.txt").write_text("".join(f"package-{n}==1.0\n" for n in range(11)))
    return subprocess.run(  # noqa: S603 - our own tool
        [sys.executable, TOOL, "some.txt"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_counts_the_packages(tmp_path: Path) -> None:
    done = installed(tmp_path, 0)
    assert done.returncode == 0
    assert "10 of 11 packages: package-9" in done.stdout
    assert "11 packages in 0 s" in done.stdout
    assert done.stderr == ""


def test_what_pip_says_is_shown_when_it_fails(tmp_path: Path) -> None:
    done = installed(tmp_path, 1)
    assert done.returncode == 1
    assert "ERROR: no space left" in done.stderr
