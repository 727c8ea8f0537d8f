"""A Docker engine of the tests' own: in a network namespace, with folders of its own.

Its bridges, rules and published ports exist in the namespace only, so that two runs, or an engine
of the machine, never meet. Nothing is pulled: the base images come from `bases`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.compose import bases
from tests.faults.network import Host, missing
from tests.processes import started

# Seconds until the engine answers, and that one of its commands may take: a build installs wheels.
ANSWERS_S = 60.0
COMMAND_S = 900.0

PROGRAMS = ("docker", "docker-compose", "dockerd", "debootstrap")

needed = pytest.mark.skipif(
    bool(missing()) or not all(map(shutil.which, PROGRAMS)),
    reason="containers need root, and apt-get install docker.io docker-compose debootstrap",
)

ROOT = Path(__file__).resolve().parents[2]


class Engine:
    """A running engine; commands run in the checkout.

    Attributes:
        host: The namespace that its published ports are in.
        environment: What its clients need.
    """

    def __init__(self, socket: Path, host: Host) -> None:
        self.host = host
        self.environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],  # noqa: TID251 - where docker is
            "HOME": str(socket.parent),
            "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_BUILDKIT": "0",
            # Stand-ins of Debian's packages (servers/Dockerfile).
            "VALKEY_IMAGE": "test-base",
            "NGINX_IMAGE": "test-base",
            "POSTGRES_IMAGE": "test-postgres",
            "PROMETHEUS_IMAGE": "test-prometheus",
            # Where the machine's limit is lower than what a server should have.
            "OPEN_FILES": "16384",
        }

    def run(self, *words: str | Path, check: bool = True) -> str:
        """Run `docker` with some words; return what it prints."""
        return command("docker", *words, environment=self.environment, check=check)

    def answers(self) -> bool:
        return "Server Version" in self.run("info", check=False)

    def build(self, context: Path) -> None:
        """Build the images of Waitline, and those of the servers, without a network."""
        for target in ("queue", "booking", "admitter", "tools"):
            self._build(context, target, f"waitline-{target}", "--build-arg", f"BASE={bases.BASE}")
        for target in ("base", "postgres", "prometheus"):
            self._build(ROOT / "tests" / "compose" / "servers", target, f"test-{target}")

    def _build(self, context: Path, target: str, tag: str, *arguments: str) -> None:
        self.run(
            *("build", "--quiet", "--network", "none", *arguments),
            *("--target", target, "--tag", tag, context),
        )


def command(
    *words: str | Path, environment: Mapping[str, str], check: bool = True, cwd: Path = ROOT
) -> str:
    """Run a program; return its output."""
    done = subprocess.run(  # noqa: S603 - the tests say what they run
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
        env=dict(environment),
        cwd=cwd,
    )
    failed = f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0 or not check, failed
    return done.stdout


@contextmanager
def engine() -> Iterator[Engine]:
    """Run an engine that has the images, in a network of its own."""
    # Here the machine's network is used; the namespace has no way out.
    prepared = bases.prepared()
    host = Host("docker", 1, None)
    host.create()
    try:
        with tempfile.TemporaryDirectory(prefix="wl-docker-") as name, ExitStack() as stack:
            folder = Path(name)
            bases.context(folder / "images")
            running = Engine(folder / "socket", host)
            argv: list[str | Path] = [
                *("dockerd", "--host", f"unix://{folder / 'socket'}"),
                *("--data-root", folder / "data", "--exec-root", folder / "exec"),
                *("--pidfile", folder / "pid"),
            ]
            with host.entered():
                stack.enter_context(started(argv, {}, running.answers, ANSWERS_S))
            for image, archive in prepared.items():
                running.run("import", archive, image)
            running.build(folder / "images")
            try:
                yield running
            finally:
                left = running.run("ps", "--quiet", "--all").split()
                if left:
                    running.run("rm", "--force", "--volumes", *left)
    finally:
        host.delete()
