"""The units of deploy/systemd: settings, secrets, limits, and what systemd says of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.named_settings import ALIKE, DEPLOY, SECRETS_BY_FILE, unknown_settings
from tests.servers import IN_CI
from waitline.doctor.machine import FILES_SPARE
from waitline.http.limits import CONNECTIONS
from waitline.settings import VARIABLES

FOLDER = DEPLOY / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
SERVICES = [unit for unit in UNITS if unit.stem != "waitline-migrate"]

EXPOSURE_MOST = 15
"""In tenths: 1.4 is what these units have; 9.6 is that of a unit without a sandbox."""

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not IN_CI, reason="needs systemd"
)


def lines_of(unit: Path) -> list[tuple[str, str]]:
    pairs = (
        line.split("=", 1)
        for line in unit.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    return [(name, value) for name, value in pairs]


def values(unit: Path, name: str) -> list[str]:
    return [value for key, value in lines_of(unit) if key == name]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a program that exists here."""
    for unit in FOLDER.glob("waitline*.*"):
        text = unit.read_text("utf-8").replace("/opt/waitline/bin/waitline", "/bin/true")
        (tmp_path / unit.name).write_text(text, "utf-8")
    return tmp_path


def test_every_setting_named_is_one_of_the_product() -> None:
    assert unknown_settings([*FOLDER.iterdir(), Path("docs/servers.md")]) == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_secrets_are_credentials(unit: Path) -> None:
    given = [value.split("=", 1) for value in values(unit, "Environment")]
    loaded = {value.split(":")[0] for value in values(unit, "LoadCredential")}
    by_file = {path.removeprefix("%d/") for name, path in given if name in SECRETS_BY_FILE}
    assert by_file == loaded
    shared = (FOLDER / "waitline.env").read_text("utf-8").splitlines()
    names = {name for name, _ in given} | {line.split("=")[0] for line in shared if "=" in line}
    assert not {name for name in names if name in VARIABLES and VARIABLES[name].secret}


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_service_may_open_its_files_and_drain(unit: Path) -> None:
    assert int(values(unit, "LimitNOFILE")[0]) >= CONNECTIONS + FILES_SPARE
    drain_s = float(VARIABLES["WAITLINE_DRAIN_S"].default)
    assert int(values(unit, "TimeoutStopSec")[0]) >= drain_s + 11
    assert values(unit, "Restart") == ["always"]


def test_instances_generate_no_key_of_their_own() -> None:
    given = values(FOLDER / "waitline-queue.service", "Environment")
    assert {value.split("=")[0] for value in given} >= ALIKE


def test_the_target_has_every_service() -> None:
    wanted = values(FOLDER / "waitline.target", "Wants")[0].split()
    assert sorted(wanted) == [unit.name for unit in SERVICES]


@analyze
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    units = [*installed.glob("*.service"), *installed.glob("*.target")]
    ended = subprocess.run(  # noqa: S603 - of our own units
        ["systemd-analyze", "verify", *units],  # noqa: S607 - whichever there is
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_is_hardly_exposed(installed: Path, unit: Path) -> None:
    rating = ["security", "--offline=yes", f"--threshold={EXPOSURE_MOST}"]
    ended = subprocess.run(  # noqa: S603 - of our own units
        ["systemd-analyze", *rating, installed / unit.name],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
