"""A Docker engine of the tests' own: in a network namespace, with folders of its own.

Its bridges, rules and published ports exist in the namespace only, so that two runs, or an engine
of the machine, never meet. Nothing is pulled: the base images come from `bases`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.compose import bases
from tests.faults.network import Host, missing
from tests.processes import started

# Seconds until the engine answers, and that one of its commands may take: a build installs wheels.
ANSWERS_S = 60.0
COMMAND_S = 900.0

PROGRAMS = ("docker", "docker-compose", "dockerd", "mmdebstrap")

needed = pytest.mark.skipif(
    bool(missing()) or not all(map(shutil.which, PROGRAMS)),
    reason="containers need root, and apt-get install docker.io docker-compose mmdebstrap",
)

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "tests" / "compose" / "servers"


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
            # Stand-ins (servers/Dockerfile).
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

    def build(self, folder: Path) -> None:
        """Build the images of Waitline, and those of the stores and nginx, without a network."""
        with ThreadPoolExecutor() as threads:
            servers = threads.submit(self._build_servers, folder)
            # The others take the stages that the first has built.
            for target in ("queue", "booking", "admitter", "tools"):
                base = ("--build-arg", f"BASE={bases.BASE}")
                self._build(folder / "images", target, f"waitline-{target}", *base)
            servers.result()

    def add_prometheus(self) -> None:
        """Add the image of Prometheus, which one composition has."""
        if self.run("images", "--quiet", "test-prometheus") == "":
            for image, archive in bases.prepared(bases.MONITORING).items():
                self.run("import", archive, image)
            self._build(SERVERS / "prometheus", "prometheus", "test-prometheus")

    def _build_servers(self, folder: Path) -> None:
        for target in ("base", "postgres"):
            self._build(folder / "servers", target, f"test-{target}")

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
    host = Host("docker", 1, None)
    host.create()
    try:
        with tempfile.TemporaryDirectory(prefix="wl-docker-") as name, ExitStack() as stack:
            folder = Path(name)
            # Here the machine's network is used; the namespace has no way out.
            with ThreadPoolExecutor() as threads:
                ours = threads.submit(bases.context, folder / "images")
                prepared = bases.prepared(bases.BASE, bases.SERVERS)
                ours.result()
            bases.servers_context(folder / "servers")
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
            running.build(folder)
            try:
                yield running
            finally:
                left = running.run("ps", "--quiet", "--all").split()
                if left:
                    running.run("rm", "--force", "--volumes", *left)
    finally:
        host.delete()
